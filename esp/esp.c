/* Makes an ESP packet of an inner packet, and an inner packet of an ESP packet (RFC 4303). */
#include "esp/esp.h"

#include "crypto/hmac.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum {
    NONCE_SIZE = 12, /* salt and explicit IV: RFC 4106 4, RFC 7634 2 */
    AAD_SIZE_MAX = 12,
    COMPARED_SIZE_MAX = EVP_MAX_MD_SIZE,
};

struct Esp {
    EspSuite suite;
    uint32_t spi;
    size_t icv_size;
    uint8_t salt[NONCE_SIZE];
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac; /* NULL with AEAD */
};

static EVP_CIPHER_CTX *cipher_context_new(const Cipher *cipher, const Secret *key,
                                          EspDirection direction)
{
    EVP_CIPHER *algorithm = EVP_CIPHER_fetch(NULL, cipher->openssl, NULL);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    /* A key comes alone first: the IV changes with each packet, the key schedule never does. */
    if (!algorithm || !context ||
        EVP_CipherInit_ex2(context, algorithm, secret_bytes(key).data, NULL,
                           direction == ESP_OUTBOUND, NULL) != 1 ||
        /* With AEAD there is no padding to turn off, and saying so costs at every packet. */
        (!cipher->aead && EVP_CIPHER_CTX_set_padding(context, 0) != 1)) {
        EVP_CIPHER_CTX_free(context);
        context = NULL;
    }
    EVP_CIPHER_free(algorithm);
    return context;
}

int esp_new(EspDirection direction, const EspSuite *suite, uint32_t spi, const Secret *encr,
            const Secret *integ, Esp **ret)
{
    const Cipher *cipher = suite->cipher;
    if (encr->size != cipher->key_size + cipher->salt_size || !suite->integ != !integ)
        return -EINVAL;
    if (integ && integ->size != suite->integ->key_size)
        return -EINVAL;

    _cleanup_(esp_freep) Esp *esp = calloc(1, sizeof(*esp));
    if (!esp)
        return -ENOMEM;
    esp->suite = *suite;
    esp->spi = spi;
    esp->icv_size = esp_icv_size(suite);
    memcpy(esp->salt, secret_bytes(encr).data + cipher->key_size, cipher->salt_size);
    esp->cipher = cipher_context_new(cipher, encr, direction);
    if (!esp->cipher)
        return -EIO;
    if (suite->integ) {
        int r = hmac_new(suite->integ->digest, secret_bytes(integ), &esp->mac);
        if (r < 0)
            return r;
    }
    *ret = steal_pointer(esp);
    return 0;
}

void esp_free(Esp *esp)
{
    if (!esp)
        return;
    EVP_CIPHER_CTX_free(esp->cipher);
    EVP_MAC_CTX_free(esp->mac);
    OPENSSL_cleanse(esp, sizeof(*esp));
    free(esp);
}

size_t esp_front_size(const Esp *esp)
{
    return ESP_HEADER_SIZE + esp->suite.cipher->iv_size;
}

size_t esp_sealed_size(const Esp *esp, size_t inner_size)
{
    return esp_packet_size(&esp->suite, inner_size);
}

/* RFC 4303 2.4: padding 1, 2, 3, … then Pad Length and Next Header. Returns the body's size. */
static size_t write_trailer(const Esp *esp, uint8_t next_header, uint8_t *body, size_t inner_size)
{
    size_t body_size = esp_body_size(&esp->suite, inner_size);
    uint8_t pad_length = (uint8_t)(body_size - inner_size - ESP_TRAILER_SIZE);
    Writer writer;
    writer_init(&writer, body + inner_size, body_size - inner_size);
    for (uint8_t pad = 1; pad <= pad_length; pad++)
        writer_u8(&writer, pad);
    writer_u8(&writer, pad_length);
    writer_u8(&writer, next_header);
    return body_size;
}

/* What is authenticated before the body with AEAD: SPI and sequence number, whole with ESN (RFC
 * 4106 5). */
static size_t write_aad(const Esp *esp, uint64_t sequence, uint8_t *aad)
{
    Writer writer;
    writer_init(&writer, aad, AAD_SIZE_MAX);
    writer_u32(&writer, esp->spi);
    if (esp->suite.esn) {
        writer_u64(&writer, sequence);
    } else {
        writer_u32(&writer, (uint32_t)sequence);
    }
    return writer.size;
}

static int seal_aead(Esp *esp, uint64_t sequence, uint8_t *iv, uint8_t *body, size_t body_size)
{
    size_t iv_size = esp->suite.cipher->iv_size, salt_size = esp->suite.cipher->salt_size;
    uint8_t nonce[NONCE_SIZE], aad[AAD_SIZE_MAX];
    memcpy(nonce, esp->salt, salt_size);
    memcpy(nonce + salt_size, iv, iv_size);
    size_t aad_size = write_aad(esp, sequence, aad);
    int size = 0, last = 0;
    if (EVP_EncryptInit_ex2(esp->cipher, NULL, NULL, nonce, NULL) != 1 ||
        EVP_EncryptUpdate(esp->cipher, NULL, &size, aad, (int)aad_size) != 1 ||
        EVP_EncryptUpdate(esp->cipher, body, &size, body, (int)body_size) != 1 ||
        EVP_EncryptFinal_ex(esp->cipher, body + size, &last) != 1 ||
        EVP_CIPHER_CTX_ctrl(esp->cipher, EVP_CTRL_AEAD_GET_TAG, (int)esp->icv_size,
                            body + body_size) != 1)
        return -EIO;
    return 0;
}

/* HMAC over ESP header, IV and ciphertext, and the high half of an ESN, which is not sent (RFC
 * 4303 2.2.1). */
static int compute_icv(Esp *esp, uint64_t sequence, const uint8_t *packet, size_t size,
                       uint8_t *ret)
{
    uint8_t high[4];
    Writer writer;
    writer_init(&writer, high, sizeof(high));
    writer_u32(&writer, (uint32_t)(sequence >> 32));
    size_t icv_size = 0;
    if (EVP_MAC_init(esp->mac, NULL, 0, NULL) != 1 || EVP_MAC_update(esp->mac, packet, size) != 1 ||
        (esp->suite.esn && EVP_MAC_update(esp->mac, high, sizeof(high)) != 1) ||
        EVP_MAC_final(esp->mac, ret, &icv_size, COMPARED_SIZE_MAX) != 1)
        return -EIO;
    return 0;
}

static int seal_cbc(Esp *esp, uint64_t sequence, uint8_t *buffer, uint8_t *body, size_t body_size)
{
    size_t iv_size = esp->suite.cipher->iv_size;
    uint8_t *iv = body - iv_size, icv[COMPARED_SIZE_MAX];
    int size = 0;
    /* RFC 3602 3: the IV must be unpredictable. */
    if (RAND_bytes(iv, (int)iv_size) != 1 ||
        EVP_EncryptInit_ex2(esp->cipher, NULL, NULL, iv, NULL) != 1 ||
        EVP_EncryptUpdate(esp->cipher, body, &size, body, (int)body_size) != 1)
        return -EIO;
    int r = compute_icv(esp, sequence, buffer, (size_t)(body - buffer) + body_size, icv);
    if (r < 0)
        return r;
    memcpy(body + body_size, icv, esp->icv_size);
    return 0;
}

int esp_seal(Esp *esp, uint64_t sequence, uint8_t next_header, uint8_t *buffer, size_t inner_size)
{
    uint8_t *body = buffer + esp_front_size(esp);
    size_t body_size = write_trailer(esp, next_header, body, inner_size);
    Writer writer;
    writer_init(&writer, buffer, esp_front_size(esp));
    writer_u32(&writer, esp->spi);
    writer_u32(&writer, (uint32_t)sequence);
    int r;
    if (esp->suite.cipher->aead) {
        writer_u64(&writer, sequence); /* RFC 4106 3.1: any value, never twice with one key */
        r = seal_aead(esp, sequence, buffer + ESP_HEADER_SIZE, body, body_size);
    } else {
        r = seal_cbc(esp, sequence, buffer, body, body_size);
    }
    if (r < 0)
        OPENSSL_cleanse(buffer, esp_sealed_size(esp, inner_size));
    return r;
}

int esp_peek(Bytes packet, uint32_t *ret_spi, uint32_t *ret_low)
{
    Reader reader;
    reader_init(&reader, packet);
    uint32_t spi = 0, low = 0;
    if (reader_u32(&reader, &spi) < 0 || reader_u32(&reader, &low) < 0)
        return ESP_E_MALFORMED;
    *ret_spi = spi;
    *ret_low = low;
    return 0;
}

static int open_aead(Esp *esp, uint64_t sequence, const uint8_t *iv, uint8_t *body,
                     size_t body_size)
{
    size_t iv_size = esp->suite.cipher->iv_size, salt_size = esp->suite.cipher->salt_size;
    uint8_t nonce[NONCE_SIZE], aad[AAD_SIZE_MAX];
    memcpy(nonce, esp->salt, salt_size);
    memcpy(nonce + salt_size, iv, iv_size);
    size_t aad_size = write_aad(esp, sequence, aad);
    int size = 0, last = 0;
    if (EVP_DecryptInit_ex2(esp->cipher, NULL, NULL, nonce, NULL) != 1 ||
        EVP_DecryptUpdate(esp->cipher, NULL, &size, aad, (int)aad_size) != 1 ||
        EVP_DecryptUpdate(esp->cipher, body, &size, body, (int)body_size) != 1 ||
        EVP_CIPHER_CTX_ctrl(esp->cipher, EVP_CTRL_AEAD_SET_TAG, (int)esp->icv_size,
                            body + body_size) != 1)
        return -EIO;
    return EVP_DecryptFinal_ex(esp->cipher, body + size, &last) == 1 ? 0 : ESP_E_NOT_AUTHENTIC;
}

static int open_cbc(Esp *esp, uint64_t sequence, const uint8_t *buffer, uint8_t *body,
                    size_t body_size)
{
    uint8_t icv[COMPARED_SIZE_MAX];
    int r = compute_icv(esp, sequence, buffer, (size_t)(body - buffer) + body_size, icv);
    if (r < 0)
        return r;
    if (CRYPTO_memcmp(icv, body + body_size, esp->icv_size) != 0)
        return ESP_E_NOT_AUTHENTIC;
    const uint8_t *iv = body - esp->suite.cipher->iv_size;
    int size = 0;
    if (EVP_DecryptInit_ex2(esp->cipher, NULL, NULL, iv, NULL) != 1 ||
        EVP_DecryptUpdate(esp->cipher, body, &size, body, (int)body_size) != 1)
        return -EIO;
    return 0;
}

static int take_trailer(const uint8_t *body, size_t body_size, Bytes *ret_inner, uint8_t *ret_next)
{
    uint8_t pad_length = body[body_size - 2], next_header = body[body_size - 1];
    if (pad_length > body_size - ESP_TRAILER_SIZE)
        return ESP_E_PADDING;
    size_t inner_size = body_size - ESP_TRAILER_SIZE - pad_length;
    for (uint8_t i = 0; i < pad_length; i++) {
        if (body[inner_size + i] != i + 1)
            return ESP_E_PADDING;
    }
    *ret_inner = (Bytes){body, inner_size};
    *ret_next = next_header;
    return 0;
}

int esp_open(Esp *esp, uint64_t sequence, uint8_t *buffer, size_t size, Bytes *ret_inner,
             uint8_t *ret_next_header)
{
    size_t front = esp_front_size(esp);
    if (size < front + ESP_TRAILER_SIZE + esp->icv_size || size > INT_MAX)
        return ESP_E_MALFORMED;
    uint8_t *body = buffer + front;
    size_t body_size = size - front - esp->icv_size;
    if (body_size % esp_alignment(esp->suite.cipher) != 0)
        return ESP_E_MALFORMED;

    int r;
    if (esp->suite.cipher->aead) {
        r = open_aead(esp, sequence, buffer + ESP_HEADER_SIZE, body, body_size);
    } else {
        r = open_cbc(esp, sequence, buffer, body, body_size);
    }
    if (r != 0) {
        /* What nobody has vouched for, or the key stream in it. */
        OPENSSL_cleanse(body, body_size);
        return r;
    }
    return take_trailer(body, body_size, ret_inner, ret_next_header);
}
