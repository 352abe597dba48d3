/* Locking a secret to one TPM and one key in it without having that TPM. */
#include "provisioning/credential.h"

#include "crypto/openssl.h"
#include "tpm/publickey.h"
#include "tpm/secretsharing.h"

#include <errno.h>
#include <openssl/err.h>

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
