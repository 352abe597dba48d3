/* Under which policy is this device's key, and under which one should it be? */
#include "provisioning/devicepolicy.h"
#include "provisioning/pcrsignature_file.h"

#include <errno.h>
#include <stdio.h>

int device_policy_read(const ProvisionOptions *options, const Tss2Key *key, KeyPolicy **ret,
                       char *error)
{
    _cleanup_(free_charp) char *key_path = NULL;
    _cleanup_(free_charp) char *states_path = NULL;
    int r;

    (void)snprintf(error, TPM_ERROR_SIZE, "out of memory");
    r = state_path(options, STATE_POLICY_KEY, &key_path);
    if (r == 0)
        r = state_path(options, STATE_PCR_SIGNATURES, &states_path);
    if (r < 0)
        return r;
    return key_policy_read(&key->public.publicArea, key_path, states_path, ret, error);
}

static void states_freep(PcrSignatures **states)
{
    free(*states);
}

static int signed_digest(const char *path, PolicyDigest *ret, char *error)
{
    _cleanup_(policy_key_deinit) PolicyKey key = {0};
    int r = policy_key_read(path, false, &key, error);

    return r < 0 ? r : policy_key_authorize_digest(&key, (Bytes){0}, ret);
}

/* A key with a plain PolicyPCR is for one state and no other, so the file has to hold one. */
static int pcr_policy_digest(const char *path, PolicyDigest *ret, char *error)
{
    _cleanup_(states_freep) PcrSignatures *states = NULL;
    int r = pcr_signatures_json_read(path, &states, error);

    if (r < 0)
        return r;
    if (states->count != 1) {
        (void)snprintf(error, TPM_ERROR_SIZE,
                       "%.200s holds %zu states, but a key of the policy \"pcr\" is for one; leave "
                       "the other ones out, or choose the policy \"signed\"",
                       path, states->count);
        return -EINVAL;
    }
    *ret = states->entries[0].policy;
    return 0;
}

int device_policy_wanted(const ProvisionOptions *options, PolicyDigest *ret, bool *ret_needed,
                         char *error)
{
    const ProvisionProfile *profile = options->profile;

    _Static_assert((int)TPM_ERROR_SIZE >= (int)POLICY_KEY_ERROR_SIZE &&
                       (int)TPM_ERROR_SIZE >= (int)PCR_SIGNATURES_ERROR_SIZE,
                   "one buffer serves all");
    *ret_needed = profile && profile->key_policy != KEY_POLICY_NONE;
    if (!*ret_needed)
        return 0;
    if (profile->key_policy == KEY_POLICY_SIGNED)
        return signed_digest(profile->policy_key, ret, error);
    return pcr_policy_digest(profile->pcr_signature, ret, error);
}
