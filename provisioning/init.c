/* tre-provision init: the storage root key, the device key, and the CSR for it. */
#include "provisioning/command.h"

#include "policy/certificates.h"
#include "policy/devicekey.h"
#include "policy/storagekey.h"
#include "policy/tpm_profile.h"
#include "provisioning/csr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int srk_ensure(Tpm *tpm)
{
    char error[TPM_ERROR_SIZE] = "";
    ESYS_TR srk = ESYS_TR_NONE;
    bool made = false;
    int r;

    r = tpm_srk_open(tpm, false, &srk, error);
    if (r == -ENOENT) {
        made = true;
        r = tpm_srk_open(tpm, true, &srk, error);
    }
    if (r < 0) {
        complain("%s", error);
        return r;
    }
    tpm_object_release(tpm, srk);
    (void)printf("storage root key   0x%08x, %s\n", TPM_SRK_HANDLE, made ? "made" : "found");
    return 0;
}

static int key_make(const ProvisionOptions *options, Tpm *tpm, DeviceKey **ret)
{
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    _cleanup_(free_charp) char *pem = NULL;
    char error[TPM_ERROR_SIZE] = "";
    Tss2Key file;
    int r;

    r = tpm_profile_check(tpm, options->algorithm, error);
    if (r == 0)
        r = device_key_create(tpm, options->algorithm, NULL, &file, error);
    /* Loading tries it out: only a key that signs gets into the state folder. */
    if (r == 0)
        r = device_key_load(tpm, &file, NULL, &key, error);
    if (r < 0) {
        complain("%s", error);
        return r;
    }
    r = tss2key_encode(&file, &pem);
    if (r < 0) {
        complain("the device key can't be written as PEM: %s", strerror(-r));
        return r;
    }
    r = state_write(options, STATE_KEY, (Bytes){(const uint8_t *)pem, strlen(pem)}, 0640);
    if (r < 0)
        return r;
    *ret = steal_pointer(key);
    return 0;
}

/* The key that is there, if it is good and of the algorithm asked for. -ENOENT if there is none. */
static int key_keep(const ProvisionOptions *options, Tpm *tpm, const char *path, DeviceKey **ret)
{
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    char error[TPM_ERROR_SIZE] = "";
    Tss2Key file;
    int r;

    r = tss2key_read(path, &file, error);
    if (r == -ENOENT)
        return r;
    if (r == 0)
        r = device_key_load(tpm, &file, NULL, &key, error);
    if (r < 0) {
        complain("%s: %s", path, error);
        complain("the key was left as it is; 'init --force' replaces it, and the certificates made "
                 "for it are then of no use");
        return r;
    }
    if (options->algorithm_given && options->algorithm != device_key_algorithm(key)) {
        complain(
            "%s holds an %s key, not %s; 'init --force' replaces it, and the certificates made "
            "for it are then of no use",
            path, tpm_key_algorithm_name(device_key_algorithm(key)),
            tpm_key_algorithm_name(options->algorithm));
        return -EEXIST;
    }
    r = state_give(options, STATE_KEY);
    if (r < 0)
        return r;
    *ret = steal_pointer(key);
    return 0;
}

static int key_ensure(const ProvisionOptions *options, Tpm *tpm, DeviceKey **ret)
{
    _cleanup_(free_charp) char *path = NULL;
    bool made = options->force;
    int r;

    r = state_path(options, STATE_KEY, &path);
    if (r < 0)
        return r;
    if (!options->force) {
        r = key_keep(options, tpm, path, ret);
        made = r == -ENOENT;
    }
    if (made)
        r = key_make(options, tpm, ret);
    if (r < 0)
        return r;
    (void)printf("device key         %s, %s, %s\n", path,
                 tpm_key_algorithm_name(device_key_algorithm(*ret)), made ? "made" : "kept");
    return 0;
}

static int csr_write(const ProvisionOptions *options, DeviceKey *key)
{
    _cleanup_(free_charp) char *csr = NULL;
    char error[TPM_ERROR_SIZE] = "";
    int r;

    r = csr_new(key, options->fqdn, &csr, error);
    if (r < 0) {
        complain("%s", error);
        return r;
    }
    r = state_write(options, STATE_CSR, (Bytes){(const uint8_t *)csr, strlen(csr)}, 0644);
    if (r < 0)
        return r;
    (void)printf("CSR                %s/%s, for %s\n"
                 "Next: have the CSR signed, then run 'tre-provision install-cert FILE'.\n",
                 options->state_dir, STATE_CSR, options->fqdn);
    return 0;
}

int provision_init(const ProvisionOptions *options)
{
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    DeviceKey *key = NULL;
    char error[TPM_ERROR_SIZE] = "";
    int r;

    if (!fqdn_is_valid(options->fqdn, strlen(options->fqdn))) {
        complain("'%s' is not an FQDN: labels of letters, digits and hyphens, with dots between "
                 "(an internationalized name in its xn-- form)",
                 options->fqdn);
        return -EINVAL;
    }
    r = state_dir_make(options);
    if (r < 0)
        return r;
    r = tpm_open(options->tcti, &tpm, error);
    if (r < 0) {
        complain("%s", error);
        return r;
    }
    r = srk_ensure(tpm);
    if (r == 0)
        r = key_ensure(options, tpm, &key);
    if (r == 0)
        r = csr_write(options, key);
    device_key_free(key); /* before the TPM that holds it */
    return r;
}
