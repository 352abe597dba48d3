/* A TPM of the test's own, with a storage root key and a key below it. */
#include "tpm_bench.h"
#include "tpm/open.h"

#include "base/reason.h"
#include "tpm/session.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

TpmBench bench;

int bench_init(void **state)
{
    Reason reason = {0};
    TpmObject srk = {0};

    *state = &bench;
    if (secrets_init() < 0) {
        print_error("no memory for secrets\n");
        return -1;
    }
    if (swtpm_start(&bench.swtpm) < 0 || tpm_open(bench.swtpm.tcti, &bench.tpm, &reason) < 0 ||
        tpm_srk_open(bench.tpm, true, &srk, &reason) < 0) {
        print_error("%s\n", reason.text);
        return -1;
    }
    tpm_object_release(bench.tpm, &srk);
    return 0;
}

int bench_deinit(void **state)
{
    (void)state;
    tpm_close(bench.tpm);
    swtpm_stop(&bench.swtpm);
    return 0;
}

void bench_reconnect(void)
{
    Reason reason = {0};

    if (bench.tpm)
        tpm_close(bench.tpm);
    if (tpm_open(bench.swtpm.tcti, &bench.tpm, &reason) < 0)
        fail_msg("%s", reason.text);
}

unsigned handle_count(TPM2_HANDLE first)
{
    return tpm_handle_count(bench.tpm, first);
}

TpmObject signing_key_new(TPM2B_PUBLIC *ret_public)
{
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    static const TPM2B_PUBLIC template = {
        .publicArea =
            {
                .type = TPM2_ALG_ECC,
                .nameAlg = TPM2_ALG_SHA256,
                .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH |
                                    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_FIXEDTPM |
                                    TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA,
                .parameters.eccDetail =
                    {
                        .symmetric.algorithm = TPM2_ALG_NULL,
                        .scheme.scheme = TPM2_ALG_NULL,
                        .curveID = TPM2_ECC_NIST_P256,
                        .kdf.scheme = TPM2_ALG_NULL,
                    },
            },
    };
    Reason reason = {0};
    TpmObject srk = {0}, key = {0};
    TPM2B_PRIVATE private = {0};

    if (tpm_srk_open(bench.tpm, false, &srk, &reason) < 0)
        fail_msg("%s", reason.text);
    *ret_public = (TPM2B_PUBLIC){0};
    assert_int_equal(
        tpm2_create(bench.tpm, &srk, NULL, &sensitive, &template, &private, ret_public),
        TSS2_RC_SUCCESS);
    assert_int_equal(tpm2_load(bench.tpm, &srk, NULL, &private, ret_public, &key), TSS2_RC_SUCCESS);
    tpm_object_release(bench.tpm, &srk);
    tpm_hold(bench.tpm, key.handle);
    return key;
}

TSS2_RC signing_key_sign(const TpmObject *key, TpmSession *session, const TPM2B_DIGEST *digest,
                         TPMT_SIGNATURE *ret)
{
    static const TPMT_SIG_SCHEME scheme = {
        .scheme = TPM2_ALG_ECDSA,
        .details.ecdsa.hashAlg = TPM2_ALG_SHA256,
    };

    return tpm2_sign(bench.tpm, key, session, digest, &scheme, ret);
}

TpmSession *session_new(TPM2_SE type)
{
    Reason reason = {0};
    TpmSession *session = NULL;

    if (tpm_session_start(bench.tpm, type, &session, &reason) < 0)
        fail_msg("%s", reason.text);
    return session;
}

void assert_signs_in_a_session(const TpmObject *key)
{
    const TPM2B_DIGEST digest = {.size = TPM_HASH_SIZE, .buffer = {1}};
    TpmSession *session = session_new(TPM2_SE_HMAC);
    TPMT_SIGNATURE signature = {0};

    assert_int_equal(signing_key_sign(key, session, &digest, &signature), TSS2_RC_SUCCESS);
    tpm_session_flush(bench.tpm, session);
}

TSS2_RC session_take(TPM2_HANDLE *ret)
{
    static const TPM2B_NONCE nonce = {.size = TPM_HASH_SIZE};
    static const TPM2B_ENCRYPTED_SECRET no_salt = {0};
    TPM2B_NONCE nonce_tpm = {0};

    return tpm2_start_auth_session(bench.tpm, NULL, &nonce, &no_salt, TPM2_SE_HMAC, ret,
                                   &nonce_tpm);
}

TSS2_RC sessions_take_all(void)
{
    TPM2_HANDLE session;
    TSS2_RC rc;

    do {
        rc = session_take(&session);
    } while (rc == TSS2_RC_SUCCESS);
    return rc;
}

TSS2_RC slot_take(const TPM2B_PUBLIC *public)
{
    TpmObject object = {0};

    return tpm2_load_external(bench.tpm, public, TPM2_RH_OWNER, &object);
}

TSS2_RC slots_take_all(const TPM2B_PUBLIC *public)
{
    TSS2_RC rc;

    do {
        rc = slot_take(public);
    } while (rc == TSS2_RC_SUCCESS);
    return rc;
}
