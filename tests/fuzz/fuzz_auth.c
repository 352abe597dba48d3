/* AUTH data of any octets, under any method, with a key of each kind: nothing may crash, and as
 * nobody signed anything, nothing may verify. Input: key, method, AUTH data. */
#include "ikewire/registry.h"
#include "tred/auth.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEYS = 3 };

/* Made at the first input. They last as long as the process. */
static EVP_PKEY *key_get(unsigned index)
{
    static EVP_PKEY *keys[KEYS];

    if (!keys[0]) {
        keys[0] = EVP_EC_gen("P-256");
        keys[1] = EVP_EC_gen("P-384");
        keys[2] = EVP_RSA_gen(2048);
    }
    return keys[index % KEYS];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t octets[] = "what an AUTH covers";
    uint8_t key, method;
    Reader reader;

    reader_init(&reader, (Bytes){data, size});
    if (reader_u8(&reader, &key) < 0 || reader_u8(&reader, &method) < 0)
        return 0;
    if (auth_verify(key_get(key), method, reader_rest(&reader), BYTES_OF(octets)) <= 0)
        abort();
    return 0;
}
