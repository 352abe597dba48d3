/* Credentials: locks a secret to one TPM and one key in it without having that TPM, and has a TPM
 * give the secret out so that its bus learns nothing of it. */
#include "provisioning/credential.h"

#include "crypto/openssl.h"
#include "tpm/commands.h"
#include "tpm/crypto.h"
#include "tpm/publickey.h"
#include "tpm/session.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

enum { IDENTITY_SIZE = sizeof(uint16_t) + CREDENTIAL_SECRET_SIZE };

/* encIdentity: the secret as TPM2B_DIGEST, AES-128-CFB with a zero IV under a key that no other
 * secret has (TPM 2.0 Part 1, 24.4). */
static int identity_encrypt(TpmCrypto *crypto, const Secret *seed, Bytes name, const Secret *secret,
                            uint8_t *ret)
{
    static const uint8_t iv[TPM_CIPHER_BLOCK_SIZE] = {0};
    _cleanup_(secret_freep) Secret *key = NULL;
    Writer writer;
    int r;

    r = tpm_kdfa(crypto, secret_bytes(seed), "STORAGE", name, (Bytes){0}, TPM_CIPHER_KEY_SIZE,
                 &key);
    if (r < 0)
        return r;
    writer_init(&writer, ret, IDENTITY_SIZE);
    writer_u16(&writer, CREDENTIAL_SECRET_SIZE);
    writer_bytes(&writer, secret_bytes(secret));
    return writer.overflow ? -EIO : tpm_cfb(crypto, true, key->data, iv, ret, IDENTITY_SIZE);
}

/* outerHMAC, which ties the secret to the key's Name. */
static int outer_hmac(TpmCrypto *crypto, const Secret *seed, Bytes identity, Bytes name,
                      uint8_t *ret)
{
    _cleanup_(secret_freep) Secret *key = NULL;
    int r = tpm_kdfa(crypto, secret_bytes(seed), "INTEGRITY", (Bytes){0}, (Bytes){0}, TPM_HASH_SIZE,
                     &key);

    return r < 0 ? r : tpm_hmac(crypto, secret_bytes(key), (Bytes[]){identity, name}, 2, ret);
}

static int blob_make(TpmCrypto *crypto, const Secret *seed, Bytes name, const Secret *secret,
                     TPM2B_ID_OBJECT *ret)
{
    uint8_t identity_data[IDENTITY_SIZE];
    const Bytes identity = BYTES_OF(identity_data);
    uint8_t hmac[TPM_HASH_SIZE];
    Bytes written;
    Writer writer;
    int r;

    r = identity_encrypt(crypto, seed, name, secret, identity_data);
    if (r == 0)
        r = outer_hmac(crypto, seed, identity, name, hmac);
    if (r < 0)
        return r;
    writer_init(&writer, ret->credential, sizeof(ret->credential));
    writer_u16(&writer, TPM_HASH_SIZE);
    writer_bytes(&writer, BYTES_OF(hmac));
    writer_bytes(&writer, identity);
    r = writer_finish(&writer, &written);
    ret->size = (UINT16)(r == 0 ? written.size : 0);
    return r;
}

int credential_make(const TPM2B_PUBLIC *ek, const TPM2B_NAME *name, const Secret *secret,
                    Credential *ret)
{
    _cleanup_(tpm_crypto_freep) TpmCrypto *crypto = NULL;
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
    _cleanup_(secret_freep) Secret *seed = NULL;
    Credential credential = {0};
    EndorsementTemplate template;
    int r;

    if (secret->size != CREDENTIAL_SECRET_SIZE || endorsement_template_of(ek, &template) < 0)
        return -EINVAL;
    if (tpm_public_to_pkey(ek, &pkey) < 0)
        return -EINVAL;
    r = tpm_crypto_new(&crypto);
    if (r == 0)
        r = tpm_secret_share(crypto, pkey, "IDENTITY", &seed, &credential.secret);
    if (r == 0)
        r = blob_make(crypto, seed, (Bytes){name->name, name->size}, secret, &credential.blob);
    ERR_clear_error();
    if (r == 0)
        *ret = credential;
    return r;
}

/* The EK's one policy: whoever may use the endorsement hierarchy (its auth is empty). */
static int policy_satisfy(const Endorsement *ek, TpmSession *hmac, TpmSession *policy,
                          Reason *reason)
{
    const TSS2_RC rc = tpm2_policy_secret(ek->tpm, TPM2_RH_ENDORSEMENT, hmac, policy);

    if (rc == TSS2_RC_SUCCESS)
        return 0;
    tpm_error(reason, "TPM2_PolicySecret (endorsement hierarchy)", rc);
    return -EIO;
}

/* What a TPM says to a credential that is not its own, or was changed on the way. TPM_RC_FAILURE is
 * libtpms's word for an RSA seed encrypted to another EK; a TPM that is in failure mode would have
 * refused the commands before this one. */
static bool says_not_mine(TSS2_RC rc)
{
    static const TSS2_RC answers[] = {
        TPM2_RC_INTEGRITY, TPM2_RC_VALUE,        TPM2_RC_SIZE,
        TPM2_RC_ECC_POINT, TPM2_RC_INSUFFICIENT, TPM2_RC_FAILURE,
    };

    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        if (tpm_rc_base(rc) == answers[i])
            return true;
    }
    return false;
}

/* `hmac` authorizes the device key, in the ADMIN role, by its empty auth; it encrypts the secret on
 * its way out. */
static int activate(const Endorsement *ek, const TpmObject *key, TpmSession *hmac,
                    TpmSession *policy, const Credential *credential, Secret **ret, Reason *reason)
{
    TPM2B_DIGEST info = {0};
    TSS2_RC rc = tpm2_activate_credential(ek->tpm, key, hmac, &ek->object, policy,
                                          &credential->blob, &credential->secret, &info);
    int r;

    if (says_not_mine(rc)) {
        return reason_set(
            reason, -EKEYREJECTED,
            "the TPM refuses the challenge: it was made for another TPM, or for another "
            "device key, or was damaged on the way (0x%08x); ask for a new one with a "
            "new request",
            rc);
    }
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_ActivateCredential", rc);
        return -EIO;
    }
    r = secret_new(info.size, ret);
    if (r == 0) {
        memcpy((*ret)->data, info.buffer, info.size);
    } else {
        r = -ENOMEM;
        reason_set(reason, 0, "there is no locked memory for the secret");
    }
    OPENSSL_cleanse(&info, sizeof(info));
    return r;
}

int credential_activate(const Endorsement *ek, const TpmObject *key, const Credential *credential,
                        Secret **ret, Reason *reason)
{
    TpmSession *hmac = NULL;
    TpmSession *policy = NULL;
    int r;

    r = tpm_session_start(ek->tpm, TPM2_SE_HMAC, &hmac, reason);
    if (r == 0)
        r = tpm_session_start(ek->tpm, TPM2_SE_POLICY, &policy, reason);
    if (r == 0)
        r = policy_satisfy(ek, hmac, policy, reason);
    if (r == 0)
        r = activate(ek, key, hmac, policy, credential, ret, reason);
    tpm_session_flush(ek->tpm, policy);
    tpm_session_flush(ek->tpm, hmac);
    return r;
}
