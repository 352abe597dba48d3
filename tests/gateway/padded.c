/* A sealed message with more padding than it needs (RFC 7296 3.14: up to 255 octets), which tred's
 * sealing never has. AES-GCM-16 alone, whose IVs are random here, so that they are not those of the
 * messages that tred's sealing makes with the same key. */
#include "gateway.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

enum { IV_SIZE = 8, SALT_SIZE = 4, ICV_SIZE = 16, KEY_128 = 16 };

/* Encrypts `size` octets in place; the ICV follows them. */
static int encrypt(Bytes key, Bytes aad, const uint8_t *iv, uint8_t *sealed, size_t size)
{
    const size_t key_size = key.size - SALT_SIZE;
    const EVP_CIPHER *cipher = key_size == KEY_128 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    uint8_t nonce[SALT_SIZE + IV_SIZE];
    int written = 0;

    memcpy(nonce, key.data + key_size, SALT_SIZE);
    memcpy(nonce + SALT_SIZE, iv, IV_SIZE);
    const bool good =
        context && EVP_EncryptInit_ex(context, cipher, NULL, key.data, nonce) == 1 &&
        EVP_EncryptUpdate(context, NULL, &written, aad.data, (int)aad.size) == 1 &&
        EVP_EncryptUpdate(context, sealed, &written, sealed, (int)size) == 1 &&
        EVP_EncryptFinal_ex(context, sealed + size, &written) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, ICV_SIZE, sealed + size) == 1;

    EVP_CIPHER_CTX_free(context);
    return good ? 0 : -EIO;
}

int seal_padded(const Secret *key, const IkeHeader *header, uint8_t first,
                const IkeFragment *fragment, Bytes plain, size_t padding, Writer *writer)
{
    const size_t size = plain.size + padding + 1;
    uint8_t iv[IV_SIZE], filler[UINT8_MAX];
    IkeChain chain;
    Bytes whole;

    if (padding > sizeof(filler) || RAND_bytes(iv, sizeof(iv)) != 1 ||
        RAND_bytes(filler, sizeof(filler)) != 1)
        return -EIO;
    ike_message_begin(writer, header, &chain);
    ike_chain_open(&chain, fragment ? IKE_PAYLOAD_SKF : IKE_PAYLOAD_SK, false);
    if (fragment) {
        writer_u16(writer, fragment->number);
        writer_u16(writer, fragment->total);
    }
    const size_t front = writer->size;
    writer_bytes(writer, BYTES_OF(iv));
    writer_bytes(writer, plain);
    writer_bytes(writer, (Bytes){filler, padding});
    writer_u8(writer, (uint8_t)padding);
    writer_zeros(writer, ICV_SIZE);
    ike_chain_close(&chain);
    ike_message_end(&chain);
    writer_patch_u8(writer, IKE_HEADER_SIZE, fragment && fragment->number > 1 ? 0 : first);
    int r = writer_finish(writer, &whole);
    if (r < 0)
        return r;
    return encrypt(secret_bytes(key), (Bytes){writer->data, front}, iv,
                   writer->data + front + IV_SIZE, size);
}
