/* Is a certificate issued to a key in its TPM, and to nothing else? Each lie has its test. */
#include "proof_fixture.h"

#include "base/reason.h"
#include "no_random.h"
#include "policy/devicekey.h"
#include "tpm/publickey.h"
#include "tpm_commands.h"

#include <errno.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/varying.h"

static TpmVendor vendor;
static ProofDevice device;
static ProofDevice other; /* another device of the same vendor */
static Authority *authority;
static Pki root;

static int group_init(void **state)
{
    (void)state;
    if (secrets_init() < 0)
        return -1;
    vendor = vendor_new("Vendor");
    device_init(&device, &vendor);
    device_init(&other, &vendor);
    authority = authority_make(&root);
    return 0;
}

static int group_deinit(void **state)
{
    (void)state;
    authority_free(authority);
    pki_deinit(&root);
    device_deinit(&other);
    device_deinit(&device);
    vendor_deinit(&vendor);
    return 0;
}

static ProofRules rules(void)
{
    return (ProofRules){.ek_anchors = vendor.anchors, .policy = &device.policy};
}

static void assert_words(const char *error, const char *words)
{
    if (!strstr(error, words))
        fail_msg("'%s' is not in '%s'", words, error);
}

/* The request is refused before there is a challenge, with a sentence that has `words`. */
static void assert_refused(const ProofRequest *request, const char *words)
{
    const ProofRules asked = rules();
    Reason reason = {0};
    ProofChallenge challenge = {0};
    ProofPending pending = {0};

    assert_int_equal(proof_challenge(request, &asked, &challenge, &pending, &reason),
                     -EKEYREJECTED);
    assert_words(reason.text, words);
    assert_int_equal(challenge.credential.blob.size, 0);
}

static void challenge_make(const ProofRequest *request, ProofChallenge *ret,
                           ProofPending *ret_pending)
{
    const ProofRules asked = rules();
    Reason reason = {0};

    if (proof_challenge(request, &asked, ret, ret_pending, &reason) < 0)
        fail_msg("%s", reason.text);
}

static void each_challenge_has_a_secret_of_its_own(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);
    uint8_t secrets[VARYING_DRAWS][CREDENTIAL_SECRET_SIZE];
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < VARYING_DRAWS; i++) {
        _cleanup_(proof_response_deinit) ProofResponse response = {0};
        ProofChallenge challenge;
        ProofPending pending;

        challenge_make(request, &challenge, &pending);
        if (proof_activate(device.tpm, &device.key, &challenge, &response, &reason) < 0)
            fail_msg("%s", reason.text);
        assert_int_equal(response.secret->size, CREDENTIAL_SECRET_SIZE);
        memcpy(secrets[i], response.secret->data, CREDENTIAL_SECRET_SIZE);
    }
    assert_each_octet_varies(secrets, CREDENTIAL_SECRET_SIZE);
}

/* Or every device would know what it is. */
static void without_random_numbers_there_is_no_challenge(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);
    const ProofRules asked = rules();

    (void)state;
    for (int says = 0; says >= -1; says--) {
        ProofChallenge challenge = {0};
        ProofPending pending = {0};
        Reason reason = {0};

        no_random_begin(1, says);
        const int r = proof_challenge(request, &asked, &challenge, &pending, &reason);
        assert_true(no_random_end());
        assert_int_equal(r, -EIO);
        assert_int_equal(challenge.credential.blob.size, 0);
    }
}

static void a_key_in_its_tpm_is_certified(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);
    _cleanup_(proof_response_deinit) ProofResponse response = {0};
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;
    EVP_PKEY *key = NULL;
    Reason reason = {0};
    ProofChallenge challenge;
    ProofPending pending;

    (void)state;
    challenge_make(request, &challenge, &pending);
    if (proof_activate(device.tpm, &device.key, &challenge, &response, &reason) < 0)
        fail_msg("%s", reason.text);
    if (proof_issue(request, &pending, &response, authority, 90, &chain, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(sk_X509_num(chain), 2);
    assert_true(certificate_has_fqdn(sk_X509_value(chain, 0), PROOF_FQDN));
    assert_int_equal(tpm_public_to_pkey(&device.key.public, &key), 0);
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(sk_X509_value(chain, 0)), key), 1);
    EVP_PKEY_free(key);
}

/* Nothing stays behind in the TPM, also where the challenge is not its own. */
static unsigned handles_in(const ProofDevice *tested)
{
    static const TPM2_HANDLE kinds[] = {TPM2_TRANSIENT_FIRST, TPM2_LOADED_SESSION_FIRST};
    unsigned count = 0;

    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        count += tpm_handle_count(tested->tpm, kinds[i]);
    }
    return count;
}

static void the_proof_leaves_nothing_in_the_tpm(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);
    Reason reason = {0};
    ProofChallenge challenge;
    ProofPending pending;

    (void)state;
    challenge_make(request, &challenge, &pending);
    for (int i = 0; i < 5; i++) {
        ProofResponse response = {0};

        assert_int_equal(proof_activate(device.tpm, &device.key, &challenge, &response, &reason),
                         0);
        proof_response_deinit(&response);
        assert_int_equal(proof_activate(other.tpm, &other.key, &challenge, &response, &reason),
                         -EKEYREJECTED);
    }
    assert_int_equal(handles_in(&device), 0);
    assert_int_equal(handles_in(&other), 0);
}

/* It says of itself all that a device key should, and even signs its CSR; but no TPM has it. */
static void a_soft_key_is_never_certified(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;
    ProofResponse response = {0};
    EVP_PKEY *soft = EVP_EC_gen("P-256");
    Reason reason = {0};
    ProofChallenge challenge;
    ProofPending pending;
    Tss2Key forged = device.key;

    (void)state;
    request->device_public = public_in_software(soft, &device.policy);
    X509_REQ_free(request->csr);
    request->csr = csr_in_software(soft, PROOF_FQDN);
    challenge_make(request, &challenge, &pending);

    /* The TPM won't open the secret for the key that it does have, */
    assert_int_equal(proof_activate(device.tpm, &device.key, &challenge, &response, &reason),
                     -EKEYREJECTED);
    assert_words(reason.text, "made for another TPM, or for another device key");
    /* nor load the soft one in its place, */
    forged.public = request->device_public;
    assert_int_equal(proof_activate(device.tpm, &forged, &challenge, &response, &reason), -EIO);
    /* and a guess is a guess. */
    response.request = challenge.request;
    assert_int_equal(secret_new(CREDENTIAL_SECRET_SIZE, &response.secret), 0);
    assert_int_equal(RAND_bytes(response.secret->data, CREDENTIAL_SECRET_SIZE), 1);
    assert_int_equal(proof_issue(request, &pending, &response, authority, 90, &chain, &reason),
                     -EKEYREJECTED);
    assert_words(reason.text, "the secret in the response is not the challenge's");
    assert_null(chain);
    proof_response_deinit(&response);
    EVP_PKEY_free(soft);
}

/* It could have been made outside: the TPM would load it, and open the credential. */
static void a_key_that_was_imported_is_refused(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);

    (void)state;
    request->device_public.publicArea.objectAttributes &= ~TPMA_OBJECT_SENSITIVEDATAORIGIN;
    assert_refused(request, "the device key was not made in the TPM");
}

static void another_tpms_key_is_never_certified(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);
    _cleanup_(proof_request_freep) ProofRequest *others = device_request(&other);
    ProofResponse response = {0};
    Reason reason = {0};
    ProofChallenge challenge;
    ProofPending pending;

    (void)state;
    /* This device's EK, with the key and the CSR of the other one. */
    request->device_public = others->device_public;
    X509_REQ_free(request->csr);
    request->csr = X509_REQ_dup(others->csr);
    challenge_make(request, &challenge, &pending);
    assert_int_equal(proof_activate(device.tpm, &other.key, &challenge, &response, &reason), -EIO);
    assert_words(reason.text, "not made under this TPM's storage root key");
    assert_int_equal(proof_activate(other.tpm, &other.key, &challenge, &response, &reason),
                     -EKEYREJECTED);
    assert_null(response.secret);
}

static void a_key_without_the_policy_is_refused(void **state)
{
    ProofDevice without = device;

    (void)state;
    device_rekey(&without, TPM_KEY_ECDSA_P256);
    ProofRequest *request = device_request(&without);
    assert_refused(request, "the device key can be used without its policy");
    request->device_public.publicArea.objectAttributes &= ~TPMA_OBJECT_USERWITHAUTH;
    assert_refused(request, "the device key has no policy");
    proof_request_free(request);
    request = device_request(&device);
    request->device_public.publicArea.authPolicy.buffer[0] ^= 1;
    assert_refused(request, "the device key has another policy than the one that is asked for");
    proof_request_free(request);
}

static void a_development_key_is_certified_if_no_policy_is_asked_for(void **state)
{
    const ProofRules none = {.ek_anchors = vendor.anchors};
    ProofDevice without = device;

    (void)state;
    for (unsigned i = 0; i < TPM_KEY_ALGORITHMS; i++) {
        _cleanup_(proof_response_deinit) ProofResponse response = {0};
        _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;
        Reason reason = {0};
        ProofChallenge challenge;
        ProofPending pending;

        device_rekey(&without, (TpmKeyAlgorithm)i);
        ProofRequest *request = device_request(&without);
        if (proof_challenge(request, &none, &challenge, &pending, &reason) < 0 ||
            proof_activate(without.tpm, &without.key, &challenge, &response, &reason) < 0 ||
            proof_issue(request, &pending, &response, authority, 1, &chain, &reason) < 0)
            fail_msg("%s", reason.text);
        proof_request_free(request);
    }
}

static void a_key_that_decrypts_or_is_restricted_is_refused(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);

    (void)state;
    request->device_public.publicArea.objectAttributes |= TPMA_OBJECT_DECRYPT;
    assert_refused(request, "the device key is a key that decrypts");
    request->device_public.publicArea.objectAttributes ^=
        TPMA_OBJECT_DECRYPT | TPMA_OBJECT_RESTRICTED;
    assert_refused(request, "the device key is restricted");
}

static void a_tpm_of_an_unknown_vendor_is_refused(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);
    TpmVendor unknown = vendor_new("Unknown");
    PkiSpec spec = vendor_ek_spec(&request->ek_public);

    (void)state;
    X509_free(request->ek_certificate);
    request->ek_certificate = vendor_issue(&unknown, &spec);
    assert_refused(request, "the EK certificate has no chain to a root of the TPM vendors");
    vendor_deinit(&unknown);
}

static void an_ek_certificate_of_another_tpm_is_refused(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);
    _cleanup_(proof_request_freep) ProofRequest *others = device_request(&other);

    (void)state;
    X509_free(request->ek_certificate);
    request->ek_certificate = X509_dup(others->ek_certificate);
    assert_refused(request, "the EK certificate is for another EK than the request's");
}

/* An EK in software, whose owner can open any credential, has no vendor's certificate; and one of
 * another template is no EK. */
static void an_ek_that_is_not_of_the_template_is_refused(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);

    (void)state;
    request->ek_public.publicArea.objectAttributes &= ~TPMA_OBJECT_RESTRICTED;
    assert_refused(request, "the request's EK is not made from a template");
}

static void a_csr_for_another_key_or_name_is_refused(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);
    EVP_PKEY *soft = EVP_EC_gen("P-256");
    const ASN1_BIT_STRING *const_signature = NULL;
    ASN1_BIT_STRING *signature;

    (void)state;
    (void)snprintf(request->fqdn, sizeof(request->fqdn), "henb-8.example");
    assert_refused(request, "the CSR does not ask for the request's name henb-8.example alone");
    (void)snprintf(request->fqdn, sizeof(request->fqdn), PROOF_FQDN);
    X509_REQ_get0_signature(request->csr, &const_signature, NULL);
    signature = ASN1_STRING_dup(const_signature);
    signature->data[signature->length - 1] ^= 1;
    X509_REQ_set0_signature(request->csr, signature);
    assert_refused(request, "the CSR's signature is not good");
    X509_REQ_free(request->csr);
    request->csr = csr_in_software(soft, PROOF_FQDN);
    assert_refused(request, "the CSR is for another key than the device key");
    EVP_PKEY_free(soft);
}

static void a_name_or_serial_that_is_none_is_refused(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);

    (void)state;
    (void)snprintf(request->fqdn, sizeof(request->fqdn), "x,DNS:y.example");
    assert_refused(request, "is not an FQDN");
    (void)snprintf(request->fqdn, sizeof(request->fqdn), PROOF_FQDN);
    (void)snprintf(request->serial, sizeof(request->serial), "a\nb");
    assert_refused(request, "the request's serial number");
}

static void an_answer_of_another_request_or_a_wrong_secret_issues_nothing(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);
    _cleanup_(proof_response_deinit) ProofResponse response = {0};
    STACK_OF(X509) *chain = NULL;
    Reason reason = {0};
    ProofChallenge challenge;
    ProofPending pending;

    (void)state;
    challenge_make(request, &challenge, &pending);
    assert_int_equal(proof_activate(device.tpm, &device.key, &challenge, &response, &reason), 0);

    response.secret->data[31] ^= 1;
    assert_int_equal(proof_issue(request, &pending, &response, authority, 90, &chain, &reason),
                     -EKEYREJECTED);
    assert_words(reason.text, "the secret in the response is not the challenge's");
    response.secret->data[31] ^= 1;

    response.request.octets[0] ^= 1;
    assert_int_equal(proof_issue(request, &pending, &response, authority, 90, &chain, &reason),
                     -EKEYREJECTED);
    assert_words(reason.text, "the response belongs to another request");
    response.request.octets[0] ^= 1;

    /* A name changed after it was judged. */
    (void)snprintf(request->fqdn, sizeof(request->fqdn), "henb-8.example");
    assert_int_equal(proof_issue(request, &pending, &response, authority, 90, &chain, &reason),
                     -EKEYREJECTED);
    assert_words(reason.text, "the request is not the one that was judged");
    (void)snprintf(request->fqdn, sizeof(request->fqdn), PROOF_FQDN);

    assert_int_equal(proof_issue(request, &pending, &response, authority, 0, &chain, &reason),
                     -EINVAL);
    assert_words(reason.text, "a certificate lasts 1 to 36500 days, not 0");
    assert_null(chain);
    assert_int_equal(proof_issue(request, &pending, &response, authority, 90, &chain, &reason), 0);
    sk_X509_pop_free(chain, X509_free);
}

static void each_part_of_a_request_changes_its_digest(void **state)
{
    _cleanup_(proof_request_freep) ProofRequest *request = device_request(&device);
    _cleanup_(proof_request_freep) ProofRequest *others = device_request(&other);
    ProofRequest *const parts[] = {request, others};
    ProofDigest before;
    ProofDigest after;

    (void)state;
    assert_int_equal(proof_request_digest(request, &before), 0);
    for (int part = 0; part < 6; part++) {
        ProofRequest mixed = *parts[0];

        if (part == 0) /* the boundary between two texts moves */
            (void)snprintf(mixed.fqdn, sizeof(mixed.fqdn), PROOF_FQDN "S");
        if (part <= 1)
            (void)snprintf(mixed.serial, sizeof(mixed.serial), part == 0 ? "N-7" : "SN-8");
        if (part == 2)
            mixed.ek_certificate = others->ek_certificate;
        if (part == 3)
            mixed.ek_public = others->ek_public;
        if (part == 4)
            mixed.device_public = others->device_public;
        if (part == 5)
            mixed.csr = others->csr;
        assert_int_equal(proof_request_digest(&mixed, &after), 0);
        assert_memory_not_equal(after.octets, before.octets, sizeof(before.octets));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_challenge_has_a_secret_of_its_own),
        cmocka_unit_test(without_random_numbers_there_is_no_challenge),
        cmocka_unit_test(a_key_in_its_tpm_is_certified),
        cmocka_unit_test(the_proof_leaves_nothing_in_the_tpm),
        cmocka_unit_test(a_soft_key_is_never_certified),
        cmocka_unit_test(a_key_that_was_imported_is_refused),
        cmocka_unit_test(another_tpms_key_is_never_certified),
        cmocka_unit_test(a_key_without_the_policy_is_refused),
        cmocka_unit_test(a_development_key_is_certified_if_no_policy_is_asked_for),
        cmocka_unit_test(a_key_that_decrypts_or_is_restricted_is_refused),
        cmocka_unit_test(a_tpm_of_an_unknown_vendor_is_refused),
        cmocka_unit_test(an_ek_certificate_of_another_tpm_is_refused),
        cmocka_unit_test(an_ek_that_is_not_of_the_template_is_refused),
        cmocka_unit_test(a_csr_for_another_key_or_name_is_refused),
        cmocka_unit_test(a_name_or_serial_that_is_none_is_refused),
        cmocka_unit_test(an_answer_of_another_request_or_a_wrong_secret_issues_nothing),
        cmocka_unit_test(each_part_of_a_request_changes_its_digest),
    };

    return cmocka_run_group_tests(tests, group_init, group_deinit);
}
