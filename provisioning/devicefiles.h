/* What the state folder holds for a device, read as far as it can be read. */
#pragma once

#include "base/reason.h"
#include "policy/tss2key.h"
#include "provisioning/command.h"
#include "verify/certificates.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

enum { KEY_NAME_HEX_SIZE = 2 * (2 + 32) + 1, SHA256_HEX_SIZE = 65 };

/* A file is there if its errno is 0; -ENOENT: there is none; else its error says what is wrong. */
typedef struct DeviceFiles {
    int key_r, csr_r, certificates_r, anchors_r;
    Reason key_reason;
    Reason csr_reason;
    Reason certificates_reason;
    Reason anchors_reason;
    Tss2Key key;
    EVP_PKEY *public_key; /* of the key */
    uint8_t *csr;
    size_t csr_size;
    STACK_OF(X509) *certificates;
    STACK_OF(X509) *anchors;
} DeviceFiles;

/* Reads them all; what can't be read is told in `ret`. 0 or -ENOMEM. In any case
 * device_files_deinit() it. */
int device_files_read(const ProvisionOptions *options, DeviceFiles *ret);
void device_files_deinit(DeviceFiles *files);

/* The Name that the TPM gives an object of this public area with nameAlg SHA-256 (TPM 2.0 Part 1,
 * 16), in hexadecimal. `ret` has KEY_NAME_HEX_SIZE octets. 0 or -EINVAL. */
int key_name_hex(const TPM2B_PUBLIC *public, char *ret);

/* The SHA-256 of a certificate's DER, in hexadecimal. `ret` has SHA256_HEX_SIZE octets. */
int certificate_hash_hex(const X509 *certificate, char *ret);

/* A certificate's serial number in hexadecimal; "?" for one of more than 20 octets. */
enum { CERTIFICATE_SERIAL_SIZE = 2 * 20 + 1 };
void certificate_serial_hex(const X509 *certificate, char *ret);
