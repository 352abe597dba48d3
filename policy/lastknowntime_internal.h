/* What lastknowntime.c and provisioning/devicetpm.c share, and nobody else. */
#pragma once

#include "base/reason.h"
#include "policy/lastknowntime.h"

/* Both indices as they are defined. */
extern const TPMS_NV_PUBLIC last_known_counter;
extern const TPMS_NV_PUBLIC last_known_base;

/* Opens the index if it is the one of that public area, written and locked or not. 0, -ENOENT,
 * -EBADMSG (another index is there) or -EIO. */
int last_known_open(Tpm *tpm, const TPMS_NV_PUBLIC *public, NvIndex *ret, Reason *reason);

/* The number in an index. 0 or -EIO (reason filled). */
int last_known_number(Tpm *tpm, const NvIndex *index, uint64_t *ret, Reason *reason);
