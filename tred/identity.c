/* Loads the device's key, certificates and anchors, and holds them against each other. */
#include "base/file.h"
#include "crypto/openssl.h"
#include "crypto/spki.h"
#include "policy/anchorbundle.h"
#include "policy/keypolicy.h"
#include "policy/timecorrection.h"
#include "policy/tpmsigningkey.h"
#include "policy/tss2key.h"
#include "tpm/open.h"
#include "tpm/profile.h"
#include "tpm/publickey.h"
#include "tpm/storagekey.h"
#include "tred/identity_internal.h"

#include <errno.h>
#include <string.h>

enum { CHAIN_FILE_SIZE_MAX = 1024 * 1024 };

static const char *const state_names[IDENTITY_STATES] = {
    [IDENTITY_LOADING] = "loading",
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

const char *identity_development(const Identity *identity)
{
    if (identity->policy->kind == KEY_POLICY_NONE) {
        return "The device key is under no TPM policy: whoever reaches the TPM can sign as this "
               "device. Not for use in the field; provision it with a policy (tre-provision(8))";
    }
    if (!identity->guard_locked) {
        return "The TPM's owner hierarchy has no authorization value: whoever is root can take the "
               "guard of the anchors and of the last-known time away and make another. Not for use "
               "in the field; run 'tre-provision step lock' (tre-provision(8))";
    }
    return NULL;
}

void identity_free(Identity *identity)
{
    if (!identity)
        return;
    for (size_t i = 0; i < identity->n_certificates; i++)
        free(identity->certificates[i].data);
    verifier_unref(identity->verifier);
    if (!identity->key)
        key_policy_free(identity->policy);
    signing_key_free(identity->key);
    EVP_PKEY_free(identity->public_key);
    free(identity->key_file);
    tpm_close(identity->tpm);
    free(identity);
}

/* Why a file can't be used, and which step of provisioning makes it. `error` is the reader's own
 * sentence, which it has for what is in a file but not always for a file that it can't open. */
static int file_unfit(Reason *reason, const char *path, int r, const char *error,
                      const char *remedy)
{
    if (r == -ENOMEM)
        return r;
    if (r == -ENOENT)
        return reason_set(reason, IDENTITY_UNPROVISIONED, "%s does not exist. %s", path, remedy);
    if (r == -EACCES || r == -EPERM) {
        return reason_set(reason, IDENTITY_UNPROVISIONED,
                          "%s: no permission to read it. Let user tred read it: chown tred: %s",
                          path, path);
    }
    if (error[0] != '\0')
        return reason_set(reason, IDENTITY_UNPROVISIONED, "%s", error);
    return reason_set(reason, IDENTITY_UNPROVISIONED, "%s: %s", path, strerror(-r));
}

VerifierOptions identity_verifier_options(const TredConfig *config)
{
    return (VerifierOptions){
        .program = config->verifier,
        .profile = config->segw_profile,
        .crl_directory = config->revocation == REVOCATION_OFF ? NULL : config->crl_directory,
    };
}

/* Certificates are read by tred-verify; here are only octets. */
static int verifier_get(const TredConfig *config, Identity *identity, Reason *reason)
{
    const VerifierOptions options = identity_verifier_options(config);
    Reason cause = {0};

    if (identity->verifier)
        return 0;
    int r = verifier_new(&options, &identity->verifier, &cause);
    return r != 0 && r != -ENOMEM ? reason_set(reason, IDENTITY_UNPROVISIONED, "%s", cause.text)
                                  : r;
}

static int chain_copy(const ChainFacts *facts, Identity *identity)
{
    for (size_t i = 0; i < facts->n_certificates; i++) {
        DerCertificate *der = &identity->certificates[i];

        der->size = facts->certificates[i].size;
        der->data = malloc(der->size + 1);
        if (!der->data)
            return -ENOMEM;
        memcpy(der->data, facts->certificates[i].data, der->size);
        identity->n_certificates++;
    }
    (void)snprintf(identity->fqdn, sizeof(identity->fqdn), "%s", facts->fqdn);
    identity->not_before = facts->not_before;
    identity->not_after = facts->not_after;
    identity->expires = facts->expires;
    return 0;
}

static int chain_unfit(Reason *reason, const TredConfig *config, int r, const char *error)
{
    const char *path = config->certificates;

    switch (r) {
    case -ENOKEY:
        return reason_set(
            reason, IDENTITY_UNPROVISIONED,
            "None of the certificates in %s is for the key in %s. Have that key's CSR "
            "signed and run "
            "tre-provision install-cert",
            path, config->key);
    case -ENOENT:
        return reason_set(
            reason, IDENTITY_UNPROVISIONED,
            "The device certificate in %s has no FQDN as dNSName in its subjectAltName. Have one "
            "issued that has (TS 33.310 6.1)",
            path);
    case -E2BIG:
        return reason_set(reason, IDENTITY_UNPROVISIONED,
                          "The device certificate's chain in %s is longer than %d certificates. "
                          "Have one issued nearer to its root",
                          path, FRAME_CHAIN_MAX);
    default:
        return file_unfit(reason, path, r < 0 ? r : -EIO, error, "");
    }
}

/* The chain of the device key in a file's octets. */
static int chain_load(const TredConfig *config, Identity *identity, Bytes file, Reason *reason)
{
    Reason cause = {0};
    _cleanup_(openssl_free_bytesp) unsigned char *key = NULL;
    const int key_size = spki_encode(identity->public_key, &key);
    ChainFacts facts;
    int r;

    if (key_size < 0)
        return key_size;
    r = verifier_get(config, identity, reason);
    if (r != 0)
        return r;
    r = verifier_read_chain(identity->verifier, file, config->certificates,
                            (Bytes){key, (size_t)key_size}, &facts, &cause);
    if (r != 0)
        return chain_unfit(reason, config, r, cause.text);
    r = chain_copy(&facts, identity);
    if (r == 0)
        identity_validity_check(config, identity);
    return r;
}

static int certificates_load(const TredConfig *config, Identity *identity, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *file = NULL;
    size_t size = 0;
    int r;

    r = file_read(config->certificates, CHAIN_FILE_SIZE_MAX, &file, &size);
    if (r < 0) {
        return file_unfit(reason, config->certificates, r, "",
                          "Have the CSR signed and run tre-provision install-cert");
    }
    if (!identity->public_key) {
        return reason_set(
            reason, IDENTITY_UNPROVISIONED,
            "%s can't be held against the device key, which is missing. Mend that first",
            config->certificates);
    }
    return chain_load(config, identity, (Bytes){file, size}, reason);
}

int identity_anchors_load(const TredConfig *config, Identity *identity, Reason *reason)
{
    Reason cause = {0};
    _cleanup_(free_bytesp) uint8_t *bundle = NULL;
    AnchorRecord record;
    size_t size = 0;
    int r;

    r = file_read(config->anchors, ANCHOR_BUNDLE_SIZE_MAX, &bundle, &size);
    if (r == 0) {
        r = verifier_get(config, identity, reason);
        if (r != 0)
            return r;
        r = verifier_read_anchors(identity->verifier, (Bytes){bundle, size}, config->anchors,
                                  &cause);
    }
    if (r != 0) {
        return file_unfit(
            reason, config->anchors, r < 0 ? r : -EIO, cause.text,
            "Get the operator's root certificates and run tre-provision install-anchors");
    }
    r = time_correction_read((Bytes){bundle, size}, identity->fqdn, &identity->correction_days,
                             &cause);
    if (r < 0)
        return reason_set(reason, IDENTITY_UNPROVISIONED, "%s: %s", config->anchors, cause.text);
    r = anchor_record_make((Bytes){bundle, size}, 0, &record);
    if (r < 0)
        return r;
    memcpy(identity->anchors_digest, record.digest, sizeof(identity->anchors_digest));
    identity->has_anchors = true;
    return 0;
}

static int key_file_load(const TredConfig *config, Identity *identity, Reason *reason)
{
    Reason cause = {0};
    int r;

    if (!identity->key_file)
        identity->key_file = calloc(1, sizeof(*identity->key_file));
    if (!identity->key_file)
        return -ENOMEM;
    r = tss2key_read(config->key, identity->key_file, &cause);
    if (r < 0)
        return file_unfit(reason, config->key, r, cause.text, "Run tre-provision init");
    r = tpm_public_to_pkey(&identity->key_file->public, &identity->public_key);
    if (r < 0) {
        return reason_set(
            reason, IDENTITY_UNPROVISIONED,
            "%s holds a key that is not ECDSA P-256, P-384 or RSA-2048. Run tre-provision init",
            config->key);
    }
    return 0;
}

static int key_policy_load(const TredConfig *config, Identity *identity, Reason *reason)
{
    Reason cause = {0};
    int r;

    if (!identity->public_key) {
        return reason_set(reason, IDENTITY_UNPROVISIONED,
                          "Its policy can't be known without the device key. Mend that first");
    }
    r = key_policy_read(&identity->key_file->public.publicArea, config->policy_key,
                        config->pcr_signatures, &identity->policy, &cause);
    return r < 0 && r != -ENOMEM ? reason_set(reason, IDENTITY_UNPROVISIONED, "%s", cause.text) : r;
}

/* Of the key in the file; that of a key yet to be made is tre-provision's default. */
static TpmKeyAlgorithm key_algorithm(const Identity *identity)
{
    TpmKeyAlgorithm algorithm = TPM_KEY_ECDSA_P256;

    if (identity->public_key)
        (void)device_key_algorithm_of(&identity->key_file->public.publicArea, &algorithm);
    return algorithm;
}

static int tpm_look(Identity *identity, const TPM2B_NAME *srk_name, Reason *reason)
{
    tpm_trust_srk(identity->tpm, srk_name);
    return tpm_profile_check(identity->tpm, key_algorithm(identity), reason);
}

/* A connection that another identity was loaded with does, unless it has broken, which shows when
 * it is used. */
static int tpm_get(const TredConfig *config, Identity *identity, const TPM2B_NAME *srk_name,
                   Reason *reason)
{
    int r;

    if (identity->tpm) {
        r = tpm_look(identity, srk_name, reason);
        if (r == 0 || !identity->tpm->broken)
            return r;
        tpm_disconnect(identity->tpm);
        tpm_close(steal_pointer(identity->tpm));
    }
    r = tpm_open_in_loop(config->tcti, identity->loop, &identity->tpm, reason);
    return r < 0 ? r : tpm_look(identity, srk_name, reason);
}

static int tpm_connect(const TredConfig *config, Identity *identity, Reason *reason)
{
    Reason cause = {0};
    TPM2B_NAME srk_name = {0};
    int r;

    r = srk_name_read(config->srk_name, &srk_name, &cause);
    if (r < 0 && r != -ENOENT)
        return reason_set(reason, IDENTITY_UNPROVISIONED, "%s", cause.text);
    if (r == -ENOENT && identity->policy && identity->policy->kind != KEY_POLICY_NONE) {
        return reason_set(reason, IDENTITY_UNPROVISIONED,
                          "%s does not exist, so that any storage root key would be trusted, "
                          "while the device key is under a policy. Run 'tre-provision step "
                          "storage-root-key'",
                          config->srk_name);
    }
    r = tpm_get(config, identity, &srk_name, &cause);
    if (r == 0 && srk_name.size > 0)
        r = tpm_salt_key_open(identity->tpm, &cause);
    if (r == -ENOMEM)
        return r;
    if (r == -ESTALE) {
        return reason_set(reason, IDENTITY_UNPROVISIONED, "%s. Provision the device anew",
                          cause.text);
    }
    return r < 0 ? reason_set(reason, IDENTITY_TPM_UNAVAILABLE, "%s", cause.text) : 0;
}

static int key_load(const TredConfig *config, Identity *identity, Reason *reason)
{
    Reason cause = {0};
    DeviceKey *device = NULL;
    int r;

    if (!identity->policy || !identity->tpm) {
        return reason_set(
            reason, IDENTITY_UNPROVISIONED,
            "The device key can't be loaded without its file, its policy and the TPM. Mend "
            "these first");
    }
    r = device_key_load(identity->tpm, identity->key_file, identity->policy, &device, &cause);
    if (r == 0) {
        r = tpm_signing_key_new(device, identity->policy, &identity->key, &cause);
        if (r < 0)
            device_key_free(device);
    }
    if (r == -ENOMEM)
        return r;
    if (r == -EKEYREJECTED)
        return reason_set(reason, IDENTITY_INTEGRITY_FAILED, "%s", cause.text);
    if (r == -EINVAL)
        return reason_set(reason, IDENTITY_UNPROVISIONED, "%s: %s", config->key, cause.text);
    if (r == -ESTALE) {
        return reason_set(reason, IDENTITY_UNPROVISIONED, "%s: %s. Provision the device anew",
                          config->key, cause.text);
    }
    if (r < 0)
        return reason_set(reason, IDENTITY_TPM_UNAVAILABLE, "%s: %s", config->key, cause.text);
    return 0;
}

static const struct {
    const char *name;
    int (*load)(const TredConfig *config, Identity *identity, Reason *reason);
} parts[IDENTITY_PARTS] = {
    [IDENTITY_KEY_FILE] = {"device key file", key_file_load},
    [IDENTITY_KEY_POLICY] = {"device key's policy", key_policy_load},
    [IDENTITY_CERTIFICATES] = {"device certificate", certificates_load},
    [IDENTITY_ANCHORS] = {"SeGW anchors", identity_anchors_load},
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
                       Reason *reason)
{
    return parts[part].load(config, identity, reason);
}

int identity_load(const TredConfig *config, Identity *identity, Reason *reason)
{
    for (int part = 0; part < IDENTITY_PARTS; part++) {
        int r = identity_load_part(config, (IdentityPart)part, identity, reason);

        if (r != 0)
            return r;
    }
    return 0;
}
