/* Names of TPM entities (TPM 2.0 Part 1, 16): what a session's HMAC covers in place of a handle.
 * They are computed from the public area that was judged, and never believed. */
#pragma once

#include <stdint.h>
#include <tss2/tss2_tpm2_types.h>

/* The Name of an object or NV index: its name algorithm (SHA-256 only) and the hash of its
 * marshalled public area. 0, or -EINVAL for another name algorithm or one that does not marshal. */
int tpm_object_name(const TPM2B_PUBLIC *public, TPM2B_NAME *ret);
int tpm_nv_name(const TPMS_NV_PUBLIC *public, TPM2B_NAME *ret);

/* The Name of a PCR, session or permanent handle is the handle itself. */
void tpm_handle_name(TPM2_HANDLE handle, TPM2B_NAME *ret);
