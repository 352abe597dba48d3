/* Has each response to one IKE_SA_INIT request an exchange of its own, with keys of its own? (RFC
 * 7296 2.4) */
#include "exchange_fixture.h"

#include "tred/exchange_internal.h"

#include <openssl/bn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { P256_SIZE = 32 };

/* An exchange that has agreed on a response, and a fork of it. */
typedef struct Pair {
    Play play;
    Exchange *fork;
    InitSpec response; /* that was agreed on */
    uint8_t ke[DH_PUBLIC_MAX];
} Pair;

static int pair_init(void **state)
{
    static Pair pair;

    pair = (Pair){0};
    play_init(&pair.play);
    play_agree(&pair.play);
    pair.response = play_response_spec(&pair.play);
    memcpy(pair.ke, pair.response.ke.data.data, pair.response.ke.data.size);
    pair.response.ke.data.data = pair.ke;
    assert_int_equal(exchange_fork(pair.play.exchange, &pair.fork, &pair.play.reason), 0);
    *state = &pair;
    return 0;
}

static int pair_deinit(void **state)
{
    Pair *pair = *state;

    exchange_free(pair->fork);
    play_deinit(&pair->play);
    return 0;
}

static const Secret *sk_d(const Exchange *exchange)
{
    return exchange->keys.sk_d;
}

/* Has the fork agree on what pair->response is. */
static int agree(Pair *pair)
{
    uint8_t octets[PLAY_MESSAGE_MAX];
    const Bytes response = init_build(&pair->response, octets);

    return exchange_agree(pair->fork, pair->play.request, response, &pair->play.reason);
}

static void a_fork_has_the_requests_spi_nonce_and_ke(void **state)
{
    const Pair *pair = *state;

    assert_int_equal(exchange_state(pair->fork), EXCHANGE_BEGUN);
    assert_int_equal(exchange_spi_i(pair->fork), exchange_spi_i(pair->play.exchange));
    assert_true(bytes_equal(exchange_nonce_i(pair->fork), exchange_nonce_i(pair->play.exchange)));
    assert_true(bytes_equal(exchange_ke_i(pair->fork),
                            dh_public(key_offer_dh(pair->play.exchange->offer))));
}

static void another_response_leads_to_other_keys_and_both_are_kept(void **state)
{
    Pair *pair = *state;

    pair->response.header.spi_r++;
    assert_int_equal(agree(pair), 0);
    assert_int_equal(exchange_state(pair->fork), EXCHANGE_AGREED);
    assert_int_equal(exchange_state(pair->play.exchange), EXCHANGE_AGREED);
    assert_false(
        bytes_equal(secret_bytes(sk_d(pair->fork)), secret_bytes(sk_d(pair->play.exchange))));
}

static void the_exchange_whose_peer_answers_is_verified_though_there_is_a_fork(void **state)
{
    Pair *pair = *state;

    pair->response.header.spi_r++;
    assert_int_equal(agree(pair), 0);
    play_sign(&pair->play);
    play_verify(&pair->play);
    assert_int_equal(exchange_state(pair->play.exchange), EXCHANGE_VERIFIED);
    assert_null(pair->play.exchange->offer);
}

static void assert_foreign(Pair *pair)
{
    assert_int_equal(agree(pair), EXCHANGE_E_FOREIGN_RESPONSE);
    assert_true(strlen(pair->play.reason.text) > 20);
    assert_int_equal(exchange_state(pair->fork), EXCHANGE_BEGUN);
    assert_null(pair->fork->keys.sk_d);
}

/* The same keys twice would use the same IVs twice. */
static void one_response_is_not_agreed_on_twice(void **state)
{
    assert_foreign(*state);
}

static void nor_is_it_when_the_first_exchange_is_closed(void **state)
{
    Pair *pair = *state;
    uint8_t octets[PLAY_MESSAGE_MAX];
    const Bytes response = init_build(&pair->response, octets);

    exchange_free(pair->play.exchange);
    pair->play.exchange = NULL;
    assert_int_equal(exchange_agree(pair->fork, pair->play.request, response, &pair->play.reason),
                     EXCHANGE_E_FOREIGN_RESPONSE);
}

/* (x, y) and (x, p - y) have one x, which is the secret. */
static void a_response_that_differs_and_leads_to_the_same_keys_is_refused(void **state)
{
    Pair *pair = *state;
    BIGNUM *p = BN_new(), *y = BN_bin2bn(pair->ke + P256_SIZE, P256_SIZE, NULL);

    assert_non_null(
        BN_hex2bn(&p, "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"));
    assert_true(BN_sub(y, p, y));
    assert_int_equal(BN_bn2binpad(y, pair->ke + P256_SIZE, P256_SIZE), P256_SIZE);
    BN_free(p);
    BN_free(y);
    assert_foreign(pair);
}

static void a_fifth_response_is_refused(void **state)
{
    Pair *pair = *state;

    for (unsigned i = 2; i <= KEY_OFFER_RESPONSES_MAX; i++) {
        pair->response.header.spi_r++;
        assert_int_equal(agree(pair), 0);
        exchange_free(pair->fork);
        pair->fork = NULL;
        assert_int_equal(exchange_fork(pair->play.exchange, &pair->fork, &pair->play.reason), 0);
    }
    pair->response.header.spi_r++;
    assert_foreign(pair);
}

/* Whoever hands the same in again and again has no more keys derived for it. */
static void responses_that_lead_nowhere_are_looked_at_so_many_times(void **state)
{
    Pair *pair = *state;

    for (unsigned i = 0; i < KEY_OFFER_REFUSALS_MAX; i++) {
        assert_foreign(pair);
        assert_non_null(strstr(pair->play.reason.text, "Ignore it"));
    }
    assert_foreign(pair);
    assert_non_null(strstr(pair->play.reason.text, "Begin another exchange"));
    pair->response.header.spi_r++;
    assert_foreign(pair);
    /* It is of the request, and not of one that stands for it. */
    exchange_free(pair->fork);
    pair->fork = NULL;
    assert_int_equal(exchange_fork(pair->play.exchange, &pair->fork, &pair->play.reason), 0);
    assert_foreign(pair);
}

static void a_fork_does_not_change_the_group(void **state)
{
    Pair *pair = *state;

    assert_int_equal(exchange_choose_group(pair->fork, IKE_GROUP_ECP_384, &pair->play.reason),
                     EXCHANGE_E_WRONG_STATE);
}

static void there_is_no_fork_once_an_ike_auth_response_is_authentic(void **state)
{
    Pair *pair = *state;
    Play *play = &pair->play;
    uint8_t octets[PLAY_MESSAGE_MAX];
    OpenedMessage opened = {0};
    Exchange *fork = NULL;
    bool complete = false;

    play_sign(play);
    play_request_auth(play);
    const Bytes datagram = play_seal(play, IKE_AUTH, true, 1, IKE_PAYLOAD_NONE, (Bytes){0}, octets);
    assert_int_equal(
        exchange_unprotect(play->exchange, datagram, &complete, &opened, &play->reason), 0);
    opened_message_deinit(&opened);
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_SIGNED);
    assert_int_equal(exchange_fork(play->exchange, &fork, &play->reason), EXCHANGE_E_WRONG_STATE);
    assert_null(play->exchange->offer);
}

#define PAIR(test) cmocka_unit_test_setup_teardown(test, pair_init, pair_deinit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR(a_fork_has_the_requests_spi_nonce_and_ke),
        PAIR(another_response_leads_to_other_keys_and_both_are_kept),
        PAIR(the_exchange_whose_peer_answers_is_verified_though_there_is_a_fork),
        PAIR(one_response_is_not_agreed_on_twice),
        PAIR(nor_is_it_when_the_first_exchange_is_closed),
        PAIR(a_response_that_differs_and_leads_to_the_same_keys_is_refused),
        PAIR(a_fifth_response_is_refused),
        PAIR(responses_that_lead_nowhere_are_looked_at_so_many_times),
        PAIR(a_fork_does_not_change_the_group),
        PAIR(there_is_no_fork_once_an_ike_auth_response_is_authentic),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
