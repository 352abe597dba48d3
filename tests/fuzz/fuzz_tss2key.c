/* Can any key file make its reader misbehave, and is what it reads written again as the same key?
 */
#include "base/cleanup.h"
#include "base/reason.h"
#include "crypto/openssl.h"
#include "policy/tss2key.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);

enum { DER_MAX = 4096 };

/* A changed octet in base64 nearly always ends in the PEM reader: three times in four what is
 * inside is changed, so that the DER and the TPM's structures in it are met. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed)
{
    _cleanup_(BIO_free_allp) BIO *in = BIO_new_mem_buf(data, (int)size);
    _cleanup_(BIO_free_allp) BIO *out = BIO_new(BIO_s_mem());
    uint8_t der[DER_MAX];
    char *name = NULL, *header = NULL, *pem = NULL;
    unsigned char *octets = NULL;
    long length = 0;

    if (seed % 4 == 0 || PEM_read_bio(in, &name, &header, &octets, &length) != 1)
        return LLVMFuzzerMutate(data, size, room);
    if (length <= DER_MAX) {
        memcpy(der, octets, (size_t)length);
        const size_t mutated = LLVMFuzzerMutate(der, (size_t)length, sizeof(der));
        if (PEM_write_bio(out, name, header, der, (long)mutated) > 0)
            length = BIO_get_mem_data(out, &pem);
        if (pem && (size_t)length <= room) {
            memcpy(data, pem, (size_t)length);
            size = (size_t)length;
        }
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(octets);
    return size;
}

static void check(bool right)
{
    if (!right)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Reason reason = {0};
    _cleanup_(free_charp) char *first = NULL, *second = NULL;
    Tss2Key key, again;

    int r = tss2key_decode((Bytes){data, size}, &key, &reason);
    check(r == 0 || (r < 0 && reason.text[0] != 0));
    if (r != 0)
        return 0;

    check(tss2key_encode(&key, &first) == 0);
    check(tss2key_decode((Bytes){(const uint8_t *)first, strlen(first)}, &again, &reason) == 0);
    check(tss2key_encode(&again, &second) == 0);
    check(strcmp(first, second) == 0);
    return 0;
}
