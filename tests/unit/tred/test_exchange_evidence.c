/* What of an IKE_AUTH response is shown to the verifier, and when is it let go of? */
#include "free_watch.h"
#include "ikewire/message.h"
#include "tred/exchange_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { CHAIN_MAX = 4096 };

static const uint8_t certificate[] = "a certificate", ocsp[] = "an OCSP response";

/* An IDr of `id_size` octets, and a CERT of each encoding. */
static int read_of(size_t id_size, const uint8_t *encodings, size_t count, VerifyRequest *ret,
                   Reason *reason)
{
    static uint8_t octets[CHAIN_MAX];
    static const uint8_t id_octets[FQDN_SIZE_MAX + 1] = {'a'};
    const IkeId id = {.type = IKE_ID_FQDN, .data = {id_octets, id_size}};
    IkePayloads payloads;
    Bytes whole, id_body = {0};
    IkeChain chain;
    Writer writer;

    writer_init(&writer, octets, sizeof(octets));
    ike_chain_init(&chain, &writer);
    ike_chain_add_id(&chain, IKE_PAYLOAD_IDR, &id);
    for (size_t i = 0; i < count; i++) {
        ike_chain_add_cert(&chain, IKE_PAYLOAD_CERT, encodings[i],
                           encodings[i] == IKE_CERT_OCSP_CONTENT ? BYTES_OF(ocsp)
                                                                 : BYTES_OF(certificate));
    }
    assert_int_equal(writer_finish(&writer, &whole), 0);
    assert_int_equal(ike_payloads_decode(chain.first, whole, &payloads, NULL), 0);
    *ret = (VerifyRequest){0};
    reason->text[0] = '\0';
    const int r = evidence_read(&payloads, ret, &id_body, reason);
    if (r == 0)
        assert_int_equal(id_body.size, 4 + id_size);
    return r;
}

static void an_idr_that_is_longer_than_any_fqdn_is_refused(void **state)
{
    static const uint8_t x509 = IKE_CERT_X509_SIGNATURE;
    VerifyRequest request;
    Reason reason;

    (void)state;
    assert_int_equal(read_of(FQDN_SIZE_MAX - 1, &x509, 1, &request, &reason), 0);
    assert_int_equal(request.idr.size, FQDN_SIZE_MAX - 1);
    assert_int_equal(request.n_certificates, 1);
    for (size_t size = FQDN_SIZE_MAX; size <= FQDN_SIZE_MAX + 1; size++) {
        assert_int_equal(read_of(size, &x509, 1, &request, &reason),
                         EXCHANGE_E_PEER_IDENTITY_MISMATCH);
        assert_non_null(strstr(reason.text, "longer than any FQDN"));
        assert_int_equal(request.n_certificates, 0);
    }
}

/* Of what is no X.509 certificate it is said what it is, and by which notify it may have come. */
static void without_an_x509_certificate_it_is_told_what_there_was(void **state)
{
    static const struct {
        uint8_t encoding;
        const char *text;
        bool is_url;
    } cases[] = {{1, "of encoding 1", false},
                 {11, "of encoding 11", false},
                 {IKE_CERT_HASH_AND_URL, "of encoding 12", true},
                 {IKE_CERT_HASH_AND_URL_BUNDLE, "of encoding 13", true},
                 {15, "of encoding 15", false}};
    VerifyRequest request;
    Reason reason;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        const uint8_t beside[] = {cases[i].encoding, IKE_CERT_X509_SIGNATURE};
        const uint8_t with_ocsp[] = {cases[i].encoding, IKE_CERT_OCSP_CONTENT};

        for (size_t count = 1; count <= 2; count++) {
            assert_int_equal(read_of(4, with_ocsp, count, &request, &reason),
                             EXCHANGE_E_PEER_CERTIFICATE_UNFIT);
            assert_non_null(strstr(reason.text, cases[i].text));
            assert_int_equal(strstr(reason.text, "hash and URL") != NULL, cases[i].is_url);
        }
        assert_int_equal(read_of(4, beside, 2, &request, &reason), 0);
        assert_int_equal(request.n_certificates, 1);
        assert_int_equal(request.n_ocsp, 0);
    }
}

/* Whether there need be a certificate is the judgement's: a SeGW with a shared key has none. */
static void ocsp_responses_alone_are_shown(void **state)
{
    static const uint8_t encodings[] = {IKE_CERT_OCSP_CONTENT, IKE_CERT_OCSP_CONTENT};
    VerifyRequest request;
    Reason reason;

    (void)state;
    assert_int_equal(read_of(4, NULL, 0, &request, &reason), 0);
    assert_int_equal(read_of(4, encodings, 2, &request, &reason), 0);
    assert_int_equal(request.n_ocsp, 2);
    assert_int_equal(request.ocsp[1].size, sizeof(ocsp));
    assert_memory_equal(request.ocsp[1].data, ocsp, sizeof(ocsp));
}

/* A CERT payload without an octet has no encoding that could be named (RFC 7296 3.6). */
static void a_cert_without_an_octet_hides_no_encoding_that_came_before(void **state)
{
    /* IDr of type FQDN, a CERT of hash and URL, and one that is empty. */
    static const uint8_t octets[] = {IKE_PAYLOAD_CERT,
                                     0,
                                     0,
                                     9,
                                     IKE_ID_FQDN,
                                     0,
                                     0,
                                     0,
                                     'a',
                                     IKE_PAYLOAD_CERT,
                                     0,
                                     0,
                                     6,
                                     IKE_CERT_HASH_AND_URL,
                                     'x',
                                     IKE_PAYLOAD_NONE,
                                     0,
                                     0,
                                     4};
    IkePayloads payloads;
    VerifyRequest request = {0};
    Bytes id_body;
    Reason reason = {0};

    (void)state;
    assert_int_equal(ike_payloads_decode(IKE_PAYLOAD_IDR, BYTES_OF(octets), &payloads, NULL), 0);
    assert_int_equal(evidence_read(&payloads, &request, &id_body, &reason),
                     EXCHANGE_E_PEER_CERTIFICATE_UNFIT);
    assert_non_null(strstr(reason.text, "of encoding 12"));
}

/* More OCSP responses than are judged, and no certificate: that is no chain. */
static void ocsp_responses_beyond_those_that_are_judged_are_no_certificates(void **state)
{
    uint8_t encodings[PEER_OCSP_MAX + 1];
    VerifyRequest request;
    Reason reason;

    (void)state;
    memset(encodings, IKE_CERT_OCSP_CONTENT, sizeof(encodings));
    assert_int_equal(read_of(4, encodings, PEER_OCSP_MAX, &request, &reason), 0);
    assert_int_equal(read_of(4, encodings, PEER_OCSP_MAX + 1, &request, &reason),
                     EXCHANGE_E_PEER_CERTIFICATE_UNFIT);
    assert_non_null(strstr(reason.text, "of encoding 14"));
}

/* The request has room for twice as many. */
static void as_many_certificates_and_ocsp_responses_are_shown_as_are_judged(void **state)
{
    uint8_t encodings[PEER_CERTIFICATES_MAX + PEER_OCSP_MAX + 2];
    VerifyRequest request;
    Reason reason;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(encodings); i++)
        encodings[i] = i % 2 == 0 ? IKE_CERT_X509_SIGNATURE : IKE_CERT_OCSP_CONTENT;
    assert_int_equal(read_of(4, encodings, ELEMENTS(encodings), &request, &reason), 0);
    assert_int_equal(request.n_certificates, PEER_CERTIFICATES_MAX);
    assert_int_equal(request.n_ocsp, PEER_OCSP_MAX);
}

static void evidence_is_let_go_of_by_who_holds_it_last(void **state)
{
    static const uint8_t payloads[] = "what the SeGW said of itself";
    KeptMessage response = {0};
    Evidence *evidence = NULL;

    (void)state;
    assert_int_equal(exchange_keep(&response, 1, BYTES_OF(payloads)), 0);
    assert_int_equal(evidence_new(&response, &evidence), 0);
    Evidence *second = evidence_ref(evidence);
    free_watch_begin(BYTES_OF(payloads));
    evidence_unref(evidence);
    evidence_unref(NULL);
    assert_false(free_watch_end());
    free_watch_begin(BYTES_OF(payloads));
    evidence_unref(second);
    assert_true(free_watch_end());
    free(response.payloads.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idr_that_is_longer_than_any_fqdn_is_refused),
        cmocka_unit_test(without_an_x509_certificate_it_is_told_what_there_was),
        cmocka_unit_test(ocsp_responses_alone_are_shown),
        cmocka_unit_test(a_cert_without_an_octet_hides_no_encoding_that_came_before),
        cmocka_unit_test(ocsp_responses_beyond_those_that_are_judged_are_no_certificates),
        cmocka_unit_test(as_many_certificates_and_ocsp_responses_are_shown_as_are_judged),
        cmocka_unit_test(evidence_is_let_go_of_by_who_holds_it_last),
    };

    return cmocka_run_group_tests_name("exchange evidence", tests, NULL, NULL);
}
