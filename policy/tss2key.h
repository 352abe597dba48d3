/* The files of a key that only the TPM can use, and of the Name of the key above it. */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "tpm/tpm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tss2/tss2_tpm2_types.h>

typedef struct Tss2Key {
    bool empty_auth;
    TPM2_HANDLE
    parent; /* a persistent handle, or TPM2_RH_OWNER for the primary made from the template */
    TPM2B_PUBLIC public;
    TPM2B_PRIVATE private;
} Tss2Key;

/* Reads the first TSS2 PRIVATE KEY block of `path`. Returns 0, open's errno, or -EINVAL; `reason`
 * then says what was found and what to do. */
int tss2key_read(const char *path, Tss2Key *ret, Reason *reason);

/* The same from memory: `pem` is the file's content. For tests and the fuzz target. */
int tss2key_decode(Bytes pem, Tss2Key *ret, Reason *reason);

/* PEM text of the key; *ret is the caller's to free(). 0, -EINVAL or -ENOMEM. */
int tss2key_encode(const Tss2Key *key, char **ret);

enum { SRK_NAME_TEXT_SIZE = 2 * sizeof(TPMU_NAME) + 2 };

/* Reads it: one line of hexadecimal. 0, open's errno, or -EINVAL with `reason` saying what was
 * found. */
int srk_name_read(const char *path, TPM2B_NAME *ret, Reason *reason);

/* The file's text; `ret` has SRK_NAME_TEXT_SIZE octets. */
void srk_name_print(const TPM2B_NAME *name, char *ret);
