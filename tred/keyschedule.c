/* Makes SK_* and the ESP keys of nonces and the DH secret (RFC 7296 2.13, 2.14, 2.17). */
#include "tred/keyschedule.h"

#include "crypto/hmac.h"
#include "crypto/openssl.h"

#include <errno.h>
#include <string.h>

/* prf(key, parts[0] | parts[1] | …) into `ret`, leaving the context ready for the next. */
static int prf_run(EVP_MAC_CTX *context, const Bytes *parts, size_t count, uint8_t *ret,
                   size_t size)
{
    size_t written;

    for (size_t i = 0; i < count; i++) {
        if (!EVP_MAC_update(context, parts[i].data, parts[i].size))
            return -EIO;
    }
    if (!EVP_MAC_final(context, ret, &written, size) || written != size)
        return -EIO;
    return EVP_MAC_init(context, NULL, 0, NULL) ? 0 : -EIO;
}

static int prf_secret(const Prf *prf, Bytes key, const Bytes *parts, size_t count, Secret **ret)
{
    _cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *context = NULL;
    _cleanup_(secret_freep) Secret *secret = NULL;
    int r;

    r = hmac_new(prf->digest, key, &context);
    if (r < 0)
        return r;
    r = secret_new(prf->size, &secret);
    if (r < 0)
        return r;
    r = prf_run(context, parts, count, secret->data, secret->size);
    if (r < 0)
        return r;
    *ret = steal_pointer(secret);
    return 0;
}

enum { PRF_PLUS_SEED_PARTS = 3, PRF_PLUS_BLOCKS_MAX = 255 };

/* prf+ of RFC 7296 2.13: T1 = prf(K, S | 0x01), Tn = prf(K, Tn-1 | S | n), where `seed` gives S. */
static int prf_plus(const Prf *prf, const Secret *key, const Bytes *seed, size_t count, size_t size,
                    Secret **ret)
{
    _cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *context = NULL;
    _cleanup_(secret_freep) Secret *stream = NULL, *block = NULL;
    Bytes parts[PRF_PLUS_SEED_PARTS + 2] = {0}; /* Tn-1, S, n */
    uint8_t number = 0;
    int r;

    /* The block's number is one octet; more would repeat the stream. */
    if (size > PRF_PLUS_BLOCKS_MAX * prf->size || count > PRF_PLUS_SEED_PARTS)
        return -EINVAL;
    r = secret_new(size, &stream);
    if (r < 0)
        return r;
    r = secret_new(prf->size, &block);
    if (r < 0)
        return r;
    r = hmac_new(prf->digest, secret_bytes(key), &context);
    if (r < 0)
        return r;

    memcpy(&parts[1], seed, count * sizeof(*seed));
    parts[1 + count] = (Bytes){&number, sizeof(number)};
    for (size_t done = 0; done < size; done += prf->size) {
        size_t take = size - done < prf->size ? size - done : prf->size;

        number++;
        r = prf_run(context, parts, count + 2, block->data, block->size);
        if (r < 0)
            return r;
        memcpy(stream->data + done, block->data, take);
        parts[0] = secret_bytes(block);
    }
    *ret = steal_pointer(stream);
    return 0;
}

int prf_compute(const Prf *prf, const Secret *key, Bytes data, uint8_t *ret)
{
    _cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *context = NULL;
    int r = hmac_new(prf->digest, secret_bytes(key), &context);

    if (r < 0)
        return r;
    return prf_run(context, &data, 1, ret, prf->size);
}

int skeyseed_compute(const Prf *prf, Bytes nonce_i, Bytes nonce_r, const Secret *dh_secret,
                     Secret **ret)
{
    uint8_t key[2 * IKE_NONCE_MAX];
    Bytes both, data = secret_bytes(dh_secret);
    Writer writer;
    int r;

    writer_init(&writer, key, sizeof(key));
    writer_bytes(&writer, nonce_i);
    writer_bytes(&writer, nonce_r);
    r = writer_finish(&writer, &both);
    if (r < 0)
        return r;
    return prf_secret(prf, both, &data, 1, ret);
}

int skeyseed_rekey(const Prf *old_prf, const Secret *sk_d, const Secret *dh_secret, Bytes nonce_i,
                   Bytes nonce_r, Secret **ret)
{
    const Bytes parts[] = {secret_bytes(dh_secret), nonce_i, nonce_r};

    return prf_secret(old_prf, secret_bytes(sk_d), parts, ELEMENTS(parts), ret);
}

int ike_keymat(const Prf *prf, const Secret *skeyseed, Bytes nonce_i, Bytes nonce_r, uint64_t spi_i,
               uint64_t spi_r, size_t size, Secret **ret)
{
    uint8_t spis[16];
    Writer writer;

    writer_init(&writer, spis, sizeof(spis));
    writer_u64(&writer, spi_i);
    writer_u64(&writer, spi_r);

    const Bytes seed[] = {nonce_i, nonce_r, BYTES_OF(spis)};

    return prf_plus(prf, skeyseed, seed, ELEMENTS(seed), size, ret);
}

int child_keymat(const Prf *prf, const Secret *sk_d, const Secret *dh_secret, Bytes nonce_i,
                 Bytes nonce_r, size_t size, Secret **ret)
{
    const Bytes seed[] = {dh_secret ? secret_bytes(dh_secret) : (Bytes){0}, nonce_i, nonce_r};

    return prf_plus(prf, sk_d, seed, ELEMENTS(seed), size, ret);
}

/* One key to be cut off the key stream; of size 0 if the suite has no such key. */
typedef struct KeyCut {
    Secret **key;
    size_t size;
} KeyCut;

static int keymat_cut(const Secret *keymat, const KeyCut *cuts, size_t count)
{
    size_t offset = 0;

    for (size_t i = 0; i < count; i++) {
        int r;

        if (cuts[i].size == 0)
            continue;
        r = secret_new_slice(keymat, offset, cuts[i].size, cuts[i].key);
        if (r < 0)
            return r;
        offset += cuts[i].size;
    }
    return 0;
}

int ike_keys_derive(const IkeSuite *suite, const Secret *skeyseed, Bytes nonce_i, Bytes nonce_r,
                    uint64_t spi_i, uint64_t spi_r, IkeKeys *ret)
{
    _cleanup_(secret_freep) Secret *keymat = NULL;
    IkeKeys keys = {0};
    size_t prf_size = suite->prf->size;
    size_t integ_size = suite->integ ? suite->integ->key_size : 0;
    size_t encr_size = suite->cipher->key_size + suite->cipher->salt_size;
    const KeyCut cuts[] = {
        {&keys.sk_d, prf_size},   {&keys.sk_ai, integ_size}, {&keys.sk_ar, integ_size},
        {&keys.sk_ei, encr_size}, {&keys.sk_er, encr_size},  {&keys.sk_pi, prf_size},
        {&keys.sk_pr, prf_size},
    };
    int r;

    r = ike_keymat(suite->prf, skeyseed, nonce_i, nonce_r, spi_i, spi_r,
                   ike_suite_keymat_size(suite), &keymat);
    if (r < 0)
        return r;
    r = keymat_cut(keymat, cuts, ELEMENTS(cuts));
    if (r < 0) {
        ike_keys_deinit(&keys);
        return r;
    }
    *ret = keys;
    return 0;
}

void ike_keys_deinit(IkeKeys *keys)
{
    secret_free(keys->sk_d);
    secret_free(keys->sk_ai);
    secret_free(keys->sk_ar);
    secret_free(keys->sk_ei);
    secret_free(keys->sk_er);
    secret_free(keys->sk_pi);
    secret_free(keys->sk_pr);
    *keys = (IkeKeys){0};
}

int esp_keys_derive(const Prf *prf, const EspSuite *suite, const Secret *sk_d,
                    const Secret *dh_secret, Bytes nonce_i, Bytes nonce_r, EspKeys *ret)
{
    _cleanup_(secret_freep) Secret *keymat = NULL;
    EspKeys keys = {0};
    size_t integ_size = suite->integ ? suite->integ->key_size : 0;
    size_t encr_size = suite->cipher->key_size + suite->cipher->salt_size;
    const KeyCut cuts[] = {
        {&keys.encr_i, encr_size},
        {&keys.integ_i, integ_size},
        {&keys.encr_r, encr_size},
        {&keys.integ_r, integ_size},
    };
    int r;

    r = child_keymat(prf, sk_d, dh_secret, nonce_i, nonce_r, esp_suite_keymat_size(suite), &keymat);
    if (r < 0)
        return r;
    r = keymat_cut(keymat, cuts, ELEMENTS(cuts));
    if (r < 0) {
        esp_keys_deinit(&keys);
        return r;
    }
    *ret = keys;
    return 0;
}

void esp_keys_deinit(EspKeys *keys)
{
    secret_free(keys->encr_i);
    secret_free(keys->integ_i);
    secret_free(keys->encr_r);
    secret_free(keys->integ_r);
    *keys = (EspKeys){0};
}
