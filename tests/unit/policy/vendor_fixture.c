/* How does a test get a vendor who signs for platform states? */
#include "vendor_fixture.h"

#include "base/reason.h"
#include "crypto/openssl.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

PolicyKey vendor_key_new(const char *type)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey =
        strcmp(type, "RSA") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
                                 : EVP_PKEY_Q_keygen(NULL, NULL, "EC", type);
    _cleanup_(free_charp) char *pem = NULL;
    PolicyKey made = {.pkey = pkey}, key;
    Reason reason = {0};

    assert_non_null(pkey);
    pem = vendor_key_pem(&made, true);
    if (policy_key_decode((Bytes){(const uint8_t *)pem, strlen(pem)}, "key", true, &key, &reason) <
        0)
        fail_msg("%s", reason.text);
    return key;
}

char *vendor_key_pem(const PolicyKey *key, bool private)
{
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long size;

    assert_int_equal(private ? PEM_write_bio_PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL)
                             : PEM_write_bio_PUBKEY(bio, key->pkey),
                     1);
    size = BIO_get_mem_data(bio, &text);
    text = strndup(text, (size_t)size);
    assert_non_null(text);
    return text;
}

PcrState platform_state(uint32_t mask)
{
    PcrState state = {.bank = TPM2_ALG_SHA256, .mask = mask};
    Reason reason = {0};

    if (pcr_read(bench.tpm, &state, &reason) < 0)
        fail_msg("%s", reason.text);
    return state;
}

void platform_extend(unsigned pcr)
{
    const TPML_DIGEST_VALUES digests = {
        .count = 1,
        .digests[0] = {.hashAlg = TPM2_ALG_SHA256, .digest.sha256 = {0xaa}},
    };

    assert_int_equal(tpm2_pcr_extend(bench.tpm, pcr, &digests), TSS2_RC_SUCCESS);
}

void file_put(const char *name, const char *text, char *ret_path)
{
    FILE *file;

    (void)snprintf(ret_path, 128, "%s/%s", bench.swtpm.folder, name);
    file = fopen(ret_path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

KeyPolicy *vendor_policy(const PolicyKey *vendor, const PcrSignatures *states,
                         const TPMT_PUBLIC *public)
{
    _cleanup_(free_charp) char *pem = vendor_key_pem(vendor, false);
    _cleanup_(free_charp) char *text = NULL;
    char key_path[128], states_path[128];
    Reason reason = {0};
    KeyPolicy *policy = NULL;

    assert_int_equal(pcr_signatures_encode(states, &text), 0);
    file_put("vendor.pem", pem, key_path);
    file_put("states", text, states_path);
    if (key_policy_read(public, key_path, states_path, &policy, &reason) < 0)
        fail_msg("%s", reason.text);
    return policy;
}
