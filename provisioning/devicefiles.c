/* What is in the state folder, and what is it called elsewhere? */
#include "provisioning/devicefiles.h"

#include "base/file.h"
#include "crypto/openssl.h"
#include "policy/encoding.h"
#include "provisioning/csr.h"
#include "tpm/name.h"
#include "tpm/publickey.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int key_read(const char *path, DeviceFiles *files)
{
    int r = tss2key_read(path, &files->key, &files->key_reason);

    if (r < 0 || tpm_public_to_pkey(&files->key.public, &files->public_key) == 0)
        return r;
    return reason_set(&files->key_reason, -EINVAL,
                      "%.200s holds no key of the profile (ECDSA P-256, P-384, RSA-2048); make one "
                      "with 'tre-provision init --force'",
                      path);
}

static int csr_read(const char *path, DeviceFiles *files)
{
    int r = file_read(path, CSR_SIZE_MAX, &files->csr, &files->csr_size);

    if (r < 0) {
        reason_set(&files->csr_reason, 0, "%.200s can't be read: %s", path, strerror(-r));
    }
    return r;
}

static int certificates_look(const char *path, DeviceFiles *files)
{
    return certificates_read(path, &files->certificates, &files->certificates_reason);
}

static int anchors_look(const char *path, DeviceFiles *files)
{
    return certificates_read(path, &files->anchors, &files->anchors_reason);
}

int device_files_read(const ProvisionOptions *options, DeviceFiles *ret)
{
    const struct {
        const char *name;
        int (*read)(const char *path, DeviceFiles *files);
        int *result;
    } parts[] = {
        {STATE_KEY, key_read, &ret->key_r},
        {STATE_CSR, csr_read, &ret->csr_r},
        {STATE_CERTIFICATES, certificates_look, &ret->certificates_r},
        {STATE_ANCHORS, anchors_look, &ret->anchors_r},
    };

    *ret = (DeviceFiles){0};
    for (size_t i = 0; i < ELEMENTS(parts); i++) {
        _cleanup_(free_charp) char *path = NULL;
        int r = state_path(options, parts[i].name, &path);

        if (r < 0)
            return r;
        *parts[i].result = parts[i].read(path, ret);
    }
    return 0;
}

void device_files_deinit(DeviceFiles *files)
{
    EVP_PKEY_free(files->public_key);
    free(files->csr);
    sk_X509_pop_free(files->certificates, X509_free);
    sk_X509_pop_free(files->anchors, X509_free);
    *files = (DeviceFiles){0};
}

int key_name_hex(const TPM2B_PUBLIC *public, char *ret)
{
    TPM2B_NAME name = {0};

    if (tpm_object_name(public, &name) < 0 || 2 * (size_t)name.size >= KEY_NAME_HEX_SIZE)
        return -EINVAL;
    hex_encode((Bytes){name.name, name.size}, ret);
    return 0;
}

int certificate_hash_hex(const X509 *certificate, char *ret)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1)
        return -EIO;
    hex_encode((Bytes){digest, size}, ret);
    return 0;
}

void certificate_serial_hex(const X509 *certificate, char *ret)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    const size_t size = (size_t)ASN1_STRING_length(serial);

    if (size * 2 >= CERTIFICATE_SERIAL_SIZE) {
        (void)snprintf(ret, CERTIFICATE_SERIAL_SIZE, "?");
    } else {
        hex_encode((Bytes){ASN1_STRING_get0_data(serial), size}, ret);
    }
}
