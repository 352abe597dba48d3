/* Seals a chain of payloads into an SK or SKF payload, and opens it again (RFC 7296 3.14, RFC
 * 7383 2.5). */
#include "tred/seal.h"

#include "crypto/hmac.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

struct Seal {
    const Cipher *cipher;
    const Integ *integ; /* NULL with AEAD */
    const Secret *encr; /* key, then salt */
    EVP_CIPHER *algorithm;
    EVP_CIPHER_CTX *context;
    EVP_MAC_CTX *mac;    /* keyed; NULL with AEAD */
    uint64_t iv_counter; /* AEAD: the next IV */
};

/* Where things stand in a sealed message: header and AAD | IV | sealed | ICV. */
typedef struct SealLayout {
    uint8_t *message;
    size_t aad_size;
    size_t sealed_size; /* payloads, padding and Pad Length */
    size_t icv_size;
} SealLayout;

int seal_new(const Cipher *cipher, const Integ *integ, const Secret *encr, const Secret *integ_key,
             Seal **ret)
{
    _cleanup_(seal_freep) Seal *seal = NULL;

    if (encr->size != cipher->key_size + cipher->salt_size || cipher->aead != !integ ||
        cipher->aead != !integ_key)
        return -EINVAL;
    seal = calloc(1, sizeof(*seal));
    if (!seal)
        return -ENOMEM;
    seal->cipher = cipher;
    seal->integ = integ;
    seal->encr = encr;
    seal->algorithm = EVP_CIPHER_fetch(NULL, cipher->openssl, NULL);
    if (!seal->algorithm)
        return -EIO;
    seal->context = EVP_CIPHER_CTX_new();
    if (!seal->context)
        return -ENOMEM;
    if (integ) {
        int r = hmac_new(integ->digest, secret_bytes(integ_key), &seal->mac);

        if (r < 0)
            return r;
    }
    *ret = steal_pointer(seal);
    return 0;
}

void seal_free(Seal *seal)
{
    if (!seal)
        return;
    EVP_CIPHER_CTX_free(seal->context);
    EVP_CIPHER_free(seal->algorithm);
    EVP_MAC_CTX_free(seal->mac);
    free(seal);
}

static size_t seal_icv_size(const Seal *seal)
{
    return seal->integ ? seal->integ->icv_size : seal->cipher->icv_size;
}

static size_t seal_padding(const Seal *seal, size_t plain_size)
{
    size_t block = seal->cipher->block_size;

    return (block - (plain_size + 1) % block) % block;
}

size_t seal_size(const Seal *seal, size_t plain_size)
{
    return seal->cipher->iv_size + plain_size + seal_padding(seal, plain_size) + 1 +
           seal_icv_size(seal);
}

size_t seal_capacity(const Seal *seal, size_t size)
{
    size_t fixed = seal->cipher->iv_size + seal_icv_size(seal);
    size_t room = size > fixed ? size - fixed : 0;

    room -= room % seal->cipher->block_size;
    return room > 0 ? room - 1 : 0;
}

/* Keys the context for one message. With AEAD the nonce is salt | IV (RFC 5282 4), and the salt
 * stands after the key. The key is given anew each time, as the context may have been used the
 * other way. */
static int cipher_start(Seal *seal, const uint8_t *iv, bool encrypt)
{
    const Cipher *cipher = seal->cipher;
    uint8_t nonce[IKE_CIPHER_SALT_MAX + IKE_CIPHER_IV_MAX];
    int ok;

    memcpy(nonce, seal->encr->data + cipher->key_size, cipher->salt_size);
    memcpy(nonce + cipher->salt_size, iv, cipher->iv_size);
    ok = EVP_CipherInit_ex2(seal->context, seal->algorithm, seal->encr->data, nonce,
                            encrypt ? 1 : 0, NULL);
    OPENSSL_cleanse(nonce, sizeof(nonce));
    if (!ok)
        return -EIO;
    /* Padding is IKE's own (RFC 7296 3.14). */
    return EVP_CIPHER_CTX_set_padding(seal->context, 0) ? 0 : -EIO;
}

/* The expanded key is in ordinary memory: it goes as soon as the message is done. */
static void cipher_stop(Seal *seal)
{
    (void)EVP_CIPHER_CTX_reset(seal->context);
}

static int cipher_update(Seal *seal, uint8_t *out, const uint8_t *in, size_t size)
{
    int written = 0;

    if (size > INT_MAX || !EVP_CipherUpdate(seal->context, out, &written, in, (int)size))
        return -EIO;
    return (size_t)written == size ? 0 : -EIO;
}

/* HMAC over `data`, cut to the ICV's size (RFC 4868 2.3). */
static int mac_compute(Seal *seal, const uint8_t *data, size_t size, uint8_t *icv)
{
    uint8_t full[EVP_MAX_MD_SIZE];
    size_t written = 0;

    if (!EVP_MAC_init(seal->mac, NULL, 0, NULL) || !EVP_MAC_update(seal->mac, data, size) ||
        !EVP_MAC_final(seal->mac, full, &written, sizeof(full)) || written < seal->integ->icv_size)
        return -EIO;
    memcpy(icv, full, seal->integ->icv_size);
    return 0;
}

static int iv_next(Seal *seal, uint8_t *iv)
{
    Writer writer;

    if (!seal->cipher->aead) {
        /* RFC 7296 3.14: a CBC IV must not be predictable. */
        return RAND_bytes(iv, (int)seal->cipher->iv_size) == 1 ? 0 : -EIO;
    }
    /* RFC 5282 3.1: unique for the key, so a counter; the peer's direction has a key of its own. */
    if (seal->iv_counter == UINT64_MAX)
        return -EOVERFLOW;
    writer_init(&writer, iv, seal->cipher->iv_size);
    writer_u64(&writer, seal->iv_counter++);
    return 0;
}

/* Encrypts in place, then fills in the ICV. */
static int layout_encrypt(Seal *seal, const SealLayout *layout)
{
    uint8_t *iv = layout->message + layout->aad_size;
    uint8_t *sealed = iv + seal->cipher->iv_size;
    uint8_t *icv = sealed + layout->sealed_size;
    OSSL_PARAM tag[] = {
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, icv, layout->icv_size),
        OSSL_PARAM_construct_end(),
    };
    int written = 0, r;

    r = cipher_start(seal, iv, true);
    if (r == 0 && seal->cipher->aead)
        r = cipher_update(seal, NULL, layout->message, layout->aad_size);
    if (r == 0)
        r = cipher_update(seal, sealed, sealed, layout->sealed_size);
    if (r == 0 && !EVP_CipherFinal_ex(seal->context, icv, &written))
        r = -EIO;
    if (r == 0 && seal->cipher->aead && !EVP_CIPHER_CTX_get_params(seal->context, tag))
        r = -EIO;
    cipher_stop(seal);
    if (r < 0 || seal->cipher->aead)
        return r;
    /* RFC 7296 3.14: over the whole message, header to Pad Length, after encryption. */
    return mac_compute(seal, layout->message, (size_t)(icv - layout->message), icv);
}

int seal_message(Seal *seal, const IkeHeader *header, uint8_t first, const IkeFragment *fragment,
                 Bytes plain, Writer *writer)
{
    SealLayout layout = {.message = writer->data, .icv_size = seal_icv_size(seal)};
    uint8_t iv[IKE_CIPHER_IV_MAX];
    size_t padding = seal_padding(seal, plain.size);
    Bytes whole;
    IkeChain chain;
    int r;

    r = iv_next(seal, iv);
    if (r < 0)
        return r;
    ike_message_begin(writer, header, &chain);
    ike_chain_open(&chain, fragment ? IKE_PAYLOAD_SKF : IKE_PAYLOAD_SK, false);
    if (fragment) {
        writer_u16(writer, fragment->number);
        writer_u16(writer, fragment->total);
    }
    layout.aad_size = writer->size;
    writer_bytes(writer, (Bytes){iv, seal->cipher->iv_size});
    writer_bytes(writer, plain);
    writer_zeros(writer, padding);
    writer_u8(writer, (uint8_t)padding);
    layout.sealed_size = plain.size + padding + 1;
    writer_zeros(writer, layout.icv_size);
    ike_chain_close(&chain);
    ike_message_end(&chain);
    /* RFC 7383 2.5: only the first fragment says what the chain begins with. */
    writer_patch_u8(writer, IKE_HEADER_SIZE, fragment && fragment->number > 1 ? 0 : first);
    r = writer_finish(writer, &whole);
    if (r == 0)
        r = layout_encrypt(seal, &layout);
    if (r < 0) {
        /* What was to be sealed must not leave in the clear. */
        OPENSSL_cleanse(writer->data, writer->size);
        writer->size = 0;
    }
    return r;
}

/* The IV, ciphertext and ICV of the SK or SKF payload, which are the end of the datagram: behind
 * such a payload the reader of messages lets none follow. */
static int message_sealed(const IkeMessage *message, Bytes *ret)
{
    const IkePayload *sk = ike_payloads_find(&message->payloads, IKE_PAYLOAD_SK);
    const IkePayload *skf = ike_payloads_find(&message->payloads, IKE_PAYLOAD_SKF);
    IkeFragment fragment;

    if (sk) {
        *ret = sk->body;
        return 0;
    }
    if (!skf || ike_fragment_decode(skf->body, &fragment) != 0)
        return -EBADMSG;
    *ret = fragment.sealed;
    return 0;
}

static int open_cbc(Seal *seal, Bytes datagram, Bytes iv, Bytes sealed, Bytes icv, uint8_t *plain)
{
    uint8_t expected[IKE_ICV_MAX];
    int written = 0, r;

    r = mac_compute(seal, datagram.data, datagram.size - icv.size, expected);
    if (r < 0)
        return r;
    if (CRYPTO_memcmp(expected, icv.data, icv.size) != 0)
        return -EBADMSG;
    r = cipher_start(seal, iv.data, false);
    if (r == 0)
        r = cipher_update(seal, plain, sealed.data, sealed.size);
    if (r == 0 && !EVP_CipherFinal_ex(seal->context, plain + sealed.size, &written))
        r = -EIO;
    cipher_stop(seal);
    return r;
}

static int open_aead(Seal *seal, Bytes aad, Bytes iv, Bytes sealed, Bytes icv, uint8_t *plain)
{
    uint8_t expected[IKE_ICV_MAX];
    OSSL_PARAM tag[] = {
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, expected, icv.size),
        OSSL_PARAM_construct_end(),
    };
    int written = 0, r;

    memcpy(expected, icv.data, icv.size);
    r = cipher_start(seal, iv.data, false);
    if (r == 0 && !EVP_CIPHER_CTX_set_params(seal->context, tag))
        r = -EIO;
    if (r == 0)
        r = cipher_update(seal, NULL, aad.data, aad.size);
    if (r == 0)
        r = cipher_update(seal, plain, sealed.data, sealed.size);
    /* The library compares the tag here, in constant time. */
    if (r == 0 && EVP_CipherFinal_ex(seal->context, plain + sealed.size, &written) <= 0)
        r = -EBADMSG;
    cipher_stop(seal);
    return r;
}

int seal_open(Seal *seal, Bytes datagram, const IkeMessage *message, uint8_t *plain,
              size_t *ret_size)
{
    size_t icv_size = seal_icv_size(seal), iv_size = seal->cipher->iv_size;
    size_t sealed_size, padding;
    Bytes all, iv, sealed, icv;
    int r;

    r = message_sealed(message, &all);
    if (r < 0)
        return r;
    if (all.size < iv_size + icv_size + 1)
        return -EBADMSG;
    sealed_size = all.size - iv_size - icv_size;
    if (sealed_size % seal->cipher->block_size != 0)
        return -EBADMSG;
    iv = bytes_slice(all, 0, iv_size);
    sealed = bytes_slice(all, iv_size, sealed_size);
    icv = bytes_slice(all, iv_size + sealed_size, icv_size);

    if (seal->cipher->aead) {
        r = open_aead(seal, bytes_slice(datagram, 0, datagram.size - all.size), iv, sealed, icv,
                      plain);
    } else {
        r = open_cbc(seal, datagram, iv, sealed, icv, plain);
    }
    if (r == 0) {
        padding = plain[sealed_size - 1];
        if (padding + 1 <= sealed_size) {
            *ret_size = sealed_size - 1 - padding;
            return 0;
        }
        r = -EBADMSG;
    }
    OPENSSL_cleanse(plain, sealed_size);
    return r;
}
