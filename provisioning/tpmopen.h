/* Opening the device's TPM, with the memory that the keys of sessions with it need. */
#pragma once

#include "base/reason.h"
#include "tpm/meter.h"
#include "tpm/open.h"
#include "tpm/tpm.h"

/* Sets up the memory for secrets, unless that was done before. 0, or -errno (reason filled). */
int secrets_prepare(Reason *reason);

/* secrets_prepare(), and then as tpm_open_metered(); `meter` may be NULL. From now on SIGINT,
 * SIGTERM and SIGHUP are held (base/signals.h) until main() ends, so that nothing is left in the
 * TPM's slots. */
int provision_tpm_open(const char *tcti, TpmMeter *meter, Tpm **ret, Reason *reason);
