/* Do the messages of the proof come through JSON unchanged, and is what is no such message refused
 * by its fault? */
#include "base/reason.h"
#include "free_watch.h"
#include "proof_fixture.h"
#include "provisioning/proofjson.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static TpmVendor vendor;
static ProofRequest *request;
static char *request_text;

/* A request that needs no TPM: nothing here is judged but its form. */
static int group_init(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    const PolicyDigest policy = {.octets = {1}};
    PkiSpec spec;

    (void)state;
    if (secrets_init() < 0)
        return -1;
    vendor = vendor_new("Vendor");
    request = calloc(1, sizeof(*request));
    (void)snprintf(request->fqdn, sizeof(request->fqdn), PROOF_FQDN);
    (void)snprintf(request->serial, sizeof(request->serial), PROOF_SERIAL);
    request->device_public = public_in_software(key, &policy);
    request->ek_public = public_in_software(key, &policy);
    request->csr = csr_in_software(key, PROOF_FQDN);
    spec = vendor_ek_spec(&request->ek_public);
    request->ek_certificate = vendor_issue(&vendor, &spec);
    EVP_PKEY_free(key);
    return proof_request_encode(request, &request_text);
}

static int group_deinit(void **state)
{
    (void)state;
    free(request_text);
    proof_request_free(request);
    vendor_deinit(&vendor);
    return 0;
}

static Bytes bytes_of(const char *text)
{
    return (Bytes){(const uint8_t *)text, strlen(text)};
}

static void a_request_comes_through_unchanged(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *read = NULL;
    _cleanup_(free_charp) char *again = NULL;
    Reason reason = {0};
    ProofDigest before;
    ProofDigest after;

    (void)state;
    if (proof_request_decode(bytes_of(request_text), &read, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_string_equal(read->fqdn, PROOF_FQDN);
    assert_string_equal(read->serial, PROOF_SERIAL);
    assert_int_equal(X509_cmp(read->ek_certificate, request->ek_certificate), 0);
    assert_int_equal(proof_request_digest(request, &before), 0);
    assert_int_equal(proof_request_digest(read, &after), 0);
    assert_memory_equal(before.octets, after.octets, sizeof(before.octets));
    assert_int_equal(proof_request_encode(read, &again), 0);
    assert_string_equal(again, request_text);
}

static void a_challenge_a_memory_of_it_and_a_response_come_through_unchanged(void **state)
{
    const ProofPending pending = {.request.octets = {1, 2}, .secret.octets = {3, 4}};
    ProofChallenge challenge = {
        .request.octets = {9},
        .credential = {.blob = {.size = 68, .credential = {7, 8}},
                       .secret = {.size = 256, .secret = {5, 6}}},
    };
    _cleanup_(free_charp) char *challenge_text = NULL;
    _cleanup_(free_charp) char *pending_text = NULL;
    _cleanup_(free_charp) char *response_text = NULL;
    _cleanup_(proof_response_deinit) ProofResponse response = {.request.octets = {5}};
    _cleanup_(proof_response_deinit) ProofResponse response_read = {0};
    Reason reason = {0};
    ProofChallenge challenge_read;
    ProofPending pending_read;

    (void)state;
    assert_int_equal(proof_challenge_encode(&challenge, &challenge_text), 0);
    assert_int_equal(proof_challenge_decode(bytes_of(challenge_text), &challenge_read, &reason), 0);
    assert_memory_equal(&challenge_read, &challenge, sizeof(challenge));
    assert_int_equal(proof_pending_encode(&pending, &pending_text), 0);
    assert_int_equal(proof_pending_decode(bytes_of(pending_text), &pending_read, &reason), 0);
    assert_memory_equal(&pending_read, &pending, sizeof(pending));
    assert_int_equal(secret_new(CREDENTIAL_SECRET_SIZE, &response.secret), 0);
    response.secret->data[3] = 3;
    assert_int_equal(proof_response_encode(&response, &response_text), 0);
    free_watch_begin(secret_bytes(response.secret));
    assert_int_equal(proof_response_decode(bytes_of(response_text), &response_read, &reason), 0);
    assert_int_equal(free_watch_wiped(), 2); /* what base64 was read into, and its copy */
    assert_false(free_watch_end());
    assert_memory_equal(response_read.request.octets, response.request.octets, 32);
    assert_memory_equal(response_read.secret->data, response.secret->data, CREDENTIAL_SECRET_SIZE);
}

static void assert_refused(Bytes text, const char *words)
{
    Reason reason = {0};
    ProofRequest *read = NULL;

    assert_int_equal(proof_request_decode(text, &read, &reason), -EINVAL);
    assert_null(read);
    if (!strstr(reason.text, words))
        fail_msg("'%s' is not in '%s'", words, reason.text);
}

/* The request with the first `from` replaced by `to`. */
static char *changed(const char *from, const char *to)
{
    const char *at = strstr(request_text, from);
    char *text = NULL;

    assert_non_null(at);
    assert_true(asprintf(&text, "%.*s%s%s", (int)(at - request_text), request_text, to,
                         at + strlen(from)) > 0);
    return text;
}

static void what_is_no_json_object_is_refused(void **state)
{
    static const char *const texts[] = {"", " ", "junk", "[]", "7", "{", "{}{}", "{\"type\":}"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(texts); i++)
        assert_refused(bytes_of(texts[i]), "it is not a JSON object");
    assert_refused((Bytes){0}, "it is not a JSON object");
    assert_refused((Bytes){(const uint8_t *)request_text, strlen(request_text) / 2},
                   "it is not a JSON object");
    assert_refused((Bytes){(const uint8_t *)request_text, strlen(request_text) + 1},
                   "it is not a JSON object"); /* a zero octet after it */
}

static void what_is_too_large_or_too_deep_is_refused(void **state)
{
    static char large[PROOF_JSON_MAX + 2];
    char deep[200];

    (void)state;
    (void)snprintf(large, sizeof(large), "%-*s", PROOF_JSON_MAX + 1, request_text);
    assert_refused(bytes_of(large), "larger than 65536 octets");
    memset(deep, '[', sizeof(deep));
    assert_refused((Bytes){(const uint8_t *)deep, sizeof(deep)}, "it is not a JSON object");
}

static void a_member_that_is_missing_or_too_much_is_named(void **state)
{
    static const char *const members[] = {"type",      "fqdn",          "serial", "ek_certificate",
                                          "ek_public", "device_public", "csr"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(members); i++) {
        char from[40];
        char words[60];
        char *text;

        (void)snprintf(from, sizeof(from), "\"%s\"", members[i]);
        (void)snprintf(words, sizeof(words), "the member \"%s\" is missing", members[i]);
        text = changed(from, "\"other\"");
        assert_refused(bytes_of(text), words);
        free(text);
    }
    char *text = changed("\"fqdn\"", "\"more\": 1, \"fqdn\"");
    assert_refused(bytes_of(text), "a member that does not belong into it");
    free(text);
}

static void a_member_of_another_kind_or_content_is_named(void **state)
{
    static const struct {
        const char *from, *to, *words;
    } changes[] = {
        {"\"version\":1", "\"version\":2", "its \"version\" is not 1"},
        {"\"version\":1", "\"version\":\"1\"", "its \"version\" is not 1"},
        {PROOF_TYPE_REQUEST, PROOF_TYPE_RESPONSE, "it is a 'tred-proof-response', where a"},
        {"\"" PROOF_FQDN "\"", "7", "\"fqdn\" is not a string"},
        {PROOF_FQDN, "a b", "\"fqdn\" is not an FQDN"},
        {PROOF_FQDN, "a\\u0000.example", "\"fqdn\" has a zero octet in it"},
        {PROOF_SERIAL, "x\\n", "\"serial\" is longer than 64 characters, or has one"},
        {"\"ek_certificate\":\"", "\"ek_certificate\":\"*", "\"ek_certificate\" is not base64"},
        {"\"ek_certificate\":\"", "\"ek_certificate\":\"AAAA", "is not an X.509 certificate"},
        {"\"ek_public\":\"", "\"ek_public\":\"AAAA", "\"ek_public\" is not a TPM2B_PUBLIC"},
        {"\"device_public\":\"", "\"device_public\":\"////", "\"device_public\" is not a TPM2B"},
        {"\"csr\":\"", "\"csr\":\"AAAA", "\"csr\" is not a PKCS #10 request"},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(changes); i++) {
        char *text = changed(changes[i].from, changes[i].to);

        assert_refused(bytes_of(text), changes[i].words);
        free(text);
    }
}

static void a_response_with_a_secret_of_another_size_is_refused(void **state)
{
    static const char format[] = "{\"type\":\"tred-proof-response\",\"version\":1,\"request\":"
                                 "\"%064d\",\"secret\":\"%s\"}";
    Reason reason = {0};
    ProofResponse response = {0};
    char text[400];

    (void)state;
    (void)snprintf(text, sizeof(text), format, 0, "AAAA");
    assert_int_equal(proof_response_decode(bytes_of(text), &response, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "\"secret\" is not 32 octets in base64"));
    (void)snprintf(text, sizeof(text), format, 0,
                   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_int_equal(proof_response_decode(bytes_of(text), &response, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "\"secret\" is not base64 of 1 to 32 octets"));
    (void)snprintf(text, sizeof(text), format, 0, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    assert_int_equal(proof_response_decode(bytes_of(text), &response, &reason), 0);
    proof_response_deinit(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_comes_through_unchanged),
        cmocka_unit_test(a_challenge_a_memory_of_it_and_a_response_come_through_unchanged),
        cmocka_unit_test(what_is_no_json_object_is_refused),
        cmocka_unit_test(what_is_too_large_or_too_deep_is_refused),
        cmocka_unit_test(a_member_that_is_missing_or_too_much_is_named),
        cmocka_unit_test(a_member_of_another_kind_or_content_is_named),
        cmocka_unit_test(a_response_with_a_secret_of_another_size_is_refused),
    };

    return cmocka_run_group_tests(tests, group_init, group_deinit);
}
