/* PCR values as people have them: what 'tpm2_pcrread' prints, "sha256:" and a line "7 : 0x…" for
 * each PCR. */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "tpm/pcr.h"

/* Reads the values of one bank; `name` is what messages call the text. 0, or -EINVAL with `reason`
 * naming the line. */
int pcr_text_parse(Bytes text, const char *name, PcrState *ret, Reason *reason);
