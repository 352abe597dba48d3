/* Does IKE_AUTH say what it must in its order, and is its response read as claim, refusal or
 * nonsense? */
#include "ikeclient/auth.h"

#include "octets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

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

/* ---- responses ---- */

static AuthVerdict judge(bool idr, bool auth, size_t certificates, uint16_t notify,
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

    assert_int_equal(judge(true, true, 2, 0, &response), AUTH_CLAIMED);
    assert_int_equal(response.n_certificates, 2);
    assert_int_equal(response.auth.method, IKE_AUTH_DIGITAL_SIGNATURE);
    assert_int_equal(response.idr.data.size, 12);
}

static void a_refused_child_leaves_the_claim(void **state)
{
    AuthResponse response;
    (void)state;

    assert_int_equal(judge(true, true, 1, IKE_NOTIFY_NO_PROPOSAL_CHOSEN, &response), AUTH_CLAIMED);
    assert_int_equal(judge(true, true, 1, IKE_NOTIFY_TS_UNACCEPTABLE, &response), AUTH_CLAIMED);
}

static void any_other_error_is_a_refusal(void **state)
{
    AuthResponse response;
    (void)state;

    assert_int_equal(judge(false, false, 0, IKE_NOTIFY_AUTHENTICATION_FAILED, &response),
                     AUTH_REFUSED);
    assert_int_equal(response.error, IKE_NOTIFY_AUTHENTICATION_FAILED);
    assert_int_equal(judge(false, false, 0, IKE_NOTIFY_NO_PROPOSAL_CHOSEN, &response),
                     AUTH_REFUSED);
    assert_int_equal(judge(true, true, 1, 9999, &response), AUTH_REFUSED);
}

static void an_unknown_status_notify_is_ignored(void **state)
{
    AuthResponse response;
    (void)state;

    assert_int_equal(judge(true, true, 1, 40000, &response), AUTH_CLAIMED);
}

static void a_response_without_identity_or_auth_is_malformed(void **state)
{
    AuthResponse response;
    (void)state;

    assert_int_equal(judge(false, true, 1, 0, &response), AUTH_MALFORMED);
    assert_int_equal(judge(true, false, 1, 0, &response), AUTH_MALFORMED);
    assert_int_equal(judge(false, false, 0, 0, &response), AUTH_MALFORMED);
}

static void any_number_of_certificates_is_a_claim(void **state)
{
    AuthResponse response;
    (void)state;

    assert_int_equal(judge(true, true, IKE_CERTS_MAX + 1, 0, &response), AUTH_CLAIMED);
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
