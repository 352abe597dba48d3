/* Platform configuration registers: which ones a policy looks at, and what is in them. */
#pragma once

#include "base/reason.h"
#include "tpm/tpm.h"

#include <stdbool.h>

enum {
    PCR_COUNT = 24,     /* TCG PC Client Platform TPM Profile 4.6 */
    PCR_VALUE_MAX = 48, /* octets of SHA-384 */
    PCR_SELECTION_TEXT_SIZE = 96,
};

/* PCRs of one bank, and a value for each. */
typedef struct PcrState {
    TPM2_ALG_ID bank; /* TPM2_ALG_SHA256 or TPM2_ALG_SHA384 */
    uint32_t mask;    /* bit n stands for PCR n */
    uint8_t values[PCR_COUNT][PCR_VALUE_MAX];
} PcrState;

/* "sha256" or "sha384", as systemd-measure writes it; NULL for another bank. */
const char *pcr_bank_name(TPM2_ALG_ID bank);

/* The bank of that name; -EINVAL for another. */
int pcr_bank_from_name(const char *name, TPM2_ALG_ID *ret);

/* Octets of a value in this bank; 0 for another. */
size_t pcr_value_size(TPM2_ALG_ID bank);

/* A list such as "0-4,7,11" as a mask. 0, or -EINVAL for one that is empty, out of order within a
 * range, or beyond PCR 23. */
int pcr_mask_parse(const char *text, uint32_t *ret);

/* The mask as such a list; `ret` has PCR_SELECTION_TEXT_SIZE octets. */
void pcr_mask_print(uint32_t mask, char *ret);

/* The PCRs of `bank` and `mask` as TPM commands name them. */
TPML_PCR_SELECTION pcr_selection(TPM2_ALG_ID bank, uint32_t mask);

/* Reads the PCRs that ret->bank and ret->mask name, all at one moment: TPM2_PCR_Read gives a few at
 * a time and a counter that tells whether any has changed meanwhile (TPM 2.0 Part 3, 22.4). 0,
 * -EOPNOTSUPP (the TPM lacks the bank or a PCR), or -EIO (reason filled). */
int pcr_read(Tpm *tpm, PcrState *ret, Reason *reason);

/* The PCRs, as a mask, in which two states of the same bank and mask differ. */
uint32_t pcr_difference(const PcrState *a, const PcrState *b);
