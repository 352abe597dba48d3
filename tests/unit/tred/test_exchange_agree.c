/* Does Agree take its own request and a fitting response, and nothing else? */
#include "exchange_fixture.h"

#include "tred/exchange_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct Round {
    Play play;
    InitSpec request;
    InitSpec response;
} Round;

static int round_init(void **state)
{
    static Round round;

    play_init(&round.play);
    round.request = play_request_spec(&round.play);
    round.response = play_response_spec(&round.play);
    play_request_build(&round.play, &round.request);
    play_response_build(&round.play, &round.response);
    *state = &round;
    return 0;
}

static int round_deinit(void **state)
{
    Round *round = *state;

    play_deinit(&round->play);
    return 0;
}

static int agree(Round *round)
{
    Play *play = &round->play;

    return exchange_agree(play->exchange, play->request, play->response, &play->reason);
}

/* Refused for `error`, and nothing changed: the true response is taken after it. */
static void assert_refused(Round *round, ExchangeError error)
{
    Play *play = &round->play;

    assert_int_equal(agree(round), error);
    assert_true(strlen(play->reason.text) > 20);
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_BEGUN);
    round->request = play_request_spec(play);
    round->response = play_response_spec(play);
    play_request_build(play, &round->request);
    play_response_build(play, &round->response);
    if (agree(round) != 0)
        fail_msg("the true messages: %s", play->reason.text);
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_AGREED);
}

static void assert_request_refused(Round *round, ExchangeError error)
{
    play_request_build(&round->play, &round->request);
    assert_refused(round, error);
}

static void assert_response_refused(Round *round, ExchangeError error)
{
    play_response_build(&round->play, &round->response);
    assert_refused(round, error);
}

static void the_own_request_and_its_response_are_agreed_on(void **state)
{
    Round *round = *state;
    Play *play = &round->play;

    assert_int_equal(agree(round), 0);
    assert_int_equal(exchange_spi_r(play->exchange), play->spi_r);
    assert_string_equal(exchange_suite_name(play->exchange),
                        "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256");
}

static void both_sides_derive_the_same_keys(void **state)
{
    Round *round = *state;
    const IkeKeys *ours, *segws = &round->play.keys;

    assert_int_equal(agree(round), 0);
    ours = &round->play.exchange->keys;
    assert_true(bytes_equal(secret_bytes(ours->sk_d), secret_bytes(segws->sk_d)));
    assert_true(bytes_equal(secret_bytes(ours->sk_ei), secret_bytes(segws->sk_ei)));
    assert_true(bytes_equal(secret_bytes(ours->sk_er), secret_bytes(segws->sk_er)));
    assert_true(bytes_equal(secret_bytes(ours->sk_pi), secret_bytes(segws->sk_pi)));
    assert_true(bytes_equal(secret_bytes(ours->sk_pr), secret_bytes(segws->sk_pr)));
}

static void no_public_value_is_shown_after_agree(void **state)
{
    Round *round = *state;

    assert_int_equal(agree(round), 0);
    assert_int_equal(exchange_ke_i(round->play.exchange).size, 0);
}

static void the_hashes_of_both_sides_are_remembered(void **state)
{
    Round *round = *state;
    static const uint8_t ours[] = {0, IKE_HASH_SHA2_512};

    round->request.hashes = BYTES_OF(ours);
    play_request_build(&round->play, &round->request);
    assert_int_equal(agree(round), 0);
    assert_int_equal(round->play.exchange->n_own_hashes, 1);
    assert_int_equal(round->play.exchange->own_hashes[0], IKE_HASH_SHA2_512);
    assert_int_equal(round->play.exchange->n_peer_hashes, 2);
    assert_int_equal(round->play.exchange->peer_hashes[0], IKE_HASH_SHA2_256);
    assert_int_equal(round->play.exchange->peer_hashes[1], IKE_HASH_SHA2_384);
}

static void a_long_list_of_hashes_is_read_to_its_bound(void **state)
{
    Round *round = *state;
    static const uint8_t hashes[2000];

    round->response.hashes = BYTES_OF(hashes);
    play_response_build(&round->play, &round->response);
    assert_int_equal(agree(round), 0);
    assert_int_equal(round->play.exchange->n_peer_hashes, EXCHANGE_HASHES_MAX);
}

static void a_request_with_another_spi_is_foreign(void **state)
{
    Round *round = *state;

    round->request.header.spi_i ^= 1;
    assert_request_refused(round, EXCHANGE_E_FOREIGN_REQUEST);
}

static void a_request_with_a_responders_spi_is_foreign(void **state)
{
    Round *round = *state;

    round->request.header.spi_r = 7;
    assert_request_refused(round, EXCHANGE_E_FOREIGN_REQUEST);
}

static void a_request_with_another_nonce_is_foreign(void **state)
{
    static const uint8_t nonce[32] = {1};
    Round *round = *state;

    round->request.nonce = BYTES_OF(nonce);
    assert_request_refused(round, EXCHANGE_E_FOREIGN_REQUEST);
}

static void a_request_with_a_longer_nonce_is_foreign(void **state)
{
    Round *round = *state;
    uint8_t nonce[33] = {0};

    memcpy(nonce, round->request.nonce.data, 32);
    round->request.nonce = BYTES_OF(nonce);
    assert_request_refused(round, EXCHANGE_E_FOREIGN_REQUEST);
}

static void a_request_with_another_ke_is_foreign(void **state)
{
    Round *round = *state;

    round->request.ke.data = dh_public(round->play.dh);
    assert_request_refused(round, EXCHANGE_E_FOREIGN_REQUEST);
}

static void a_request_with_the_ke_before_choose_group_is_foreign(void **state)
{
    Round *round = *state;
    Play *play = &round->play;

    assert_int_equal(exchange_choose_group(play->exchange, IKE_GROUP_ECP_256, &play->reason), 0);
    assert_refused(round, EXCHANGE_E_FOREIGN_REQUEST);
}

static void a_request_that_names_another_group_is_foreign(void **state)
{
    Round *round = *state;

    round->request.ke.group = IKE_GROUP_CURVE25519;
    assert_request_refused(round, EXCHANGE_E_FOREIGN_REQUEST);
}

static void a_request_of_another_exchange_type_is_foreign(void **state)
{
    Round *round = *state;

    round->request.header.exchange_type = IKE_CREATE_CHILD_SA;
    assert_request_refused(round, EXCHANGE_E_FOREIGN_REQUEST);
}

static void a_request_with_a_message_id_is_foreign(void **state)
{
    Round *round = *state;

    round->request.header.message_id = 1;
    assert_request_refused(round, EXCHANGE_E_FOREIGN_REQUEST);
}

static void a_request_that_says_response_is_foreign(void **state)
{
    Round *round = *state;

    round->request.header.flags = IKE_FLAG_INITIATOR | IKE_FLAG_RESPONSE;
    assert_request_refused(round, EXCHANGE_E_FOREIGN_REQUEST);
}

static void the_response_as_request_is_foreign(void **state)
{
    Round *round = *state;

    round->play.request = round->play.response;
    assert_refused(round, EXCHANGE_E_FOREIGN_REQUEST);
}

static void a_message_without_sa_ke_or_nonce_is_malformed(void **state)
{
    static const uint8_t types[] = {IKE_PAYLOAD_SA, IKE_PAYLOAD_KE, IKE_PAYLOAD_NONCE};
    Round *round = *state;

    for (size_t i = 0; i < ELEMENTS(types); i++) {
        round->response.omit = types[i];
        play_response_build(&round->play, &round->response);
        assert_int_equal(agree(round), EXCHANGE_E_MALFORMED);
        round->response.omit = 0;
        play_response_build(&round->play, &round->response);
        round->request.omit = types[i];
        play_request_build(&round->play, &round->request);
        assert_int_equal(agree(round), EXCHANGE_E_MALFORMED);
        round->request.omit = 0;
        play_request_build(&round->play, &round->request);
    }
    assert_int_equal(agree(round), 0);
}

static void a_message_cut_anywhere_is_malformed(void **state)
{
    Round *round = *state;
    Play *play = &round->play;
    const Bytes whole = play->response;

    for (size_t size = 0; size < whole.size; size++) {
        play->response = bytes_slice(whole, 0, size);
        assert_int_equal(agree(round), EXCHANGE_E_MALFORMED);
    }
    play->response = whole;
    assert_int_equal(agree(round), 0);
}

static void a_message_above_the_limit_is_too_large(void **state)
{
    static const uint8_t large[EXCHANGE_INIT_SIZE_MAX + 1];
    Round *round = *state;

    /* As large as one may be, and of nothing but zeros. */
    round->play.response = (Bytes){large, EXCHANGE_INIT_SIZE_MAX};
    assert_int_equal(agree(round), EXCHANGE_E_MALFORMED);
    round->play.response = BYTES_OF(large);
    assert_refused(round, EXCHANGE_E_TOO_LARGE);
}

static void a_response_with_another_spi_is_foreign(void **state)
{
    Round *round = *state;

    round->response.header.spi_i ^= 1;
    assert_response_refused(round, EXCHANGE_E_FOREIGN_RESPONSE);
}

static void a_response_without_a_responders_spi_is_foreign(void **state)
{
    Round *round = *state;

    round->response.header.spi_r = 0;
    assert_response_refused(round, EXCHANGE_E_FOREIGN_RESPONSE);
}

static void the_request_as_its_own_response_is_foreign(void **state)
{
    Round *round = *state;

    round->play.response = round->play.request;
    assert_refused(round, EXCHANGE_E_FOREIGN_RESPONSE);
}

static void a_response_with_the_initiators_flag_is_foreign(void **state)
{
    Round *round = *state;

    round->response.header.flags = IKE_FLAG_RESPONSE | IKE_FLAG_INITIATOR;
    assert_response_refused(round, EXCHANGE_E_FOREIGN_RESPONSE);
}

static void a_response_with_a_message_id_is_foreign(void **state)
{
    Round *round = *state;

    round->response.header.message_id = 1;
    assert_response_refused(round, EXCHANGE_E_FOREIGN_RESPONSE);
}

static void a_suite_that_was_not_offered_is_refused(void **state)
{
    Round *round = *state;

    round->response.sa.proposals[0].transforms[0].key_length = 256;
    assert_response_refused(round, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void a_suite_outside_the_profile_is_refused_although_it_was_offered(void **state)
{
    Round *round = *state;

    round->request.sa.proposals[0].transforms[1].id = 2; /* PRF_HMAC_SHA1 */
    round->response.sa.proposals[0].transforms[1].id = 2;
    play_request_build(&round->play, &round->request);
    assert_response_refused(round, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void it_is_said_what_is_wrong_with_a_suite(void **state)
{
    static const struct {
        int error;
        const char *why;
    } cases[] = {{SUITE_E_NOT_OFFERED, "that the request did not offer"},
                 {SUITE_E_NOT_ALLOWED, "outside the profile"},
                 {SUITE_E_AMBIGUOUS, "one proposal with one transform of each type"}};
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        assert_int_equal(exchange_suite_refuse(cases[i].error, &reason),
                         EXCHANGE_E_SUITE_NOT_ALLOWED);
        assert_non_null(strstr(reason.text, cases[i].why));
    }
}

static void two_proposals_in_the_response_are_refused(void **state)
{
    Round *round = *state;

    round->response.sa.n_proposals = 2;
    round->response.sa.proposals[1] = round->response.sa.proposals[0];
    round->response.sa.proposals[1].number = 2;
    assert_response_refused(round, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void a_ke_of_another_group_than_chosen_is_refused(void **state)
{
    Round *round = *state;

    round->response.ke.group = IKE_GROUP_CURVE25519;
    assert_response_refused(round, EXCHANGE_E_BAD_KEY_EXCHANGE);
}

static void a_chosen_group_that_is_not_our_kes_is_refused(void **state)
{
    Round *round = *state;
    IkeProposal *offer = &round->request.sa.proposals[0];

    offer->transforms[offer->n_transforms++] =
        (IkeTransform){.type = IKE_TRANSFORM_KE, .id = IKE_GROUP_CURVE25519};
    play_request_build(&round->play, &round->request);
    round->response.sa.proposals[0].transforms[2].id = IKE_GROUP_CURVE25519;
    round->response.ke.group = IKE_GROUP_CURVE25519;
    assert_response_refused(round, EXCHANGE_E_BAD_KEY_EXCHANGE);
}

static void a_point_off_the_curve_is_refused(void **state)
{
    Round *round = *state;
    uint8_t off[64] = {1};

    round->response.ke.data = BYTES_OF(off);
    assert_response_refused(round, EXCHANGE_E_BAD_KEY_EXCHANGE);
}

static void a_nonce_of_16_octets_is_enough_for_a_prf_of_32(void **state)
{
    Round *round = *state;

    round->response.nonce.size = 16;
    play_response_build(&round->play, &round->response);
    assert_int_equal(agree(round), 0);
}

static void a_nonce_below_half_the_prfs_key_size_is_refused(void **state)
{
    Round *round = *state;

    round->request.sa.proposals[0].transforms[1].id = IKE_PRF_HMAC_SHA2_512;
    round->response.sa.proposals[0].transforms[1].id = IKE_PRF_HMAC_SHA2_512;
    round->response.nonce.size = 31;
    play_request_build(&round->play, &round->request);
    assert_response_refused(round, EXCHANGE_E_FOREIGN_RESPONSE);
}

static void fragmentation_needs_both_sides(void **state)
{
    for (unsigned i = 0; i < 4; i++) {
        Round *round = *state;
        Play *play = &round->play;
        static uint8_t body[2000];
        SealedMessage sealed = {0};
        PlainMessage message = {.exchange_type = IKE_AUTH, .first = IKE_PAYLOAD_IDI};
        uint8_t chain[PLAY_MESSAGE_MAX];
        IkeChain builder;
        Writer writer;

        round->request.fragmentation = (i & 1) != 0;
        round->response.fragmentation = (i & 2) != 0;
        play_request_build(play, &round->request);
        play_response_build(play, &round->response);
        assert_int_equal(agree(round), 0);
        play_sign(play);
        writer_init(&writer, chain, sizeof(chain));
        ike_chain_init(&builder, &writer);
        ike_chain_add_id(&builder, IKE_PAYLOAD_IDI, &(IkeId){play->own.id_type, play->own.id_data});
        ike_chain_add_auth(&builder, play->own.method, play->own.data);
        ike_chain_add(&builder, IKE_PAYLOAD_VENDOR_ID, BYTES_OF(body));
        assert_int_equal(writer_finish(&writer, &message.payloads), 0);
        assert_int_equal(exchange_protect(play->exchange, &message, 1000, &sealed, &play->reason),
                         0);
        assert_int_equal(sealed.count, i == 3 ? 3 : 1);
        sealed_message_deinit(&sealed);
        round_deinit(state);
        round_init(state);
    }
}

#define ROUND(test) cmocka_unit_test_setup_teardown(test, round_init, round_deinit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUND(the_own_request_and_its_response_are_agreed_on),
        ROUND(both_sides_derive_the_same_keys),
        ROUND(no_public_value_is_shown_after_agree),
        ROUND(the_hashes_of_both_sides_are_remembered),
        ROUND(a_long_list_of_hashes_is_read_to_its_bound),
        ROUND(a_request_with_another_spi_is_foreign),
        ROUND(a_request_with_a_responders_spi_is_foreign),
        ROUND(a_request_with_another_nonce_is_foreign),
        ROUND(a_request_with_a_longer_nonce_is_foreign),
        ROUND(a_request_with_another_ke_is_foreign),
        ROUND(a_request_with_the_ke_before_choose_group_is_foreign),
        ROUND(a_request_that_names_another_group_is_foreign),
        ROUND(a_request_of_another_exchange_type_is_foreign),
        ROUND(a_request_with_a_message_id_is_foreign),
        ROUND(a_request_that_says_response_is_foreign),
        ROUND(the_response_as_request_is_foreign),
        ROUND(a_message_without_sa_ke_or_nonce_is_malformed),
        ROUND(a_message_cut_anywhere_is_malformed),
        ROUND(a_message_above_the_limit_is_too_large),
        ROUND(a_response_with_another_spi_is_foreign),
        ROUND(a_response_without_a_responders_spi_is_foreign),
        ROUND(the_request_as_its_own_response_is_foreign),
        ROUND(a_response_with_the_initiators_flag_is_foreign),
        ROUND(a_response_with_a_message_id_is_foreign),
        ROUND(a_suite_that_was_not_offered_is_refused),
        ROUND(a_suite_outside_the_profile_is_refused_although_it_was_offered),
        ROUND(it_is_said_what_is_wrong_with_a_suite),
        ROUND(two_proposals_in_the_response_are_refused),
        ROUND(a_ke_of_another_group_than_chosen_is_refused),
        ROUND(a_chosen_group_that_is_not_our_kes_is_refused),
        ROUND(a_point_off_the_curve_is_refused),
        ROUND(a_nonce_of_16_octets_is_enough_for_a_prf_of_32),
        ROUND(a_nonce_below_half_the_prfs_key_size_is_refused),
        ROUND(fragmentation_needs_both_sides),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
