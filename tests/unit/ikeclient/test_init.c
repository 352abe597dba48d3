/* Is IKE_SA_INIT asked for as RFC 7296 says, and can an answer from a stranger do no more than
 * delay us? */
#include "ikeclient/init.h"

#include "ikeclient/proposals.h"
#include "octets.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SPI_I = 0x1d1d1d1d };

typedef struct Fixture {
    IkeSaPayload offer;
    InitExchange init;
    Endpoint henb;
    Endpoint segw;
    Draft draft;
    InitResponse response;
} Fixture;

static const uint8_t nonce[32] = {1, 2, 3};
static const uint8_t ke_p256[64] = {4, 5, 6};
static const uint8_t ke_p384[96] = {7, 8, 9};

static int setup(void **state)
{
    static Fixture fixture;
    char problem[PROPOSALS_PROBLEM_SIZE];

    fixture = (Fixture){0};
    fixture.henb = endpoint_of("198.51.100.7", 40000);
    fixture.segw = endpoint_of("192.0.2.1", 500);
    assert_int_equal(
        proposals_parse("aes128gcm16-prfsha256-ecp256-ecp384, aes128-sha256-curve25519",
                        IKE_PROTOCOL_IKE, &fixture.offer, problem),
        0);
    assert_int_equal(init_begin(&fixture.init, &fixture.offer, IKE_GROUP_ECP_256, SPI_I,
                                BYTES_OF(nonce), BYTES_OF(ke_p256)),
                     0);
    *state = &fixture;
    return 0;
}

static Bytes request(Fixture *f, uint8_t *octets, size_t size)
{
    Writer writer;
    Bytes written;

    writer_init(&writer, octets, size);
    init_request_encode(&f->init, &f->henb, &f->segw, &writer);
    assert_int_equal(writer_finish(&writer, &written), 0);
    return written;
}

static InitVerdict judge(Fixture *f, Bytes datagram)
{
    init_response_judge(&f->init, datagram, &f->henb, &f->segw, &f->response);
    return f->response.verdict;
}

/* A response that holds one notify and nothing else. */
static InitVerdict judge_notify(Fixture *f, uint16_t type, Bytes data)
{
    draft_begin_message(&f->draft, SPI_I, 0, IKE_SA_INIT, IKE_FLAG_RESPONSE, 0);
    ike_chain_add_notify(&f->draft.chain, type, data);
    return judge(f, draft_end_message(&f->draft));
}

static InitVerdict judge_group(Fixture *f, uint16_t group)
{
    uint8_t data[2] = {(uint8_t)(group >> 8), (uint8_t)group};

    return judge_notify(f, IKE_NOTIFY_INVALID_KE_PAYLOAD, BYTES_OF(data));
}

static InitVerdict judge_cookie(Fixture *f, uint8_t first, size_t size)
{
    uint8_t cookie[IKE_COOKIE_MAX + 1] = {first};

    return judge_notify(f, IKE_NOTIFY_COOKIE, (Bytes){cookie, size});
}

/* ---- the request ---- */

static void who_was_sent_here_says_by_whom_and_anybody_else_that_he_can_be_sent(void **state)
{
    static const uint8_t from[] = {1, 4, 192, 0, 2, 77};
    InitExchange *init = &((Fixture *)*state)->init;
    uint8_t octets[2048];
    IkeMessage message;
    IkeNotify notify;

    assert_int_equal(ike_message_decode(request(*state, octets, sizeof(octets)), &message, NULL),
                     0);
    assert_true(ike_payloads_notify(&message.payloads, IKE_NOTIFY_REDIRECT_SUPPORTED, &notify));
    assert_false(ike_payloads_notify(&message.payloads, IKE_NOTIFY_REDIRECTED_FROM, &notify));
    init->redirected_from = endpoint_of("192.0.2.77", 500);
    assert_int_equal(ike_message_decode(request(*state, octets, sizeof(octets)), &message, NULL),
                     0);
    assert_true(ike_payloads_notify(&message.payloads, IKE_NOTIFY_REDIRECTED_FROM, &notify));
    assert_true(bytes_equal(notify.data, BYTES_OF(from)));
    assert_false(ike_payloads_notify(&message.payloads, IKE_NOTIFY_REDIRECT_SUPPORTED, &notify));
}

static void the_request_has_its_payloads_in_the_order_of_appendix_c(void **state)
{
    static const uint8_t types[] = {IKE_PAYLOAD_SA,     IKE_PAYLOAD_KE,     IKE_PAYLOAD_NONCE,
                                    IKE_PAYLOAD_NOTIFY, IKE_PAYLOAD_NOTIFY, IKE_PAYLOAD_NOTIFY,
                                    IKE_PAYLOAD_NOTIFY, IKE_PAYLOAD_NOTIFY};
    uint8_t octets[2048];
    IkeMessage message;
    IkeNotify notify;

    assert_int_equal(ike_message_decode(request(*state, octets, sizeof(octets)), &message, NULL),
                     0);
    assert_int_equal(message.header.spi_i, SPI_I);
    assert_int_equal(message.header.spi_r, 0);
    assert_int_equal(message.header.message_id, 0);
    assert_int_equal(message.header.flags, IKE_FLAG_INITIATOR);
    assert_int_equal(message.payloads.count, sizeof(types));
    for (size_t i = 0; i < sizeof(types); i++)
        assert_int_equal(message.payloads.items[i].type, types[i]);
    assert_true(
        ike_payloads_notify(&message.payloads, IKE_NOTIFY_FRAGMENTATION_SUPPORTED, &notify));
    assert_true(
        ike_payloads_notify(&message.payloads, IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS, &notify));
    assert_memory_equal(notify.data.data, "\0\2\0\3\0\4", 6);
}

static void the_nat_hashes_are_of_both_ends_with_no_responder_spi(void **state)
{
    Fixture *f = *state;
    uint8_t octets[2048], hash[NAT_HASH_SIZE];
    IkeMessage message;
    IkeNotify notify;

    assert_int_equal(ike_message_decode(request(f, octets, sizeof(octets)), &message, NULL), 0);
    nat_hash(SPI_I, 0, &f->henb, hash);
    assert_true(
        ike_payloads_notify(&message.payloads, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, &notify));
    assert_memory_equal(notify.data.data, hash, sizeof(hash));
    nat_hash(SPI_I, 0, &f->segw, hash);
    assert_true(
        ike_payloads_notify(&message.payloads, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, &notify));
    assert_memory_equal(notify.data.data, hash, sizeof(hash));
}

static void a_cookie_goes_first_and_all_else_stays_as_it_was(void **state)
{
    Fixture *f = *state;
    uint8_t before[2048], after[2048];
    Bytes plain = request(f, before, sizeof(before));
    enum { NOTIFY_SIZE = 4 + 4 + 20 };

    assert_int_equal(judge_cookie(f, 0xc0, 20), INIT_COOKIE);
    Bytes with = request(f, after, sizeof(after));
    assert_int_equal(with.size, plain.size + NOTIFY_SIZE);
    assert_int_equal(after[16], IKE_PAYLOAD_NOTIFY);
    assert_int_equal(after[IKE_HEADER_SIZE], IKE_PAYLOAD_SA);
    assert_int_equal(after[IKE_HEADER_SIZE + 8], 0xc0);
    assert_memory_equal(after + IKE_HEADER_SIZE + NOTIFY_SIZE, before + IKE_HEADER_SIZE,
                        plain.size - IKE_HEADER_SIZE);
}

static void a_nonce_or_public_value_out_of_bounds_is_refused(void **state)
{
    Fixture *f = *state;
    uint8_t large[INIT_KE_MAX + 1] = {0};

    assert_int_equal(
        init_begin(&f->init, &f->offer, 19, SPI_I, (Bytes){nonce, 15}, BYTES_OF(ke_p256)),
        -EMSGSIZE);
    assert_int_equal(
        init_begin(&f->init, &f->offer, 19, SPI_I, (Bytes){large, 257}, BYTES_OF(ke_p256)),
        -EMSGSIZE);
    assert_int_equal(init_begin(&f->init, &f->offer, 19, SPI_I, BYTES_OF(nonce), BYTES_OF(large)),
                     -EMSGSIZE);
    assert_int_equal(init_begin(&f->init, &f->offer, 19, SPI_I, BYTES_OF(nonce), (Bytes){0}),
                     -EMSGSIZE);
}

/* ---- cookies and groups ---- */

static void a_cookie_and_another_group_go_together_in_either_order(void **state)
{
    Fixture *f = *state;
    uint8_t octets[2048];
    IkeMessage message;
    IkeNotify notify;
    IkeKe ke;

    for (int group_first = 0; group_first < 2; group_first++) {
        assert_int_equal(setup(state), 0);
        if (!group_first)
            assert_int_equal(judge_cookie(f, 0xc0, 8), INIT_COOKIE);
        assert_int_equal(judge_group(f, IKE_GROUP_ECP_384), INIT_GROUP);
        assert_int_equal(f->response.group, IKE_GROUP_ECP_384);
        assert_int_equal(init_change_group(&f->init, IKE_GROUP_ECP_384, BYTES_OF(ke_p384)), 0);
        if (group_first)
            assert_int_equal(judge_cookie(f, 0xc0, 8), INIT_COOKIE);

        assert_int_equal(ike_message_decode(request(f, octets, sizeof(octets)), &message, NULL), 0);
        assert_true(ike_payloads_notify(&message.payloads, IKE_NOTIFY_COOKIE, &notify));
        const IkePayload *payload = ike_payloads_find(&message.payloads, IKE_PAYLOAD_KE);
        assert_int_equal(ike_ke_decode(payload->body, &ke), 0);
        assert_int_equal(ke.group, IKE_GROUP_ECP_384);
        assert_int_equal(ke.data.size, sizeof(ke_p384));
    }
}

static void a_new_cookie_takes_the_place_of_the_old_one(void **state)
{
    Fixture *f = *state;

    assert_int_equal(judge_cookie(f, 1, 64), INIT_COOKIE);
    assert_int_equal(judge_cookie(f, 2, 1), INIT_COOKIE);
    assert_int_equal(f->init.cookie_size, 1);
    assert_int_equal(f->init.cookie[0], 2);
}

static void the_cookie_that_is_under_way_is_not_sent_again(void **state)
{
    Fixture *f = *state;

    assert_int_equal(judge_cookie(f, 1, 8), INIT_COOKIE);
    assert_int_equal(judge_cookie(f, 1, 8), INIT_DROP);
}

static void cookies_without_end_are_dropped(void **state)
{
    Fixture *f = *state;

    for (int i = 1; i <= INIT_COOKIES_MAX; i++)
        assert_int_equal(judge_cookie(f, (uint8_t)i, 8), INIT_COOKIE);
    assert_int_equal(judge_cookie(f, 99, 8), INIT_DROP);
}

static void a_cookie_of_no_or_too_many_octets_is_dropped(void **state)
{
    Fixture *f = *state;

    assert_int_equal(judge_cookie(f, 1, 0), INIT_DROP);
    assert_int_equal(judge_cookie(f, 1, IKE_COOKIE_MAX + 1), INIT_DROP);
}

static void a_group_that_we_did_not_offer_is_dropped(void **state)
{
    assert_int_equal(judge_group(*state, IKE_GROUP_MODP_2048), INIT_DROP);
}

static void the_group_that_we_sent_is_dropped(void **state)
{
    assert_int_equal(judge_group(*state, IKE_GROUP_ECP_256), INIT_DROP);
}

static void groups_without_end_are_dropped(void **state)
{
    Fixture *f = *state;

    for (int i = 0; i < INIT_GROUP_CHANGES_MAX; i++) {
        uint16_t group = i % 2 == 0 ? IKE_GROUP_ECP_384 : IKE_GROUP_ECP_256;
        assert_int_equal(judge_group(f, group), INIT_GROUP);
        assert_int_equal(init_change_group(&f->init, group, BYTES_OF(ke_p256)), 0);
    }
    assert_int_equal(judge_group(f, IKE_GROUP_ECP_384), INIT_DROP);
}

static void a_group_of_one_octet_or_three_is_dropped(void **state)
{
    static const uint8_t data[] = {0, IKE_GROUP_ECP_384, 0};

    assert_int_equal(judge_notify(*state, IKE_NOTIFY_INVALID_KE_PAYLOAD, (Bytes){data, 1}),
                     INIT_DROP);
    assert_int_equal(judge_notify(*state, IKE_NOTIFY_INVALID_KE_PAYLOAD, (Bytes){data, 3}),
                     INIT_DROP);
}

/* ---- answers ---- */

static void a_whole_answer_is_one_for_tred(void **state)
{
    Fixture *f = *state;

    assert_int_equal(judge(f, draft_init_response(&f->draft, &f->offer, SPI_I, IKE_GROUP_ECP_256,
                                                  &f->segw, &f->henb)),
                     INIT_ANSWER);
    assert_int_equal(f->response.spi_r, TEST_SPI_R);
    assert_true(f->response.nat.supported);
    assert_false(f->response.nat.here);
    assert_false(f->response.certreq);
    assert_false(f->response.fragmentation);
}

static void an_error_is_a_hint_and_no_more(void **state)
{
    Fixture *f = *state;

    assert_int_equal(judge_notify(f, IKE_NOTIFY_NO_PROPOSAL_CHOSEN, (Bytes){0}), INIT_HINT);
    assert_int_equal(f->response.error, IKE_NOTIFY_NO_PROPOSAL_CHOSEN);
    assert_int_equal(judge_notify(f, 9999, (Bytes){0}), INIT_HINT);
    /* and the real answer is still taken */
    assert_int_equal(judge(f, draft_init_response(&f->draft, &f->offer, SPI_I, IKE_GROUP_ECP_256,
                                                  &f->segw, &f->henb)),
                     INIT_ANSWER);
}

static void a_status_notify_alone_is_dropped(void **state)
{
    assert_int_equal(judge_notify(*state, 40000, (Bytes){0}), INIT_DROP);
}

static InitVerdict judge_with_header(Fixture *f, size_t offset, uint8_t value)
{
    Bytes answer = draft_init_response(&f->draft, &f->offer, SPI_I, IKE_GROUP_ECP_256, NULL, NULL);

    f->draft.octets[offset] = value;
    return judge(f, answer);
}

static void a_datagram_that_is_no_answer_to_us_is_dropped(void **state)
{
    Fixture *f = *state;
    enum { SPI_I_OFFSET = 7, EXCHANGE_OFFSET = 18, FLAGS_OFFSET = 19, ID_OFFSET = 23 };

    assert_int_equal(judge_with_header(f, EXCHANGE_OFFSET, IKE_SA_INIT), INIT_ANSWER);
    assert_int_equal(judge_with_header(f, SPI_I_OFFSET, 0x1e), INIT_DROP);
    assert_int_equal(judge_with_header(f, EXCHANGE_OFFSET, IKE_AUTH), INIT_DROP);
    assert_int_equal(judge_with_header(f, FLAGS_OFFSET, 0), INIT_DROP);
    assert_int_equal(judge_with_header(f, FLAGS_OFFSET, IKE_FLAG_RESPONSE | IKE_FLAG_INITIATOR),
                     INIT_DROP);
    assert_int_equal(judge_with_header(f, ID_OFFSET, 1), INIT_DROP);
}

static void an_answer_without_a_responder_spi_is_dropped(void **state)
{
    Fixture *f = *state;
    Bytes answer = draft_init_response(&f->draft, &f->offer, SPI_I, IKE_GROUP_ECP_256, NULL, NULL);

    memset(f->draft.octets + 8, 0, 8);
    assert_int_equal(judge(f, answer), INIT_DROP);
}

static void an_answer_cut_off_anywhere_is_dropped(void **state)
{
    Fixture *f = *state;
    Bytes answer =
        draft_init_response(&f->draft, &f->offer, SPI_I, IKE_GROUP_ECP_256, &f->segw, &f->henb);

    for (size_t size = 0; size < answer.size; size++)
        assert_int_equal(judge(f, (Bytes){answer.data, size}), INIT_DROP);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_was_sent_here_says_by_whom_and_anybody_else_that_he_can_be_sent),
        TEST(the_request_has_its_payloads_in_the_order_of_appendix_c),
        TEST(the_nat_hashes_are_of_both_ends_with_no_responder_spi),
        TEST(a_cookie_goes_first_and_all_else_stays_as_it_was),
        TEST(a_nonce_or_public_value_out_of_bounds_is_refused),
        TEST(a_cookie_and_another_group_go_together_in_either_order),
        TEST(a_new_cookie_takes_the_place_of_the_old_one),
        TEST(the_cookie_that_is_under_way_is_not_sent_again),
        TEST(cookies_without_end_are_dropped),
        TEST(a_cookie_of_no_or_too_many_octets_is_dropped),
        TEST(a_group_that_we_did_not_offer_is_dropped),
        TEST(the_group_that_we_sent_is_dropped),
        TEST(groups_without_end_are_dropped),
        TEST(a_group_of_one_octet_or_three_is_dropped),
        TEST(a_whole_answer_is_one_for_tred),
        TEST(an_error_is_a_hint_and_no_more),
        TEST(a_status_notify_alone_is_dropped),
        TEST(a_datagram_that_is_no_answer_to_us_is_dropped),
        TEST(an_answer_without_a_responder_spi_is_dropped),
        TEST(an_answer_cut_off_anywhere_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
