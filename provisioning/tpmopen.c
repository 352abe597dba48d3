/* Opening the device's TPM. */
#include "provisioning/tpmopen.h"

#include "base/signals.h"
#include "crypto/secret.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

int secrets_prepare(char *error)
{
    int r = CRYPTO_secure_malloc_initialized() ? 0 : secrets_init();

    if (r < 0) {
        (void)snprintf(error, TPM_ERROR_SIZE,
                       "there is no locked memory for secrets: %s; raise RLIMIT_MEMLOCK to 8 MiB "
                       "('ulimit -l 8192')",
                       strerror(-r));
    }
    return r;
}

int provision_tpm_open(const char *tcti, TpmMeter *meter, Tpm **ret, char *error)
{
    sigset_t before;
    int r = secrets_prepare(error);

    signals_hold(&before);
    return r < 0 ? r : tpm_open_metered(tcti, meter, ret, error);
}
