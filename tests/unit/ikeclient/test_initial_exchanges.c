/* Is IKE_SA_INIT asked for as RFC 7296 says, and can an answer from a stranger do no more than
 * delay us? Does IKE_AUTH say what it must in its order, and is its response read as claim, refusal
 * or nonsense? */
#include "ikeclient/initial_exchanges.h"

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

/* ---- IKE_SA_INIT: the request ---- */

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

static void cookies_without_end_lead_nowhere(void **state)
{
    Fixture *f = *state;

    for (int i = 1; i <= INIT_COOKIES_MAX; i++)
        assert_int_equal(judge_cookie(f, (uint8_t)i, 8), INIT_COOKIE);
    assert_int_equal(judge_cookie(f, 99, 8), INIT_UNFIT);
}

static void a_cookie_of_no_or_too_many_octets_leads_nowhere(void **state)
{
    Fixture *f = *state;

    assert_int_equal(judge_cookie(f, 1, 0), INIT_UNFIT);
    assert_int_equal(judge_cookie(f, 1, IKE_COOKIE_MAX + 1), INIT_UNFIT);
}

static void a_group_that_we_did_not_offer_leads_nowhere(void **state)
{
    assert_int_equal(judge_group(*state, IKE_GROUP_MODP_2048), INIT_UNFIT);
}

static void the_group_that_we_sent_is_dropped(void **state)
{
    assert_int_equal(judge_group(*state, IKE_GROUP_ECP_256), INIT_DROP);
}

static void groups_without_end_lead_nowhere(void **state)
{
    Fixture *f = *state;

    for (int i = 0; i < INIT_GROUP_CHANGES_MAX; i++) {
        uint16_t group = i % 2 == 0 ? IKE_GROUP_ECP_384 : IKE_GROUP_ECP_256;
        assert_int_equal(judge_group(f, group), INIT_GROUP);
        assert_int_equal(init_change_group(&f->init, group, BYTES_OF(ke_p256)), 0);
    }
    assert_int_equal(judge_group(f, IKE_GROUP_ECP_384), INIT_UNFIT);
}

static void a_group_of_one_octet_or_three_leads_nowhere(void **state)
{
    static const uint8_t data[] = {0, IKE_GROUP_ECP_384, 0};

    assert_int_equal(judge_notify(*state, IKE_NOTIFY_INVALID_KE_PAYLOAD, (Bytes){data, 1}),
                     INIT_UNFIT);
    assert_int_equal(judge_notify(*state, IKE_NOTIFY_INVALID_KE_PAYLOAD, (Bytes){data, 3}),
                     INIT_UNFIT);
}

/* ---- IKE_SA_INIT: answers ---- */

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

static void a_status_notify_alone_leads_nowhere(void **state)
{
    assert_int_equal(judge_notify(*state, 40000, (Bytes){0}), INIT_UNFIT);
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

/* IKEv1 gives our SPI back as the initiator's cookie; who does not know it has not seen our
 * request.
 */
static void what_is_not_ikev2_is_an_answer_only_with_our_spi(void **state)
{
    Fixture *f = *state;
    enum { SPI_I_OFFSET = 7, VERSION_OFFSET = 17 };

    assert_int_equal(judge_with_header(f, VERSION_OFFSET, 0x10), INIT_UNFIT);
    Bytes answer = draft_init_response(&f->draft, &f->offer, SPI_I, IKE_GROUP_ECP_256, NULL, NULL);
    f->draft.octets[VERSION_OFFSET] = 0x10;
    f->draft.octets[SPI_I_OFFSET] ^= 1;
    assert_int_equal(judge(f, answer), INIT_DROP);
    assert_non_null(f->response.why);
}

static void an_answer_without_a_responder_spi_leads_nowhere(void **state)
{
    Fixture *f = *state;
    Bytes answer = draft_init_response(&f->draft, &f->offer, SPI_I, IKE_GROUP_ECP_256, NULL, NULL);

    memset(f->draft.octets + 8, 0, 8);
    assert_int_equal(judge(f, answer), INIT_UNFIT);
}

static void an_answer_cut_off_anywhere_is_dropped(void **state)
{
    Fixture *f = *state;
    Bytes answer =
        draft_init_response(&f->draft, &f->offer, SPI_I, IKE_GROUP_ECP_256, &f->segw, &f->henb);

    for (size_t size = 0; size < answer.size; size++)
        assert_int_equal(judge(f, (Bytes){answer.data, size}), INIT_DROP);
}

/* ---- IKE_AUTH ---- */

static const uint8_t certificate[] = {0x30, 0x00};
static const uint8_t auth_data[] = {1, 2, 3};
static const uint8_t hash[20] = {9};

static bool mobike;
static Addresses addresses;

static void encode_with(bool initial_contact, bool ocsp_wanted, IkePayloads *ret, Draft *draft)
{
    Bytes certificates[] = {BYTES_OF(certificate), BYTES_OF(certificate)};
    Config config = {0};
    ChildOffer child;
    AuthRequest request = {.id_type = IKE_ID_FQDN,
                           .id_data = {(const uint8_t *)"henb.example", 12},
                           .auth_method = IKE_AUTH_DIGITAL_SIGNATURE,
                           .auth_data = BYTES_OF(auth_data),
                           .certificates = certificates,
                           .n_certificates = 2,
                           .anchor_hashes = BYTES_OF(hash),
                           .segw_identity = "segw.example",
                           .initial_contact = initial_contact,
                           .ocsp_wanted = ocsp_wanted,
                           .mobike = mobike,
                           .addresses = &addresses,
                           .child = &child};

    assert_int_equal(config_init(&config), 0);
    child_offer_init(&child, &config, 0x11223344);
    draft_begin(draft);
    auth_request_encode(&request, &draft->writer, &draft->chain.first);
    draft_payloads(draft, ret);
    config_deinit(&config);
}

static void encode(bool initial_contact, IkePayloads *ret, Draft *draft)
{
    encode_with(initial_contact, false, ret, draft);
}

static size_t ocsp_requests(const IkePayloads *payloads)
{
    const IkePayload *payload;
    size_t position = 0, count = 0;

    while ((payload = ike_payloads_next(payloads, IKE_PAYLOAD_CERTREQ, &position)))
        count += payload->body.size == 1 && payload->body.data[0] == IKE_CERT_OCSP_CONTENT;
    return count;
}

/* RFC 4806 3.1. */
static void ocsp_responses_are_asked_for_only_where_tred_wants_them(void **state)
{
    IkePayloads payloads;
    Draft draft;
    (void)state;

    encode_with(false, true, &payloads, &draft);
    assert_int_equal(ocsp_requests(&payloads), 1);
    encode_with(false, false, &payloads, &draft);
    assert_int_equal(ocsp_requests(&payloads), 0);
}

static void mobike_is_offered_where_it_is_supported(void **state)
{
    IkePayloads payloads;
    IkeNotify notify;
    Draft draft;
    (void)state;

    encode(false, &payloads, &draft);
    assert_false(ike_payloads_notify(&payloads, IKE_NOTIFY_MOBIKE_SUPPORTED, &notify));
    mobike = true;
    encode(false, &payloads, &draft);
    mobike = false;
    assert_true(ike_payloads_notify(&payloads, IKE_NOTIFY_MOBIKE_SUPPORTED, &notify));
}

/* RFC 4555 3.4: of no use to a SeGW that is not told of MOBIKE. */
static void other_addresses_are_told_with_mobike_alone(void **state)
{
    const Endpoint other = endpoint_of("192.0.2.7", 0);
    IkePayloads payloads;
    Addresses told;
    Draft draft;
    (void)state;

    addresses_add(&addresses, &other);
    encode(false, &payloads, &draft);
    assert_false(addresses_read(&payloads, &told));
    mobike = true;
    encode(false, &payloads, &draft);
    mobike = false;
    assert_true(addresses_read(&payloads, &told));
    assert_true(addresses_equal(&told, &addresses));
    addresses = (Addresses){0};
}

static void payloads_are_in_the_order_of_appendix_c(void **state)
{
    static const uint8_t types[] = {IKE_PAYLOAD_IDI,    IKE_PAYLOAD_CERT,    IKE_PAYLOAD_CERT,
                                    IKE_PAYLOAD_NOTIFY, IKE_PAYLOAD_CERTREQ, IKE_PAYLOAD_IDR,
                                    IKE_PAYLOAD_AUTH,   IKE_PAYLOAD_CP,      IKE_PAYLOAD_NOTIFY,
                                    IKE_PAYLOAD_SA,     IKE_PAYLOAD_TSI,     IKE_PAYLOAD_TSR};
    IkePayloads payloads;
    Draft draft;
    (void)state;

    encode(true, &payloads, &draft);
    assert_int_equal(payloads.count, sizeof(types));
    for (size_t i = 0; i < sizeof(types); i++)
        assert_int_equal(payloads.items[i].type, types[i]);
}

static void initial_contact_is_said_only_where_it_is_true(void **state)
{
    IkePayloads payloads;
    IkeNotify notify;
    Draft draft;
    (void)state;

    encode(true, &payloads, &draft);
    assert_true(ike_payloads_notify(&payloads, IKE_NOTIFY_INITIAL_CONTACT, &notify));
    encode(false, &payloads, &draft);
    assert_false(ike_payloads_notify(&payloads, IKE_NOTIFY_INITIAL_CONTACT, &notify));
}

static void the_request_names_the_segw_that_we_want(void **state)
{
    IkePayloads payloads;
    Draft draft;
    IkeId idr;
    (void)state;

    encode(false, &payloads, &draft);
    assert_int_equal(ike_id_decode(ike_payloads_find(&payloads, IKE_PAYLOAD_IDR)->body, &idr), 0);
    assert_int_equal(idr.type, IKE_ID_FQDN);
    assert_int_equal(idr.data.size, 12);
    assert_memory_equal(idr.data.data, "segw.example", 12);
}

/* ---- IKE_AUTH: responses ---- */

static AuthVerdict judge_auth(bool idr, bool auth, size_t certificates, uint16_t notify,
                              AuthResponse *ret)
{
    static Draft draft;
    IkeId id = {IKE_ID_FQDN, {(const uint8_t *)"segw.example", 12}};
    IkePayloads payloads;

    draft_begin(&draft);
    if (idr)
        ike_chain_add_id(&draft.chain, IKE_PAYLOAD_IDR, &id);
    for (size_t i = 0; i < certificates; i++) {
        ike_chain_add_cert(&draft.chain, IKE_PAYLOAD_CERT, IKE_CERT_X509_SIGNATURE,
                           BYTES_OF(certificate));
    }
    if (auth)
        ike_chain_add_auth(&draft.chain, IKE_AUTH_DIGITAL_SIGNATURE, BYTES_OF(auth_data));
    if (notify != 0)
        ike_chain_add_notify(&draft.chain, notify, (Bytes){0});
    draft_payloads(&draft, &payloads);
    auth_response_judge(&payloads, ret);
    return ret->verdict;
}

static void an_identity_with_an_auth_is_a_claim(void **state)
{
    AuthResponse response;
    (void)state;

    assert_int_equal(judge_auth(true, true, 2, 0, &response), AUTH_CLAIMED);
    assert_int_equal(response.n_certificates, 2);
    assert_int_equal(response.auth.method, IKE_AUTH_DIGITAL_SIGNATURE);
    assert_int_equal(response.idr.data.size, 12);
}

static void a_refused_child_leaves_the_claim(void **state)
{
    AuthResponse response;
    (void)state;

    assert_int_equal(judge_auth(true, true, 1, IKE_NOTIFY_NO_PROPOSAL_CHOSEN, &response),
                     AUTH_CLAIMED);
    assert_int_equal(judge_auth(true, true, 1, IKE_NOTIFY_TS_UNACCEPTABLE, &response),
                     AUTH_CLAIMED);
}

static void any_other_error_is_a_refusal(void **state)
{
    AuthResponse response;
    (void)state;

    assert_int_equal(judge_auth(false, false, 0, IKE_NOTIFY_AUTHENTICATION_FAILED, &response),
                     AUTH_REFUSED);
    assert_int_equal(response.error, IKE_NOTIFY_AUTHENTICATION_FAILED);
    assert_int_equal(judge_auth(false, false, 0, IKE_NOTIFY_NO_PROPOSAL_CHOSEN, &response),
                     AUTH_REFUSED);
    assert_int_equal(judge_auth(true, true, 1, 9999, &response), AUTH_REFUSED);
}

static void an_unknown_status_notify_is_ignored(void **state)
{
    AuthResponse response;
    (void)state;

    assert_int_equal(judge_auth(true, true, 1, 40000, &response), AUTH_CLAIMED);
}

static void a_response_without_identity_or_auth_is_malformed(void **state)
{
    AuthResponse response;
    (void)state;

    assert_int_equal(judge_auth(false, true, 1, 0, &response), AUTH_MALFORMED);
    assert_int_equal(judge_auth(true, false, 1, 0, &response), AUTH_MALFORMED);
    assert_int_equal(judge_auth(false, false, 0, 0, &response), AUTH_MALFORMED);
}

static void any_number_of_certificates_is_a_claim(void **state)
{
    AuthResponse response;
    (void)state;

    assert_int_equal(judge_auth(true, true, IKE_CERTS_MAX + 1, 0, &response), AUTH_CLAIMED);
    assert_int_equal(response.n_certificates, IKE_CERTS_MAX);
}

/* RFC 4945 3.3.10 */
static void certificates_of_an_unknown_encoding_are_counted_apart(void **state)
{
    static Draft draft;
    IkeId id = {IKE_ID_FQDN, {(const uint8_t *)"segw.example", 12}};
    IkePayloads payloads;
    AuthResponse response;
    (void)state;

    draft_begin(&draft);
    ike_chain_add_id(&draft.chain, IKE_PAYLOAD_IDR, &id);
    ike_chain_add_cert(&draft.chain, IKE_PAYLOAD_CERT, IKE_CERT_X509_SIGNATURE,
                       BYTES_OF(certificate));
    ike_chain_add_cert(&draft.chain, IKE_PAYLOAD_CERT, IKE_CERT_OCSP_CONTENT,
                       BYTES_OF(certificate));
    ike_chain_add_cert(&draft.chain, IKE_PAYLOAD_CERT, 1, BYTES_OF(certificate));
    ike_chain_add(&draft.chain, IKE_PAYLOAD_CERT, (Bytes){0});
    ike_chain_add_auth(&draft.chain, IKE_AUTH_DIGITAL_SIGNATURE, BYTES_OF(auth_data));
    draft_payloads(&draft, &payloads);
    auth_response_judge(&payloads, &response);
    assert_int_equal(response.verdict, AUTH_CLAIMED);
    assert_int_equal(response.n_certificates, 2);
    assert_int_equal(response.n_other, 2);
}

static void a_scheme_is_named_by_its_algorithm_identifier(void **state)
{
    static const uint8_t ecdsa[] = {12,   0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                    0x48, 0xce, 0x3d, 0x04, 0x03, 0x02, 0x30};
    static const uint8_t unknown[] = {12, 0x30, 0x0a, 0x06, 0x08, 1, 2, 3};
    (void)state;

    assert_string_equal(auth_scheme_name(IKE_AUTH_DIGITAL_SIGNATURE, BYTES_OF(ecdsa)),
                        "ecdsa-with-SHA256");
    assert_string_equal(auth_scheme_name(IKE_AUTH_DIGITAL_SIGNATURE, BYTES_OF(unknown)),
                        ike_auth_method_name(IKE_AUTH_DIGITAL_SIGNATURE));
    assert_string_equal(auth_scheme_name(IKE_AUTH_DIGITAL_SIGNATURE, (Bytes){0}),
                        ike_auth_method_name(IKE_AUTH_DIGITAL_SIGNATURE));
    assert_string_equal(auth_scheme_name(IKE_AUTH_RSA, BYTES_OF(ecdsa)),
                        ike_auth_method_name(IKE_AUTH_RSA));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_was_sent_here_says_by_whom_and_anybody_else_that_he_can_be_sent,
                               setup),
        cmocka_unit_test_setup(the_request_has_its_payloads_in_the_order_of_appendix_c, setup),
        cmocka_unit_test_setup(the_nat_hashes_are_of_both_ends_with_no_responder_spi, setup),
        cmocka_unit_test_setup(a_cookie_goes_first_and_all_else_stays_as_it_was, setup),
        cmocka_unit_test_setup(a_nonce_or_public_value_out_of_bounds_is_refused, setup),
        cmocka_unit_test_setup(a_cookie_and_another_group_go_together_in_either_order, setup),
        cmocka_unit_test_setup(a_new_cookie_takes_the_place_of_the_old_one, setup),
        cmocka_unit_test_setup(the_cookie_that_is_under_way_is_not_sent_again, setup),
        cmocka_unit_test_setup(cookies_without_end_lead_nowhere, setup),
        cmocka_unit_test_setup(a_cookie_of_no_or_too_many_octets_leads_nowhere, setup),
        cmocka_unit_test_setup(a_group_that_we_did_not_offer_leads_nowhere, setup),
        cmocka_unit_test_setup(the_group_that_we_sent_is_dropped, setup),
        cmocka_unit_test_setup(groups_without_end_lead_nowhere, setup),
        cmocka_unit_test_setup(a_group_of_one_octet_or_three_leads_nowhere, setup),
        cmocka_unit_test_setup(a_whole_answer_is_one_for_tred, setup),
        cmocka_unit_test_setup(an_error_is_a_hint_and_no_more, setup),
        cmocka_unit_test_setup(a_status_notify_alone_leads_nowhere, setup),
        cmocka_unit_test_setup(a_datagram_that_is_no_answer_to_us_is_dropped, setup),
        cmocka_unit_test_setup(what_is_not_ikev2_is_an_answer_only_with_our_spi, setup),
        cmocka_unit_test_setup(an_answer_without_a_responder_spi_leads_nowhere, setup),
        cmocka_unit_test_setup(an_answer_cut_off_anywhere_is_dropped, setup),
        cmocka_unit_test(mobike_is_offered_where_it_is_supported),
        cmocka_unit_test(other_addresses_are_told_with_mobike_alone),
        cmocka_unit_test(payloads_are_in_the_order_of_appendix_c),
        cmocka_unit_test(ocsp_responses_are_asked_for_only_where_tred_wants_them),
        cmocka_unit_test(initial_contact_is_said_only_where_it_is_true),
        cmocka_unit_test(the_request_names_the_segw_that_we_want),
        cmocka_unit_test(an_identity_with_an_auth_is_a_claim),
        cmocka_unit_test(a_refused_child_leaves_the_claim),
        cmocka_unit_test(any_other_error_is_a_refusal),
        cmocka_unit_test(an_unknown_status_notify_is_ignored),
        cmocka_unit_test(a_response_without_identity_or_auth_is_malformed),
        cmocka_unit_test(any_number_of_certificates_is_a_claim),
        cmocka_unit_test(certificates_of_an_unknown_encoding_are_counted_apart),
        cmocka_unit_test(a_scheme_is_named_by_its_algorithm_identifier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
