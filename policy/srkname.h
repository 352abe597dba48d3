/* The Name of the storage root key that a device was provisioned with, in a file: what
 * tpm->srk_name is set from. */
#pragma once

#include "base/reason.h"
#include "tpm/tpm.h"

enum { SRK_NAME_TEXT_SIZE = 2 * sizeof(TPMU_NAME) + 2 };

/* Reads it: one line of hexadecimal. 0, open's errno, or -EINVAL with `reason` saying what was
 * found. */
int srk_name_read(const char *path, TPM2B_NAME *ret, Reason *reason);

/* The file's text; `ret` has SRK_NAME_TEXT_SIZE octets. */
void srk_name_print(const TPM2B_NAME *name, char *ret);
