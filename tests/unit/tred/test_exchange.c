/* Is the table of states and calls the one that the call flow needs, cell by cell? */
#include "exchange_fixture.h"
#include "no_random.h"

#include "base/reason.h"
#include "tred/exchange_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/varying.h"

enum { NO = -1 };

/* Written out again rather than taken from the code: state after each call, NO where it must be
 * refused. */
/* clang-format off */
static const int expected[EXCHANGE_STATES][EXCHANGE_CALLS] = {
    /* ChooseGroup, Agree, SignAuth, Protect, Unprotect, VerifyPeer, OpenTransport, AllocateSpi, SetDscps,
     * AddChild, RemoveChild, Fork, PrepareCreateChildSa, UseChild, AddIkeSa, InheritChildren, MoveTransport */
    [EXCHANGE_BEGUN] = {EXCHANGE_BEGUN, EXCHANGE_AGREED, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO},
    [EXCHANGE_AGREED] = {NO, NO, EXCHANGE_SIGNED, NO, NO, NO, EXCHANGE_AGREED, EXCHANGE_AGREED, EXCHANGE_AGREED, NO,
        EXCHANGE_AGREED, EXCHANGE_AGREED, NO, NO, NO, NO, NO},
    /* VerifyPeer from its beginning to its end. */
    [EXCHANGE_SIGNED] = {NO, NO, NO, EXCHANGE_SIGNED, EXCHANGE_SIGNED, EXCHANGE_VERIFIED, EXCHANGE_SIGNED,
        EXCHANGE_SIGNED, EXCHANGE_SIGNED, NO, EXCHANGE_SIGNED, EXCHANGE_SIGNED, NO, NO, NO, NO, NO},
    [EXCHANGE_VERIFYING] = {NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO},
    [EXCHANGE_VERIFIED] = {NO, NO, NO, EXCHANGE_VERIFIED, EXCHANGE_VERIFIED, NO, NO,
        EXCHANGE_VERIFIED, EXCHANGE_VERIFIED, EXCHANGE_VERIFIED, EXCHANGE_VERIFIED, NO, EXCHANGE_VERIFIED,
        EXCHANGE_VERIFIED, EXCHANGE_VERIFIED, EXCHANGE_VERIFIED, EXCHANGE_VERIFIED},
    [EXCHANGE_REFUSED] = {NO, NO, NO, EXCHANGE_REFUSED, EXCHANGE_REFUSED, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
        NO, NO},
    [EXCHANGE_REPLACED] = {NO, NO, NO, EXCHANGE_REPLACED, EXCHANGE_REPLACED, NO, NO, NO, NO, NO, NO, NO, NO, NO,
        NO, NO, NO},
};
/* clang-format on */

static int call_agree(Play *play)
{
    if (play->request.size == 0) {
        const InitSpec request = play_request_spec(play);
        const InitSpec response = play_response_spec(play);

        play_request_build(play, &request);
        play_response_build(play, &response);
    }
    return exchange_agree(play->exchange, play->request, play->response, &play->reason);
}

static int call_protect(Play *play)
{
    const bool auth = exchange_state(play->exchange) == EXCHANGE_SIGNED;
    PlainMessage message = {.exchange_type = IKE_INFORMATIONAL};
    SealedMessage sealed = {0};
    uint8_t buffer[PLAY_MESSAGE_MAX];
    int r;

    if (auth)
        message = play_auth_request(play, &play->own, buffer);
    r = exchange_protect(play->exchange, &message, 1280, &sealed, &play->reason);
    sealed_message_deinit(&sealed);
    return r;
}

/* The message that the state waits for: a response to a request that is made here, if need be. */
static int call_unprotect(Play *play)
{
    const ExchangeState state = exchange_state(play->exchange);
    const bool sealable = play->seal_out != NULL;
    const bool is_up = state == EXCHANGE_VERIFIED || state == EXCHANGE_REPLACED;
    OpenedMessage opened = {0};
    uint8_t buffer[PLAY_MESSAGE_MAX] = {0};
    Bytes datagram = BYTES_OF(buffer);
    bool complete = false;
    int r;

    if (state == EXCHANGE_SIGNED || state == EXCHANGE_REFUSED)
        assert_int_equal(call_protect(play), 0);
    if (sealable) {
        datagram = play_seal(play, state == EXCHANGE_SIGNED ? IKE_AUTH : IKE_INFORMATIONAL, !is_up,
                             state == EXCHANGE_SIGNED ? 1
                             : is_up                  ? 0
                                                      : 2,
                             IKE_PAYLOAD_NONE, (Bytes){0}, buffer);
    }
    r = exchange_unprotect(play->exchange, datagram, &complete, &opened, &play->reason);
    opened_message_deinit(&opened);
    return r;
}

static int call_verify_peer(Play *play)
{
    PeerAuth peer = {.n_certificates = 0};

    if (exchange_state(play->exchange) == EXCHANGE_SIGNED)
        peer = play_peer(play);
    return play_judge(play, &peer, time(NULL));
}

/* RemoveChild with an SPI of the exchange's own, where it has one to give. */
static uint32_t spi_any(Play *play)
{
    uint32_t spi = 256;

    (void)exchange_allocate_spi(play->exchange, &spi, &play->reason);
    return spi;
}

static int call_open_transport(Play *play)
{
    const struct sockaddr_in segw = {
        .sin_family = AF_INET,
        .sin_port = htons(4500),
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };
    struct sockaddr_storage remote = {0};
    int fd = -1;

    memcpy(&remote, &segw, sizeof(segw));
    return exchange_open_transport(play->exchange, &remote, false, &fd, &play->reason);
}

static int call_fork(Play *play)
{
    Exchange *fork = NULL;
    int r = exchange_fork(play->exchange, &fork, &play->reason);

    exchange_free(fork);
    return r;
}

static int call_make(Play *play, ExchangeCall call)
{
    uint32_t spi = 0;

    switch (call) {
    case EXCHANGE_CHOOSE_GROUP:
        return exchange_choose_group(play->exchange, IKE_GROUP_ECP_384, &play->reason);
    case EXCHANGE_AGREE:
        return call_agree(play);
    case EXCHANGE_SIGN_AUTH:
        return play_try_to_sign(play);
    case EXCHANGE_PROTECT:
        return call_protect(play);
    case EXCHANGE_UNPROTECT:
        return call_unprotect(play);
    case EXCHANGE_VERIFY_PEER:
        return call_verify_peer(play);
    case EXCHANGE_OPEN_TRANSPORT:
        return call_open_transport(play);
    case EXCHANGE_ALLOCATE_SPI:
        return exchange_allocate_spi(play->exchange, &spi, &play->reason);
    case EXCHANGE_SET_DSCPS:
        return exchange_set_dscps(play->exchange, spi_any(play), 1, &play->reason);
    case EXCHANGE_ADD_CHILD:
        return play_add_child(play, play->spi_in);
    case EXCHANGE_REMOVE_CHILD:
        return exchange_remove_child(play->exchange, spi_any(play), &play->reason);
    case EXCHANGE_FORK:
        return call_fork(play);
    default: /* what else they need is test_exchange_create.c's and test_exchange_rekey.c's */
        return exchange_allows(play->exchange, call, &play->reason);
    }
}

static void check_cell(ExchangeState state, ExchangeCall call)
{
    const int next = expected[state][call];
    Play play;
    int r;

    play_to(&play, state);
    r = call_make(&play, call);
    if (r != (next == NO ? (int)EXCHANGE_E_WRONG_STATE : 0) ||
        (int)exchange_state(play.exchange) != (next == NO ? (int)state : next)) {
        fail_msg("call %d in state %s: returned %d (%s), then in state %s", (int)call,
                 exchange_state_name(state), r, play.reason.text,
                 exchange_state_name(exchange_state(play.exchange)));
    }
    if (next == NO) {
        const char *why = state == EXCHANGE_REFUSED    ? "the peer was refused"
                          : state == EXCHANGE_REPLACED ? "has taken this one's Child SAs over"
                                                       : "is not possible in state";
        assert_non_null(strstr(play.reason.text, why));
    }
    play_deinit(&play);
}

static void every_call_in_every_state_does_what_the_table_says(void **state)
{
    (void)state;
    for (ExchangeState from = 0; from < EXCHANGE_STATES; from++) {
        for (ExchangeCall call = 0; call < EXCHANGE_CALLS; call++)
            check_cell(from, call);
    }
}

static void an_exchange_is_unsigned_until_it_has_signed(void **state)
{
    (void)state;
    for (ExchangeState in = 0; in < EXCHANGE_STATES; in++) {
        Play play;

        play_to(&play, in);
        assert_int_equal(exchange_is_unsigned(play.exchange),
                         in == EXCHANGE_BEGUN || in == EXCHANGE_AGREED);
        play_deinit(&play);
    }
}

static void a_peer_that_is_refused_leads_to_refused(void **state)
{
    Play play;

    (void)state;
    play_to(&play, EXCHANGE_SIGNED);
    play_refuse(&play);
    assert_int_equal(exchange_state(play.exchange), EXCHANGE_REFUSED);
    assert_string_equal(exchange_peer_identity(play.exchange), "");
    play_deinit(&play);
}

static void a_new_exchange_has_its_own_spi_nonce_and_ke(void **state)
{
    Play one, other;

    (void)state;
    play_init(&one);
    play_init(&other);
    assert_int_not_equal(exchange_spi_i(one.exchange), 0);
    assert_int_not_equal(exchange_spi_i(one.exchange), exchange_spi_i(other.exchange));
    assert_int_equal(exchange_nonce_i(one.exchange).size, 32);
    assert_false(bytes_equal(exchange_nonce_i(one.exchange), exchange_nonce_i(other.exchange)));
    assert_false(bytes_equal(exchange_ke_i(one.exchange), exchange_ke_i(other.exchange)));
    assert_int_equal(exchange_spi_r(one.exchange), 0);
    play_deinit(&one);
    play_deinit(&other);
}

static void every_octet_of_an_spi_and_a_nonce_is_by_chance(void **state)
{
    uint64_t spis[VARYING_DRAWS];
    uint8_t nonces[VARYING_DRAWS][EXCHANGE_NONCE_SIZE];

    (void)state;
    for (size_t i = 0; i < VARYING_DRAWS; i++)
        assert_int_equal(exchange_ids_new(&spis[i], nonces[i]), 0);
    assert_each_octet_varies(spis, sizeof(spis[0]));
    assert_each_octet_varies(nonces, sizeof(nonces[0]));
}

static void a_group_outside_the_profile_is_refused(void **state)
{
    static const uint16_t groups[] = {0, 1, 2, 5, 15, 21, 22, 65535};
    Reason reason = {0};
    Exchange *exchange = NULL;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(groups); i++) {
        assert_int_equal(exchange_new(&bench.context, &bench.with, groups[i], &exchange, &reason),
                         EXCHANGE_E_GROUP_NOT_SUPPORTED);
        assert_null(exchange);
    }
    assert_null(bench.context.exchanges);
}

static void a_new_group_keeps_spi_and_nonce_and_changes_the_ke(void **state)
{
    uint8_t ke[DH_PUBLIC_MAX];
    uint64_t spi_i;
    size_t size;
    Play play;

    (void)state;
    play_init(&play);
    spi_i = exchange_spi_i(play.exchange);
    size = exchange_ke_i(play.exchange).size;
    memcpy(ke, exchange_ke_i(play.exchange).data, size);
    assert_int_equal(exchange_choose_group(play.exchange, IKE_GROUP_ECP_256, &play.reason), 0);
    assert_int_equal(exchange_spi_i(play.exchange), spi_i);
    assert_memory_equal(exchange_nonce_i(play.exchange).data, play.nonce_i, 32);
    assert_false(bytes_equal(exchange_ke_i(play.exchange), (Bytes){ke, size}));
    play_deinit(&play);
}

static void the_fifth_change_of_group_is_refused(void **state)
{
    Play play;

    (void)state;
    play_init(&play);
    for (int i = 0; i < EXCHANGE_GROUP_CHANGES_MAX; i++) {
        assert_int_equal(exchange_choose_group(play.exchange, IKE_GROUP_CURVE25519, &play.reason),
                         0);
    }
    assert_int_equal(exchange_choose_group(play.exchange, IKE_GROUP_CURVE25519, &play.reason),
                     EXCHANGE_E_WRONG_STATE);
    play_deinit(&play);
}

static void exchanges_leave_the_context_in_any_order(void **state)
{
    Play plays[3];

    (void)state;
    for (size_t i = 0; i < ELEMENTS(plays); i++)
        play_init(&plays[i]);
    play_deinit(&plays[1]);
    assert_ptr_equal(bench.context.exchanges, plays[2].exchange);
    play_deinit(&plays[2]);
    assert_ptr_equal(bench.context.exchanges, plays[0].exchange);
    play_deinit(&plays[0]);
    assert_null(bench.context.exchanges);
}

static void nobody_inherits_from_what_is_gone_and_the_others_still_do(void **state)
{
    Play plays[3];

    (void)state;
    for (size_t i = 0; i < ELEMENTS(plays); i++)
        play_init(&plays[i]);
    plays[1].exchange->made_from = plays[0].exchange;
    plays[2].exchange->made_from = plays[1].exchange;
    play_deinit(&plays[0]);
    assert_null(plays[1].exchange->made_from);
    assert_ptr_equal(plays[2].exchange->made_from, plays[1].exchange);
    play_deinit(&plays[1]);
    assert_null(plays[2].exchange->made_from);
    play_deinit(&plays[2]);
}

/* No descriptor is left: the kernel gives out the lowest one, so the limit stands below that. */
static void without_a_descriptor_open_transport_says_so_and_may_be_called_again(void **state)
{
    struct rlimit limit, none;
    int lowest = dup(STDIN_FILENO);
    Play play;

    (void)state;
    assert_true(lowest >= 0);
    assert_int_equal(close(lowest), 0);
    play_to(&play, EXCHANGE_AGREED);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    for (unsigned few = 0; few < 4; few++) { /* the first, the second … of those that it takes */
        none.rlim_cur = (rlim_t)lowest + few;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        int r = call_open_transport(&play);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        if (r == 0)
            break;
        assert_int_equal(r, EXCHANGE_E_OUT_OF_RESOURCES);
        assert_int_equal(exchange_state(play.exchange), EXCHANGE_AGREED);
        assert_int_not_equal(few, 3);
    }
    assert_int_equal(call_open_transport(&play), EXCHANGE_E_WRONG_STATE); /* it is there */
    play_deinit(&play);
}

enum { KE_MAX = 256 };

/* The KE of a new exchange in that group, which is gone then. */
static Bytes ke_of_another(uint16_t group, uint8_t *ret)
{
    Exchange *exchange = NULL;
    Reason reason;

    assert_int_equal(exchange_new(&bench.context, &bench.with, group, &exchange, &reason), 0);
    const Bytes ke = exchange_ke_i(exchange);
    assert_true(ke.size <= KE_MAX);
    memcpy(ret, ke.data, ke.size);
    exchange_free(exchange);
    return (Bytes){ret, ke.size};
}

static void a_key_pair_that_was_made_ahead_is_one_exchanges_and_no_others(void **state)
{
    uint8_t first[KE_MAX], ahead[KE_MAX], second[KE_MAX], third[KE_MAX];

    (void)state;
    (void)ke_of_another(IKE_GROUP_ECP_256, first);
    exchange_prepare(&bench.context);
    assert_non_null(bench.context.spare_dh);
    const Bytes spare = dh_public(bench.context.spare_dh);
    memcpy(ahead, spare.data, spare.size);
    exchange_prepare(&bench.context); /* once is enough */
    const Bytes taken = ke_of_another(IKE_GROUP_ECP_256, second);
    assert_true(bytes_equal(taken, (Bytes){ahead, spare.size}));
    assert_null(bench.context.spare_dh);
    assert_false(bytes_equal(ke_of_another(IKE_GROUP_ECP_256, third), taken));
}

static void a_key_pair_that_was_made_ahead_is_of_the_group_that_was_asked_for_last(void **state)
{
    uint8_t ke[KE_MAX];

    (void)state;
    (void)ke_of_another(IKE_GROUP_ECP_256, ke);
    exchange_prepare(&bench.context);
    assert_int_equal(ke_of_another(IKE_GROUP_MODP_2048, ke).size, 256);
    assert_int_equal(dh_group(bench.context.spare_dh), IKE_GROUP_ECP_256);
    exchange_prepare(&bench.context);
    assert_int_equal(dh_group(bench.context.spare_dh), IKE_GROUP_MODP_2048);
    exchange_forget_prepared(&bench.context);
    assert_null(bench.context.spare_dh);
}

/* A nonce or an SPI that everybody knows is worse than none. */
static void without_random_numbers_no_exchange_begins(void **state)
{
    (void)state;
    for (int says = 0; says >= -1; says--) {
        for (unsigned nth = 1; nth <= 2; nth++) { /* SPI, nonce */
            Exchange *exchange = NULL;
            Reason reason = {0};

            no_random_begin(nth, says);
            assert_int_equal(
                exchange_new(&bench.context, &bench.with, IKE_GROUP_ECP_256, &exchange, &reason),
                -EIO);
            assert_true(no_random_end());
            assert_null(exchange);
            assert_null(bench.context.exchanges);
        }
    }
}

static void without_random_numbers_no_spi_is_given_out(void **state)
{
    Play play;

    (void)state;
    play_init(&play);
    assert_int_equal(call_agree(&play), 0);
    for (int says = 0; says >= -1; says--) {
        uint32_t spi = 0;

        no_random_begin(1, says);
        assert_int_equal(exchange_allocate_spi(play.exchange, &spi, &play.reason), -EIO);
        assert_true(no_random_end());
        assert_int_equal(spi, 0);
    }
    play_deinit(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_in_every_state_does_what_the_table_says),
        cmocka_unit_test(an_exchange_is_unsigned_until_it_has_signed),
        cmocka_unit_test(a_peer_that_is_refused_leads_to_refused),
        cmocka_unit_test(a_new_exchange_has_its_own_spi_nonce_and_ke),
        cmocka_unit_test(without_random_numbers_no_exchange_begins),
        cmocka_unit_test(without_random_numbers_no_spi_is_given_out),
        cmocka_unit_test(every_octet_of_an_spi_and_a_nonce_is_by_chance),
        cmocka_unit_test(a_group_outside_the_profile_is_refused),
        cmocka_unit_test(a_new_group_keeps_spi_and_nonce_and_changes_the_ke),
        cmocka_unit_test(the_fifth_change_of_group_is_refused),
        cmocka_unit_test(without_a_descriptor_open_transport_says_so_and_may_be_called_again),
        cmocka_unit_test(exchanges_leave_the_context_in_any_order),
        cmocka_unit_test(nobody_inherits_from_what_is_gone_and_the_others_still_do),
        cmocka_unit_test(a_key_pair_that_was_made_ahead_is_one_exchanges_and_no_others),
        cmocka_unit_test(a_key_pair_that_was_made_ahead_is_of_the_group_that_was_asked_for_last),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
