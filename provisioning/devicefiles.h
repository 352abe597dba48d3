/* What is in the state folder, and the device key's fitness and policy. */
#pragma once

#include "base/reason.h"
#include "policy/keypolicy.h"
#include "policy/policykey.h"
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

/* What is wrong with it: the rest of a sentence that starts with the device key, "can be copied out
 * of its TPM (…)". NULL if nothing is. `policy` is the authPolicy that it must have, or NULL if
 * none is asked for. The area says true only once the TPM has shown that it holds the key of this
 * Name: see provisioning/credential.h. */
const char *device_public_flaw(const TPM2B_PUBLIC *public, const PolicyDigest *policy);

/* The kind is read off the key; the vendor's policy key and the states approved of are the files of
 * the state folder. *ret is the caller's to key_policy_free(). 0, or -errno with `reason`. */
int device_policy_read(const ProvisionOptions *options, const Tss2Key *key, KeyPolicy **ret,
                       Reason *reason);

/* The authPolicy that the profile asks for: *ret_needed is false for none. The files are those of
 * the profile. 0, or -errno with `reason`. */
int device_policy_wanted(const ProvisionOptions *options, PolicyDigest *ret, bool *ret_needed,
                         Reason *reason);
