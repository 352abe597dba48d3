/* Is nothing sealed or opened that the state of an exchange has no use for? */
#include "exchange_fixture.h"
#include "tred/exchange_internal.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t vendor_chain[] = {0, 0, 0, 5, 'V'};

static int play_of(void **state, ExchangeState in)
{
    static Play play;

    play_to(&play, in);
    *state = &play;
    return 0;
}

static int signed_(void **state)
{
    return play_of(state, EXCHANGE_SIGNED);
}

static int verified(void **state)
{
    return play_of(state, EXCHANGE_VERIFIED);
}

static int refused(void **state)
{
    return play_of(state, EXCHANGE_REFUSED);
}

static int replaced(void **state)
{
    return play_of(state, EXCHANGE_REPLACED);
}

static int end(void **state)
{
    play_deinit(*state);
    return 0;
}

/* In the place of exchange_create.c's (--wrap). */
static bool is_full;
static unsigned n_kept;                                                     /* messages */
int __real_exchange_keep(KeptMessage *kept, uint8_t first, Bytes payloads); /* NOLINT */
int __wrap_exchange_keep(KeptMessage *kept, uint8_t first, Bytes payloads);

int __wrap_exchange_keep(KeptMessage *kept, uint8_t first, Bytes payloads)
{
    n_kept++;
    return __real_exchange_keep(kept, first, payloads);
}

int __real_owned_bytes_copy(Bytes from, OwnedBytes *ret); /* NOLINT */
int __wrap_owned_bytes_copy(Bytes from, OwnedBytes *ret);

int __wrap_owned_bytes_copy(Bytes from, OwnedBytes *ret)
{
    return is_full ? -ENOMEM : __real_owned_bytes_copy(from, ret);
}

static int seal(Play *play, const PlainMessage *message)
{
    SealedMessage sealed = {0};
    int r = exchange_protect(play->exchange, message, 1280, &sealed, &play->reason);

    sealed_message_deinit(&sealed);
    return r;
}

static int seal_type(Play *play, uint8_t exchange_type, bool response)
{
    const PlainMessage message = {.exchange_type = exchange_type, .response = response};

    return seal(play, &message);
}

static int open_(Play *play, Bytes datagram)
{
    OpenedMessage opened = {0};
    bool complete = false;
    int r = exchange_unprotect(play->exchange, datagram, &complete, &opened, &play->reason);

    opened_message_deinit(&opened);
    return r;
}

static int open_type(Play *play, uint8_t exchange_type, bool response, uint32_t message_id)
{
    uint8_t buffer[PLAY_MESSAGE_MAX];

    return open_(play, play_seal(play, exchange_type, response, message_id, IKE_PAYLOAD_VENDOR_ID,
                                 BYTES_OF(vendor_chain), buffer));
}

static void the_ike_auth_request_is_sealed_for_the_segw(void **state)
{
    Play *play = *state;
    uint8_t buffer[PLAY_MESSAGE_MAX];
    const PlainMessage message = play_auth_request(play, &play->own, buffer);
    SealedMessage sealed = {0};
    IkeHeader header;

    assert_int_equal(exchange_protect(play->exchange, &message, 1280, &sealed, &play->reason), 0);
    assert_int_equal(sealed.message_id, 1);
    assert_true(play_opens(play, &sealed, &header));
    assert_int_equal(header.exchange_type, IKE_AUTH);
    assert_int_equal(header.flags, IKE_FLAG_INITIATOR);
    assert_int_equal(header.message_id, 1);
    sealed_message_deinit(&sealed);
}

static void before_verification_only_ike_auth_requests_are_sealed(void **state)
{
    Play *play = *state;

    assert_int_equal(seal_type(play, IKE_INFORMATIONAL, false), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_type(play, IKE_CREATE_CHILD_SA, false), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_type(play, IKE_SA_INIT, false), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_type(play, IKE_AUTH, true), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_type(play, 0, false), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_type(play, 255, false), EXCHANGE_E_UNEXPECTED);
}

static void an_ike_auth_request_with_another_auth_is_refused(void **state)
{
    Play *play = *state;
    uint8_t buffer[PLAY_MESSAGE_MAX], data[AUTH_DATA_MAX];
    OwnAuth other = play->own;
    PlainMessage message;

    memcpy(data, play->own.data.data, play->own.data.size);
    data[play->own.data.size - 1] ^= 1;
    other.data = (Bytes){data, play->own.data.size};
    message = play_auth_request(play, &other, buffer);
    assert_int_equal(seal(play, &message), EXCHANGE_E_UNEXPECTED);
}

static void an_ike_auth_request_with_another_method_is_refused(void **state)
{
    Play *play = *state;
    uint8_t buffer[PLAY_MESSAGE_MAX];
    OwnAuth other = play->own;
    PlainMessage message;

    other.method = IKE_AUTH_SHARED_KEY_MIC;
    message = play_auth_request(play, &other, buffer);
    assert_int_equal(seal(play, &message), EXCHANGE_E_UNEXPECTED);
}

static void an_ike_auth_request_for_another_identity_is_refused(void **state)
{
    Play *play = *state;
    uint8_t buffer[PLAY_MESSAGE_MAX];
    OwnAuth other = play->own;
    PlainMessage message;

    other.id_data = (Bytes){(const uint8_t *)"henb-2.example.org", 18};
    message = play_auth_request(play, &other, buffer);
    assert_int_equal(seal(play, &message), EXCHANGE_E_UNEXPECTED);
}

static void a_chain_that_does_not_parse_is_not_sealed(void **state)
{
    static const uint8_t broken[] = {0, 0, 0, 6, 'V'};
    Play *play = *state;
    const PlainMessage message = {
        .exchange_type = IKE_AUTH,
        .first = IKE_PAYLOAD_VENDOR_ID,
        .payloads = BYTES_OF(broken),
    };

    assert_int_equal(seal(play, &message), EXCHANGE_E_MALFORMED);
}

/* Before anybody looks at what is in it. */
static void a_chain_beyond_any_message_is_too_large(void **state)
{
    static const uint8_t zeros[IKE_MESSAGE_MAX + 1];
    PlainMessage message = {.exchange_type = IKE_AUTH, .first = IKE_PAYLOAD_VENDOR_ID};

    message.payloads = (Bytes){zeros, IKE_MESSAGE_MAX};
    assert_int_equal(seal(*state, &message), EXCHANGE_E_MALFORMED);
    message.payloads = BYTES_OF(zeros);
    assert_int_equal(seal(*state, &message), EXCHANGE_E_TOO_LARGE);
}

static void a_second_request_waits_for_the_answer_to_the_first(void **state)
{
    Play *play = *state;

    uint8_t buffer[PLAY_MESSAGE_MAX];
    PlainMessage message;

    play_request_auth(play);
    message = play_auth_request(play, &play->own, buffer);
    assert_int_equal(seal(play, &message), EXCHANGE_E_REQUEST_PENDING);
}

/* What is read of the peer and its Child SA comes from one pair of messages. */
static void a_second_request_is_not_sealed_once_the_first_was_answered(void **state)
{
    Play *play = *state;
    uint8_t buffer[PLAY_MESSAGE_MAX];
    PlainMessage message;

    play_request_auth(play);
    assert_int_equal(open_type(play, IKE_AUTH, true, 1), 0);
    message = play_auth_request(play, &play->own, buffer);
    assert_int_equal(seal(play, &message), EXCHANGE_E_UNEXPECTED);
}

static int seal_without(Play *play, uint8_t omit)
{
    const IkeId id = {.type = play->own.id_type, .data = play->own.id_data};
    PlainMessage message = {.exchange_type = IKE_AUTH};
    uint8_t buffer[PLAY_MESSAGE_MAX];
    IkeChain chain;
    Writer writer;

    writer_init(&writer, buffer, sizeof(buffer));
    ike_chain_init(&chain, &writer);
    if (omit != IKE_PAYLOAD_IDI)
        ike_chain_add_id(&chain, IKE_PAYLOAD_IDI, &id);
    if (omit != IKE_PAYLOAD_AUTH)
        ike_chain_add_auth(&chain, play->own.method, play->own.data);
    message.first = chain.first;
    assert_int_equal(writer_finish(&writer, &message.payloads), 0);
    return seal(play, &message);
}

static void an_ike_auth_request_without_idi_or_auth_is_refused(void **state)
{
    Play *play = *state;

    assert_int_equal(seal_without(play, IKE_PAYLOAD_IDI), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_without(play, IKE_PAYLOAD_AUTH), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_without(play, IKE_PAYLOAD_NONE), 0);
}

static int seal_twice(Play *play, uint8_t twice)
{
    const IkeId id = {.type = play->own.id_type, .data = play->own.id_data};
    PlainMessage message = {.exchange_type = IKE_AUTH};
    uint8_t buffer[PLAY_MESSAGE_MAX];
    IkeChain chain;
    Writer writer;

    writer_init(&writer, buffer, sizeof(buffer));
    ike_chain_init(&chain, &writer);
    for (int i = 0; i < (twice == IKE_PAYLOAD_IDI ? 2 : 1); i++)
        ike_chain_add_id(&chain, IKE_PAYLOAD_IDI, &id);
    for (int i = 0; i < (twice == IKE_PAYLOAD_AUTH ? 2 : 1); i++)
        ike_chain_add_auth(&chain, play->own.method, play->own.data);
    message.first = chain.first;
    assert_int_equal(writer_finish(&writer, &message.payloads), 0);
    return seal(play, &message);
}

static void an_ike_auth_request_with_two_idi_or_auth_is_refused(void **state)
{
    Play *play = *state;

    assert_int_equal(seal_twice(play, IKE_PAYLOAD_IDI), EXCHANGE_E_MALFORMED);
    assert_int_equal(seal_twice(play, IKE_PAYLOAD_AUTH), EXCHANGE_E_MALFORMED);
    assert_int_equal(seal_twice(play, IKE_PAYLOAD_NONE), 0);
}

static void before_verification_only_ike_auth_responses_are_opened(void **state)
{
    Play *play = *state;

    play_request_auth(play);
    assert_int_equal(open_type(play, IKE_INFORMATIONAL, true, 1), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, IKE_INFORMATIONAL, false, 0), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, IKE_CREATE_CHILD_SA, false, 0), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, IKE_AUTH, false, 0), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, IKE_AUTH, true, 1), 0);
}

static void a_request_that_came_too_early_is_opened_when_it_comes_again(void **state)
{
    Play *play = *state;

    play_request_auth(play);
    assert_int_equal(open_type(play, IKE_INFORMATIONAL, false, 0), EXCHANGE_E_UNEXPECTED);
    play_verify(play);
    assert_int_equal(open_type(play, IKE_INFORMATIONAL, false, 0), 0);
}

static void a_response_twice_is_a_replay(void **state)
{
    Play *play = *state;

    play_request_auth(play);
    assert_int_equal(open_type(play, IKE_AUTH, true, 1), 0);
    assert_int_equal(open_type(play, IKE_AUTH, true, 1), EXCHANGE_E_REPLAYED);
}

static void a_datagram_with_a_changed_octet_is_not_authentic(void **state)
{
    Play *play = *state;
    uint8_t buffer[PLAY_MESSAGE_MAX];
    Bytes datagram;

    play_request_auth(play);
    datagram =
        play_seal(play, IKE_AUTH, true, 1, IKE_PAYLOAD_VENDOR_ID, BYTES_OF(vendor_chain), buffer);
    buffer[datagram.size - 1] ^= 1;
    assert_int_equal(open_(play, datagram), EXCHANGE_E_NOT_AUTHENTIC);
    buffer[datagram.size - 1] ^= 1;
    assert_int_equal(open_(play, datagram), 0);
}

static void datagrams_of_any_size_are_handled(void **state)
{
    static const uint8_t zeros[IKE_MESSAGE_MAX + 1];
    Play *play = *state;

    assert_int_equal(open_(play, (Bytes){0}), EXCHANGE_E_MALFORMED);
    assert_int_equal(open_(play, (Bytes){zeros, 27}), EXCHANGE_E_MALFORMED);
    assert_int_equal(open_(play, BYTES_OF(zeros)), EXCHANGE_E_TOO_LARGE);
    assert_int_equal(open_(play, (Bytes){zeros, IKE_MESSAGE_MAX}), EXCHANGE_E_MALFORMED);
}

/* CREATE_CHILD_SA without an SA: with one it is test_exchange_create.c's. */
static int seal_temporary_failure(Play *play)
{
    static const uint8_t chain[] = {0, 0, 0, 8, 0, 0, 0, IKE_NOTIFY_TEMPORARY_FAILURE};
    const PlainMessage message = {
        .exchange_type = IKE_CREATE_CHILD_SA,
        .response = true,
        .first = IKE_PAYLOAD_NOTIFY,
        .payloads = BYTES_OF(chain),
    };

    return seal(play, &message);
}

static void after_verification_child_and_informational_pass_both_ways(void **state)
{
    Play *play = *state;

    n_kept = 0;
    assert_int_equal(seal_type(play, IKE_INFORMATIONAL, false), 0);
    assert_int_equal(open_type(play, IKE_INFORMATIONAL, true, 2), 0);
    assert_int_equal(open_type(play, IKE_INFORMATIONAL, false, 0), 0);
    assert_int_equal(n_kept, 0); /* in the place of what the SeGW was judged by */
    assert_int_equal(seal_type(play, IKE_INFORMATIONAL, true), 0);
    assert_int_equal(seal_type(play, IKE_CREATE_CHILD_SA, false), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, IKE_CREATE_CHILD_SA, false, 1), 0);
    assert_int_equal(seal_type(play, IKE_CREATE_CHILD_SA, true), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_temporary_failure(play), 0);
}

/* RFC 7296 2.25.2 */
static void an_exchange_that_was_replaced_says_its_delete_and_refuses_what_is_new(void **state)
{
    Play *play = *state;

    assert_int_equal(seal_type(play, IKE_CREATE_CHILD_SA, false), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, IKE_CREATE_CHILD_SA, false, 0), 0);
    assert_int_equal(seal_temporary_failure(play), 0);
    assert_int_equal(seal_type(play, IKE_INFORMATIONAL, false), 0);
    assert_int_equal(open_type(play, IKE_INFORMATIONAL, true, 2), 0);
    assert_int_equal(open_type(play, IKE_INFORMATIONAL, false, 1), 0);
    assert_int_equal(seal_type(play, IKE_INFORMATIONAL, true), 0);
}

static int seal_invalid_syntax(Play *play, uint8_t exchange_type, bool alone)
{
    uint8_t buffer[64];
    Bytes payloads = {0};
    IkeChain chain;
    Writer writer;

    writer_init(&writer, buffer, sizeof(buffer));
    ike_chain_init(&chain, &writer);
    ike_chain_add_notify(&chain, IKE_NOTIFY_INVALID_SYNTAX, (Bytes){0});
    if (!alone)
        ike_chain_add(&chain, IKE_PAYLOAD_VENDOR_ID, BYTES_OF(vendor_chain));
    assert_int_equal(writer_finish(&writer, &payloads), 0);
    const PlainMessage message = {.exchange_type = exchange_type,
                                  .response = true,
                                  .first = chain.first,
                                  .payloads = payloads};
    return seal(play, &message);
}

/* It would end the IKE SA for the peer if it were not answered (RFC 7296 2.1). */
static void an_exchange_that_nobody_knows_is_answered_by_an_error_and_nothing_else(void **state)
{
    Play *play = *state;

    assert_int_equal(open_type(play, 240, false, 0), 0);
    assert_int_equal(seal_type(play, 240, true), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_invalid_syntax(play, 240, false), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_invalid_syntax(play, 240, true), 0);
    assert_int_equal(seal_type(play, 240, false), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, 240, true, 2), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, IKE_SA_INIT, false, 1), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_invalid_syntax(play, IKE_AUTH, true), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, IKE_INFORMATIONAL, false, 1), 0);
}

static void after_verification_no_ike_auth_passes(void **state)
{
    Play *play = *state;

    assert_int_equal(seal_type(play, IKE_AUTH, false), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, IKE_AUTH, false, 0), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, IKE_AUTH, true, 2), EXCHANGE_E_UNEXPECTED);
}

static void a_response_without_a_request_is_not_sealed(void **state)
{
    assert_int_equal(seal_type(*state, IKE_INFORMATIONAL, true), EXCHANGE_E_UNEXPECTED);
}

static void a_refused_peer_can_be_told_and_nothing_else(void **state)
{
    Play *play = *state;

    assert_int_equal(seal_type(play, IKE_CREATE_CHILD_SA, false), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_type(play, IKE_AUTH, false), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, IKE_CREATE_CHILD_SA, false, 0), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(open_type(play, IKE_INFORMATIONAL, false, 0), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(seal_type(play, IKE_INFORMATIONAL, false), 0);
    assert_int_equal(open_type(play, IKE_INFORMATIONAL, true, 2), 0);
}

#define SIGNED(test) cmocka_unit_test_setup_teardown(test, signed_, end)
#define VERIFIED(test) cmocka_unit_test_setup_teardown(test, verified, end)
#define REFUSED(test) cmocka_unit_test_setup_teardown(test, refused, end)

/* What is not kept nobody could read of who the SeGW is. */
static void an_ike_auth_response_that_can_not_be_kept_is_not_opened(void **state)
{
    Play *play = *state;
    ExchangeState before;

    play_request_auth(play);
    before = exchange_state(play->exchange);
    is_full = true;
    assert_int_equal(open_type(play, IKE_AUTH, true, 1), -ENOMEM);
    is_full = false;
    assert_int_equal(exchange_state(play->exchange), before);
    assert_null(play->exchange->auth.response.payloads.data);
    /* It comes again, as for a SeGW that has not been answered. */
    assert_int_equal(open_type(play, IKE_AUTH, true, 1), 0);
    assert_int_equal(open_type(play, IKE_AUTH, true, 1), EXCHANGE_E_REPLAYED);
}

static void an_ike_auth_request_that_can_not_be_kept_is_not_sealed(void **state)
{
    Play *play = *state;
    SealedMessage sealed = {0};
    uint8_t octets[PLAY_MESSAGE_MAX];
    const PlainMessage message = play_auth_request(play, &play->own, octets);

    is_full = true;
    assert_int_equal(seal(play, &message), -ENOMEM);
    is_full = false;
    assert_null(play->exchange->auth.request.payloads.data);
    assert_int_equal(exchange_protect(play->exchange, &message, 1280, &sealed, &play->reason), 0);
    assert_int_equal(sealed.message_id, 1); /* the first */
    sealed_message_deinit(&sealed);
    assert_true(play->exchange->auth.request.there);
}

static void
a_create_child_sa_message_that_can_not_be_kept_is_opened_when_it_comes_again(void **state)
{
    Play *play = *state;
    SealedMessage sealed = {0};

    is_full = true;
    assert_int_equal(open_type(play, IKE_CREATE_CHILD_SA, false, 0), -ENOMEM);
    is_full = false;
    assert_int_equal(open_type(play, IKE_CREATE_CHILD_SA, false, 0), 0);
    assert_true(play->exchange->peer_create.request.there);
    /* So is a response, and what it answers is kept until then. */
    assert_int_equal(protection_seal(play->exchange->protection, IKE_CREATE_CHILD_SA, false, 0,
                                     (Bytes){0}, 1280, &sealed),
                     0);
    assert_int_equal(exchange_keep(&play->exchange->own_create.request, 0, BYTES_OF(vendor_chain)),
                     0);
    is_full = true;
    assert_int_equal(open_type(play, IKE_CREATE_CHILD_SA, true, sealed.message_id), -ENOMEM);
    is_full = false;
    assert_true(play->exchange->own_create.request.there);
    assert_int_equal(open_type(play, IKE_CREATE_CHILD_SA, true, sealed.message_id), 0);
    sealed_message_deinit(&sealed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIGNED(an_ike_auth_response_that_can_not_be_kept_is_not_opened),
        SIGNED(an_ike_auth_request_that_can_not_be_kept_is_not_sealed),
        VERIFIED(a_create_child_sa_message_that_can_not_be_kept_is_opened_when_it_comes_again),
        SIGNED(the_ike_auth_request_is_sealed_for_the_segw),
        SIGNED(before_verification_only_ike_auth_requests_are_sealed),
        SIGNED(an_ike_auth_request_with_another_auth_is_refused),
        SIGNED(an_ike_auth_request_with_another_method_is_refused),
        SIGNED(an_ike_auth_request_for_another_identity_is_refused),
        SIGNED(a_chain_that_does_not_parse_is_not_sealed),
        SIGNED(a_chain_beyond_any_message_is_too_large),
        SIGNED(a_second_request_waits_for_the_answer_to_the_first),
        SIGNED(a_second_request_is_not_sealed_once_the_first_was_answered),
        SIGNED(an_ike_auth_request_without_idi_or_auth_is_refused),
        SIGNED(an_ike_auth_request_with_two_idi_or_auth_is_refused),
        SIGNED(before_verification_only_ike_auth_responses_are_opened),
        SIGNED(a_request_that_came_too_early_is_opened_when_it_comes_again),
        SIGNED(a_response_twice_is_a_replay),
        SIGNED(a_datagram_with_a_changed_octet_is_not_authentic),
        SIGNED(datagrams_of_any_size_are_handled),
        VERIFIED(after_verification_child_and_informational_pass_both_ways),
        cmocka_unit_test_setup_teardown(
            an_exchange_that_was_replaced_says_its_delete_and_refuses_what_is_new, replaced, end),
        VERIFIED(an_exchange_that_nobody_knows_is_answered_by_an_error_and_nothing_else),
        VERIFIED(after_verification_no_ike_auth_passes),
        VERIFIED(a_response_without_a_request_is_not_sealed),
        REFUSED(a_refused_peer_can_be_told_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
