/* Are the device's key, certificates and anchors there, and do they fit each other? */
#include "policy/publickey.h"
#include "policy/srkname.h"
#include "policy/tpm_profile.h"
#include "tred/identity_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const char *const state_names[IDENTITY_STATES] = {
    [IDENTITY_READY] = "ready",
    [IDENTITY_DEVELOPMENT] = "development",
    [IDENTITY_UNPROVISIONED] = "unprovisioned",
    [IDENTITY_INTEGRITY_FAILED] = "integrity-failed",
    [IDENTITY_TPM_UNAVAILABLE] = "tpm-unavailable",
};

const char *identity_state_name(IdentityState state)
{
    return state_names[state];
}

bool identity_state_serves(IdentityState state)
{
    return state == IDENTITY_READY || state == IDENTITY_DEVELOPMENT;
}

void identity_free(Identity *identity)
{
    if (!identity)
        return;
    for (size_t i = 0; i < identity->n_certificates; i++)
        OPENSSL_free(identity->certificates[i].data);
    if (identity->anchors)
        anchor_store_unref(identity->anchors);
    device_key_free(identity->key);
    key_policy_free(identity->policy);
    EVP_PKEY_free(identity->public_key);
    if (identity->tpm)
        tpm_close(identity->tpm);
    free(identity);
}

int identity_unfit(char *reason, IdentityState state, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(reason, IDENTITY_REASON_SIZE, format, arguments);
    va_end(arguments);
    return (int)state;
}

/* Why a file can't be used, and which step of provisioning makes it. `error` is the reader's own
 * sentence, which it has for what is in a file but not always for a file that it can't open. */
static int file_unfit(char *reason, const char *path, int r, const char *error, const char *remedy)
{
    if (r == -ENOMEM)
        return r;
    if (r == -ENOENT) {
        return identity_unfit(reason, IDENTITY_UNPROVISIONED, "%s does not exist. %s", path,
                              remedy);
    }
    if (r == -EACCES || r == -EPERM) {
        return identity_unfit(
            reason, IDENTITY_UNPROVISIONED,
            "%s: no permission to read it. Let user tred read it: chown tred: %s.", path, path);
    }
    if (error[0] != '\0')
        return identity_unfit(reason, IDENTITY_UNPROVISIONED, "%s", error);
    return identity_unfit(reason, IDENTITY_UNPROVISIONED, "%s: %s.", path, strerror(-r));
}

static int certificates_encode(const STACK_OF(X509) *chain, Identity *identity)
{
    for (int i = 0; i < sk_X509_num(chain) && i < CERTIFICATES_MAX; i++) {
        DerCertificate *der = &identity->certificates[i];
        int size = i2d_X509(sk_X509_value(chain, i), &der->data);

        if (size <= 0)
            return -ENOMEM;
        der->size = (size_t)size;
        identity->n_certificates++;
    }
    return 0;
}

static int certificates_load(const TredConfig *config, Identity *identity, char *reason)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *certificates = NULL, *chain = NULL;
    char error[CERTIFICATES_ERROR_SIZE] = "";
    const char *path = config->certificates;
    int r;

    r = certificates_read(path, &certificates, error);
    if (r < 0) {
        return file_unfit(reason, path, r, error,
                          "Have the CSR signed and run tre-provision install-cert.");
    }
    if (!identity->public_key) {
        return identity_unfit(
            reason, IDENTITY_UNPROVISIONED,
            "%s can't be held against the device key, which is missing. Mend that first.", path);
    }
    r = certificates_order(certificates, identity->public_key, &chain);
    if (r == -ENOKEY) {
        return identity_unfit(
            reason, IDENTITY_UNPROVISIONED,
            "None of the certificates in %s is for the key in %s. Have that key's CSR "
            "signed and run "
            "tre-provision install-cert.",
            path, config->key);
    }
    if (r < 0)
        return r;
    if (certificate_fqdn(sk_X509_value(chain, 0), identity->fqdn) < 0) {
        return identity_unfit(
            reason, IDENTITY_UNPROVISIONED,
            "The device certificate in %s has no FQDN as dNSName in its subjectAltName. Have one "
            "issued that has (TS 33.310 6.1).",
            path);
    }
    r = certificates_encode(chain, identity);
    return r < 0 ? r : identity_validity_check(config, identity);
}

static int anchors_load(const TredConfig *config, Identity *identity, char *reason)
{
    char error[ANCHOR_ERROR_SIZE] = "";
    int r = anchor_store_read(config->anchors, &identity->anchors, error);

    if (r < 0) {
        return file_unfit(
            reason, config->anchors, r, error,
            "Get the operator's root certificates and run tre-provision install-anchors.");
    }
    return 0;
}

static int key_file_load(const TredConfig *config, Identity *identity, char *reason)
{
    char error[TSS2KEY_ERROR_SIZE] = "";
    int r;

    r = tss2key_read(config->key, &identity->key_file, error);
    if (r < 0)
        return file_unfit(reason, config->key, r, error, "Run tre-provision init.");
    r = tpm_public_to_pkey(&identity->key_file.public, &identity->public_key);
    if (r < 0) {
        return identity_unfit(
            reason, IDENTITY_UNPROVISIONED,
            "%s holds a key that is not ECDSA P-256, P-384 or RSA-2048. Run tre-provision init.",
            config->key);
    }
    return 0;
}

static int key_policy_load(const TredConfig *config, Identity *identity, char *reason)
{
    char error[TPM_ERROR_SIZE] = "";
    int r;

    if (!identity->public_key) {
        return identity_unfit(reason, IDENTITY_UNPROVISIONED,
                              "Its policy can't be known without the device key. Mend that first.");
    }
    r = key_policy_read(&identity->key_file.public.publicArea, config->policy_key,
                        config->pcr_signatures, &identity->policy, error);
    return r < 0 && r != -ENOMEM ? identity_unfit(reason, IDENTITY_UNPROVISIONED, "%s.", error) : r;
}

/* Of the key in the file; that of a key yet to be made is tre-provision's default. */
static TpmKeyAlgorithm key_algorithm(const Identity *identity)
{
    TpmKeyAlgorithm algorithm = TPM_KEY_ECDSA_P256;

    if (identity->public_key)
        (void)device_key_algorithm_of(&identity->key_file.public.publicArea, &algorithm);
    return algorithm;
}

static int tpm_connect(const TredConfig *config, Identity *identity, char *reason)
{
    char error[TPM_ERROR_SIZE] = "";
    TPM2B_NAME srk_name = {0};
    int r;

    r = srk_name_read(config->srk_name, &srk_name, error);
    if (r < 0 && r != -ENOENT)
        return identity_unfit(reason, IDENTITY_UNPROVISIONED, "%s.", error);
    if (r == -ENOENT && identity->policy && identity->policy->kind != KEY_POLICY_NONE) {
        return identity_unfit(reason, IDENTITY_UNPROVISIONED,
                              "%s does not exist, so that any storage root key would be trusted, "
                              "while the device key is under a policy. Run 'tre-provision step "
                              "storage-root-key'.",
                              config->srk_name);
    }
    r = tpm_open(config->tcti, &identity->tpm, error);
    if (r == -ENOMEM)
        return r;
    if (r == 0) {
        identity->tpm->srk_name = srk_name;
        r = tpm_profile_check(identity->tpm, key_algorithm(identity), error);
    }
    return r < 0 ? identity_unfit(reason, IDENTITY_TPM_UNAVAILABLE, "%s", error) : 0;
}

static int key_load(const TredConfig *config, Identity *identity, char *reason)
{
    char error[TPM_ERROR_SIZE] = "";
    int r;

    if (!identity->policy || !identity->tpm) {
        return identity_unfit(
            reason, IDENTITY_UNPROVISIONED,
            "The device key can't be loaded without its file, its policy and the TPM. Mend "
            "these first.");
    }
    r = device_key_load(identity->tpm, &identity->key_file, identity->policy, &identity->key,
                        error);
    if (r == -EKEYREJECTED)
        return identity_unfit(reason, IDENTITY_INTEGRITY_FAILED, "%s.", error);
    if (r == -EINVAL)
        return identity_unfit(reason, IDENTITY_UNPROVISIONED, "%s: %s", config->key, error);
    if (r < 0)
        return identity_unfit(reason, IDENTITY_TPM_UNAVAILABLE, "%s: %s", config->key, error);
    return 0;
}

static const struct {
    const char *name;
    int (*load)(const TredConfig *config, Identity *identity, char *reason);
} parts[IDENTITY_PARTS] = {
    [IDENTITY_KEY_FILE] = {"device key file", key_file_load},
    [IDENTITY_KEY_POLICY] = {"device key's policy", key_policy_load},
    [IDENTITY_CERTIFICATES] = {"device certificate", certificates_load},
    [IDENTITY_ANCHORS] = {"SeGW anchors", anchors_load},
    [IDENTITY_TPM] = {"TPM", tpm_connect},
    [IDENTITY_KEY] = {"device key in the TPM", key_load},
    [IDENTITY_ANCHOR_GUARD] = {"SeGW anchors' guard", identity_guard_load},
    [IDENTITY_LAST_KNOWN_TIME] = {"last-known time", identity_last_known_load},
};

const char *identity_part_name(IdentityPart part)
{
    return parts[part].name;
}

int identity_load_part(const TredConfig *config, IdentityPart part, Identity *identity,
                       char *reason)
{
    return parts[part].load(config, identity, reason);
}

int identity_load(const TredConfig *config, Identity **ret, PcrMismatch *mismatch, char *reason)
{
    _cleanup_(identity_freep) Identity *identity = calloc(1, sizeof *identity);

    if (!identity)
        return -ENOMEM;
    for (int part = 0; part < IDENTITY_PARTS; part++) {
        int r = identity_load_part(config, (IdentityPart)part, identity, reason);

        if (r != 0) {
            if (identity->policy)
                *mismatch = identity->policy->mismatch;
            return r;
        }
    }
    *ret = steal_pointer(identity);
    return 0;
}
