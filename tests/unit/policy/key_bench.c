/* Device keys made and used on the bench's TPM. */
#include "key_bench.h"

#include "base/reason.h"
#include "tpm/publickey.h"

#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

DeviceKey *key_new(TpmKeyAlgorithm algorithm)
{
    Reason reason = {0};
    DeviceKey *key = NULL;
    Tss2Key file;

    if (device_key_create(bench.tpm, algorithm, NULL, &file, &reason) < 0 ||
        device_key_load(bench.tpm, &file, NULL, &key, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(device_key_algorithm(key), algorithm);
    return key;
}

void assert_signs(DeviceKey *key, const char *digest_name, size_t digest_size, bool pss)
{
    uint8_t digest_data[64];
    const Bytes digest = {digest_data, digest_size};
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    Reason reason = {0};
    size_t size = 0;

    assert_int_equal(RAND_bytes(digest_data, (int)digest_size), 1);
    if (device_key_sign(key, digest_name, pss, digest, signature, &size, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_true(signature_is_good(device_key_public(key), digest_name, digest,
                                  (Bytes){signature, size}, pss ? device_key_pss_salt(key) : -1));
    digest_data[0] ^= 1;
    assert_false(signature_is_good(device_key_public(key), digest_name, digest,
                                   (Bytes){signature, size}, pss ? device_key_pss_salt(key) : -1));
}
