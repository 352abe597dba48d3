/* Opening the device's TPM. */
#include "provisioning/tpmopen.h"

#include "base/signals.h"
#include "crypto/secret.h"
#include "tpm/open.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

int secrets_prepare(Reason *reason)
{
    int r = CRYPTO_secure_malloc_initialized() ? 0 : secrets_init();

    if (r < 0) {
        reason_set(reason, 0,
                   "there is no locked memory for secrets: %s; raise RLIMIT_MEMLOCK to 8 MiB "
                   "('ulimit -l 8192')",
                   strerror(-r));
    }
    return r < 0 ? -ENOMEM : 0; /* -EPERM is no missing right of the person's */
}

int provision_tpm_open(const char *tcti, TpmMeter *meter, Tpm **ret, Reason *reason)
{
    sigset_t before;
    int r = secrets_prepare(reason);

    signals_hold(&before);
    return r < 0 ? r : tpm_open_metered(tcti, meter, ret, reason);
}
