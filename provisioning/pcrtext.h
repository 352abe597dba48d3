/* PCR values as people have them: what 'tpm2_pcrread' prints, "sha256:" and a line "7 : 0x…" for
 * each PCR. */
#pragma once

#include "base/bytes.h"
#include "tpm/pcr.h"

enum { PCR_TEXT_ERROR_SIZE = 512 };

/* Reads the values of one bank; `name` is what messages call the text. 0, or -EINVAL with `error`
 * (PCR_TEXT_ERROR_SIZE octets) naming the line. */
int pcr_text_parse(Bytes text, const char *name, PcrState *ret, char *error);
