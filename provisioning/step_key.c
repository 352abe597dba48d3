/* The steps "platform-policy" and "device-key": the states that the vendor approved of, and a key
 * under that policy. A key that was stored is kept for as long as it is good; there is no second
 * like it. */
#include "base/file.h"
#include "base/reason.h"
#include "provisioning/devicefiles.h"
#include "provisioning/pcrsignature_file.h"
#include "provisioning/step.h"
#include "tpm/open.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { POLICY_FILE_MAX = 1024 * 1024 };

/* A file of the profile's, and its place in the state folder. */
typedef struct PolicyFile {
    const char *from; /* NULL: the profile names none */
    const char *name;
    bool states; /* JSON, which becomes a flat file on the device */
} PolicyFile;

enum { POLICY_FILES = 2 };

static void policy_files(const ProvisionOptions *options, PolicyFile ret[POLICY_FILES])
{
    ret[0] = (PolicyFile){options->profile->policy_key, STATE_POLICY_KEY, false};
    ret[1] = (PolicyFile){options->profile->pcr_signature, STATE_PCR_SIGNATURES, true};
}

static int states_take(const char *path, uint8_t **ret, size_t *ret_size)
{
    PcrSignatures *states = NULL;
    Reason reason = {"out of memory"};
    char *text = NULL;
    int r = pcr_signatures_json_read(path, &states, &reason);

    if (r == 0)
        r = pcr_signatures_encode(states, &text);
    free(states);
    if (r < 0 || !text) {
        complain("%s; the profile names it", reason.text);
        return r;
    }
    *ret = (uint8_t *)text;
    *ret_size = strlen(text);
    return 0;
}

/* What is to stand in the state folder. */
static int file_take(const PolicyFile *file, uint8_t **ret, size_t *ret_size)
{
    int r;

    if (file->states)
        return states_take(file->from, ret, ret_size);
    r = file_read(file->from, POLICY_FILE_MAX, ret, ret_size);
    if (r < 0)
        complain("%s can't be read: %s; the profile names it", file->from, strerror(-r));
    return r;
}

/* 1 if the file in the state folder has these octets, 0 if not, -errno after a complaint. */
static int file_is_there(const ProvisionOptions *options, const char *name, Bytes wanted)
{
    _cleanup_(free_charp) char *path = NULL;
    _cleanup_(free_bytesp) uint8_t *there = NULL;
    size_t size = 0;
    int r = state_path(options, name, &path);

    if (r < 0)
        return r;
    if (file_read(path, POLICY_FILE_MAX, &there, &size) < 0 ||
        !bytes_equal(wanted, (Bytes){there, size}))
        return 0;
    r = state_give(options, name);
    return r < 0 ? r : 1;
}

int step_policy_check(Provision *provision, char *note)
{
    const ProvisionOptions *options = provision->options;
    PolicyFile files[POLICY_FILES];

    (void)snprintf(note, STEP_NOTE_SIZE, "%s",
                   key_policy_kind_name((KeyPolicyKind)options->profile->key_policy));
    policy_files(options, files);
    for (size_t i = 0; i < POLICY_FILES; i++) {
        _cleanup_(free_bytesp) uint8_t *wanted = NULL;
        size_t size = 0;
        int r;

        if (!files[i].from)
            continue;
        r = file_take(&files[i], &wanted, &size);
        if (r == 0)
            r = file_is_there(options, files[i].name, (Bytes){wanted, size});
        if (r <= 0)
            return r;
    }
    return 1;
}

int step_policy_install(Provision *provision, char *note)
{
    const ProvisionOptions *options = provision->options;
    PolicyFile files[POLICY_FILES];
    int r = 0;

    (void)note;
    policy_files(options, files);
    for (size_t i = 0; r == 0 && i < POLICY_FILES; i++) {
        _cleanup_(free_bytesp) uint8_t *wanted = NULL;
        size_t size = 0;

        if (!files[i].from)
            continue;
        r = file_take(&files[i], &wanted, &size);
        if (r == 0)
            r = state_write(options, files[i].name, (Bytes){wanted, size}, 0644);
    }
    return r;
}

static const char kept[] = "the key was left as it is; '--force' replaces it, and the certificates "
                           "made for it are then of no use";

static int algorithm_check(const ProvisionOptions *options, const char *path, const DeviceKey *key)
{
    const TpmKeyAlgorithm found = device_key_algorithm(key);

    if (!options->algorithm_given || options->algorithm == found)
        return 0;
    complain("%s holds an %s key, not %s", path, tpm_key_algorithm_name(found),
             tpm_key_algorithm_name(options->algorithm));
    return -EEXIST;
}

/* Is the key under the policy that the profile asks for? Without a profile, any will do. */
static int policy_check(const ProvisionOptions *options, const char *path, const Tss2Key *key)
{
    const TPM2B_DIGEST *found = &key->public.publicArea.authPolicy;
    Reason reason = {0};
    PolicyDigest wanted = {0};
    bool needed = false;
    int r;

    if (!options->profile)
        return 0;
    r = device_policy_wanted(options, &wanted, &needed, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    if (bytes_equal((Bytes){found->buffer, found->size},
                    (Bytes){wanted.octets, needed ? sizeof(wanted.octets) : 0}))
        return 0;
    complain("%s holds a key %s, not one under the policy \"%s\" of the profile", path,
             found->size == 0 ? "without a policy" : "under another policy",
             key_policy_kind_name((KeyPolicyKind)options->profile->key_policy));
    return -EEXIST;
}

void provision_key_release(Provision *provision)
{
    device_key_free(provision->key); /* before its policy */
    provision->key = NULL;
    key_policy_free(provision->policy);
    provision->policy = NULL;
}

/* Loads `file`, with its policy, into the TPM and tries it out. */
static int key_load(Provision *provision, const Tss2Key *file, const char *path)
{
    _cleanup_(key_policy_freep) KeyPolicy *policy = NULL;
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    Reason reason = {0};
    int r;

    r = device_policy_read(provision->options, file, &policy, &reason);
    if (r == 0)
        r = device_key_load(provision->tpm, file, policy, &key, &reason);
    if (r < 0) {
        complain("%s: %s", path, reason.text);
        return r;
    }
    r = algorithm_check(provision->options, path, key);
    if (r < 0)
        return r;
    provision_key_release(provision); /* one that --force replaces */
    provision->key = steal_pointer(key);
    provision->policy = steal_pointer(policy);
    return 0;
}

int provision_key(Provision *provision)
{
    const ProvisionOptions *options = provision->options;
    _cleanup_(free_charp) char *path = NULL;
    Reason reason = {0};
    int r;

    if (provision->key)
        return 1;
    r = state_path(options, STATE_KEY, &path);
    if (r < 0)
        return r;
    r = tss2key_read(path, &provision->key_file, &reason);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        complain("%s", reason.text);
    if (r == 0)
        r = policy_check(options, path, &provision->key_file);
    if (r == 0)
        r = key_load(provision, &provision->key_file, path);
    if (r < 0)
        complain("%s", kept);
    return r < 0 ? r : 1;
}

static void key_note(const Provision *provision, char *note)
{
    const bool bound = provision->policy && provision->policy->kind != KEY_POLICY_NONE;

    (void)snprintf(note, STEP_NOTE_SIZE, "%.150s/" STATE_KEY ", %s, %s",
                   provision->options->state_dir,
                   tpm_key_algorithm_name(device_key_algorithm(provision->key)),
                   bound ? "under its policy" : "WITHOUT A POLICY (for development only)");
}

int step_key_check(Provision *provision, char *note)
{
    int r;

    if (provision->options->force)
        return 0;
    r = provision_key(provision);
    if (r <= 0)
        return r;
    key_note(provision, note);
    r = state_give(provision->options, STATE_KEY);
    return r < 0 ? r : 1;
}

static int key_create(Provision *provision, Tss2Key *ret)
{
    const TpmKeyAlgorithm algorithm = provision->options->algorithm;
    Reason reason = {0};
    PolicyDigest policy = {0};
    bool needed = false;
    int r = 0;

    if (!provision->tpm_checked)
        r = tpm_profile_check(provision->tpm, algorithm, &reason);
    if (r == 0)
        r = device_policy_wanted(provision->options, &policy, &needed, &reason);
    if (r == 0)
        r = device_key_create(provision->tpm, algorithm, needed ? &policy : NULL, ret, &reason);
    if (r < 0)
        complain("%s", reason.text);
    return r;
}

static int key_store(Provision *provision)
{
    _cleanup_(free_charp) char *pem = NULL;
    int r = tss2key_encode(&provision->key_file, &pem);

    if (r < 0) {
        complain("the device key can't be written as PEM: %s", strerror(-r));
        return r;
    }
    return state_write(provision->options, STATE_KEY, (Bytes){(const uint8_t *)pem, strlen(pem)},
                       0640);
}

int step_key_make(Provision *provision, char *note)
{
    int r = key_create(provision, &provision->key_file);

    /* Loading tries it out: only a key that signs gets into the state folder. */
    if (r == 0)
        r = key_load(provision, &provision->key_file, "the new device key");
    if (r == 0)
        r = key_store(provision);
    if (r == 0)
        key_note(provision, note);
    return r;
}
