/* Opening a connection to the TPM, and asking it what it can do. */
#pragma once

#include "base/reason.h"
#include "tpm/tpm.h"

/* Connects by a TCTI string ("device:/dev/tpmrm0", "swtpm:host=127.0.0.1,port=2321") and asks the
 * TPM one thing, so that one that does not work shows here. The TPM must have been started
 * (firmware does that). Returns 0, or -ENODEV, -EACCES, -EBUSY, -ENOMEM, -EIO with `reason` saying
 * what stands between. Silences the TSS's own log on standard error unless TSS2_LOG is set. */
int tpm_open(const char *tcti, Tpm **ret, Reason *reason);

/* The same, with `meter` (NULL: none) counting, which must outlive the Tpm; and with `loop` (NULL:
 * none), in a task of which every command, the first one among them, is waited for. Fails with
 * -ECANCELED, too, if the task was cancelled. */
int tpm_open_metered(const char *tcti, struct TpmMeter *meter, Tpm **ret, Reason *reason);
int tpm_open_in_loop(const char *tcti, TpmLoop *loop, Tpm **ret, Reason *reason);

/* Loads the library that a TCTI string names, for a process that can load no code later: of the
 * kernel's device, or of a simulator, and no other, as whoever hands the string over is not to
 * choose what is run. Where there is none, opening it fails. */
void tpm_tcti_warm(const char *tcti);

/* ---- what a TPM must be able to do to hold a device key; a TPM 2.0 may lack almost any algorithm
 * ---- */

/* Asks the TPM for all that the storage root key and a device key of `algorithm` need. Returns 0,
 * -EOPNOTSUPP with `reason` naming the first thing that it lacks and what to
 * do, or -EIO (reason filled). */
int tpm_profile_check(Tpm *tpm, TpmKeyAlgorithm algorithm, Reason *reason);
