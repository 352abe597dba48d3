/* Loads the device's key from its file into the TPM, and reads certificates and anchors. */
#include "device/identity_internal.h"

#include "base/file.h"
#include "policy/keypolicy.h"
#include "policy/tpmsigningkey.h"
#include "policy/tss2key.h"
#include "tpm/open.h"
#include "tpm/publickey.h"
#include "tpm/storagekey.h"

#include <errno.h>
#include <string.h>

const char *device_identity_development(const DeviceIdentity *identity)
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

void device_identity_free(DeviceIdentity *identity)
{
    if (!identity)
        return;
    free(identity->certificates.data);
    free(identity->anchors.data);
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
                          "%s: no permission to read it. Let group tred read it: chgrp tred %s && "
                          "chmod g+r %s",
                          path, path, path);
    }
    if (error[0] != '\0')
        return reason_set(reason, IDENTITY_UNPROVISIONED, "%s", error);
    return reason_set(reason, IDENTITY_UNPROVISIONED, "%s: %s", path, strerror(-r));
}

static int certificates_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason)
{
    int r = file_read(files->certificates, DEVICE_CERTIFICATES_SIZE_MAX,
                      &identity->certificates.data, &identity->certificates.size);

    if (r < 0) {
        return file_unfit(reason, files->certificates, r, "",
                          "Have the CSR signed and run tre-provision install-cert");
    }
    if (!identity->public_key) {
        return reason_set(
            reason, IDENTITY_UNPROVISIONED,
            "%s can't be held against the device key, which is missing. Mend that first",
            files->certificates);
    }
    return 0;
}

int identity_anchors_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason)
{
    FileOctets octets = {0};
    AnchorRecord record;
    int r;

    r = file_read(files->anchors, DEVICE_ANCHORS_SIZE_MAX, &octets.data, &octets.size);
    if (r < 0) {
        return file_unfit(
            reason, files->anchors, r, "",
            "Get the operator's root certificates and run tre-provision install-anchors");
    }
    free(identity->anchors.data);
    identity->anchors = octets;
    r = anchor_record_make((Bytes){octets.data, octets.size}, 0, &record);
    if (r < 0)
        return r;
    memcpy(identity->anchors_digest, record.digest, sizeof(identity->anchors_digest));
    return 0;
}

static int key_file_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason)
{
    Reason cause = {0};
    int r;

    if (!identity->key_file)
        identity->key_file = calloc(1, sizeof(*identity->key_file));
    if (!identity->key_file)
        return -ENOMEM;
    r = tss2key_read(files->key, identity->key_file, &cause);
    if (r < 0)
        return file_unfit(reason, files->key, r, cause.text, "Run tre-provision init");
    r = tpm_public_to_pkey(&identity->key_file->public, &identity->public_key);
    if (r < 0) {
        return reason_set(
            reason, IDENTITY_UNPROVISIONED,
            "%s holds a key that is not ECDSA P-256, P-384 or RSA-2048. Run tre-provision init",
            files->key);
    }
    return 0;
}

static int key_policy_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason)
{
    Reason cause = {0};
    int r;

    if (!identity->public_key) {
        return reason_set(reason, IDENTITY_UNPROVISIONED,
                          "Its policy can't be known without the device key. Mend that first");
    }
    r = key_policy_read(&identity->key_file->public.publicArea, files->policy_key,
                        files->pcr_signatures, &identity->policy, &cause);
    return r < 0 && r != -ENOMEM ? reason_set(reason, IDENTITY_UNPROVISIONED, "%s", cause.text) : r;
}

/* Of the key in the file; that of a key yet to be made is tre-provision's default. */
static TpmKeyAlgorithm key_algorithm(const DeviceIdentity *identity)
{
    TpmKeyAlgorithm algorithm = TPM_KEY_ECDSA_P256;

    if (identity->public_key)
        (void)device_key_algorithm_of(&identity->key_file->public.publicArea, &algorithm);
    return algorithm;
}

static int tpm_look(DeviceIdentity *identity, const TPM2B_NAME *srk_name, Reason *reason)
{
    tpm_trust_srk(identity->tpm, srk_name);
    return tpm_profile_check(identity->tpm, key_algorithm(identity), reason);
}

/* A connection that another identity was loaded with does, unless it has broken, which shows when
 * it is used. */
static int tpm_get(const DeviceFiles *files, DeviceIdentity *identity, const TPM2B_NAME *srk_name,
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
    r = tpm_open_in_loop(files->tcti, identity->loop, &identity->tpm, reason);
    return r < 0 ? r : tpm_look(identity, srk_name, reason);
}

static int tpm_connect(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason)
{
    Reason cause = {0};
    TPM2B_NAME srk_name = {0};
    int r;

    r = srk_name_read(files->srk_name, &srk_name, &cause);
    if (r < 0 && r != -ENOENT)
        return reason_set(reason, IDENTITY_UNPROVISIONED, "%s", cause.text);
    if (r == -ENOENT && identity->policy && identity->policy->kind != KEY_POLICY_NONE) {
        return reason_set(reason, IDENTITY_UNPROVISIONED,
                          "%s does not exist, so that any storage root key would be trusted, "
                          "while the device key is under a policy. Run 'tre-provision step "
                          "storage-root-key'",
                          files->srk_name);
    }
    r = tpm_get(files, identity, &srk_name, &cause);
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

static int key_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason)
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
        return reason_set(reason, IDENTITY_UNPROVISIONED, "%s: %s", files->key, cause.text);
    if (r == -ESTALE) {
        return reason_set(reason, IDENTITY_UNPROVISIONED, "%s: %s. Provision the device anew",
                          files->key, cause.text);
    }
    if (r < 0)
        return reason_set(reason, IDENTITY_TPM_UNAVAILABLE, "%s: %s", files->key, cause.text);
    return 0;
}

static const struct {
    const char *name;
    int (*load)(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason);
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

int device_identity_load_part(const DeviceFiles *files, IdentityPart part, DeviceIdentity *identity,
                              Reason *reason)
{
    return parts[part].load(files, identity, reason);
}

int device_identity_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason)
{
    for (int part = 0; part < IDENTITY_PARTS; part++) {
        int r = device_identity_load_part(files, (IdentityPart)part, identity, reason);

        if (r != 0)
            return r;
    }
    return 0;
}
