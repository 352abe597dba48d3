/* Whether the storage root key is one that a device can be left alone with. */
#pragma once

#include "base/reason.h"
#include "tpm/tpm.h"

/* The storage root key is as tpm_srk_open() would have made it: exempt from the dictionary-attack
 * protection, as each power cut while a key under another one is loaded counts as a failed try (TPM
 * 2.0 Part 1, 19.8.6), and after a few the TPM locks itself; and without a password, which nobody
 * would enter. The password is not tried where a wrong one counts. 0; -ENOENT (there is none);
 * -EEXIST (it is another; the reason says what to do) or -EIO. */
int srk_fits(Tpm *tpm, Reason *reason);
