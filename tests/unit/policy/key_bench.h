/* Device keys made and used on the bench's TPM. */
#pragma once

#include "policy/devicekey.h"
#include "tpm_bench.h"

/* A new device key, loaded; the test fails if it can't be had. */
DeviceKey *key_new(TpmKeyAlgorithm algorithm);

/* Signs a random digest, and has OpenSSL judge it, and the same over another digest. */
void assert_signs(DeviceKey *key, const char *digest_name, size_t digest_size, bool pss);
