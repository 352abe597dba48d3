/* Under which policy is this device's key, and under which one should it be? */
#include "provisioning/devicepolicy.h"
#include "provisioning/pcrsignature_file.h"

#include <errno.h>

int device_policy_read(const ProvisionOptions *options, const Tss2Key *key, KeyPolicy **ret,
                       Reason *reason)
{
    _cleanup_(free_charp) char *key_path = NULL;
    _cleanup_(free_charp) char *states_path = NULL;
    int r;

    reason_set(reason, 0, "out of memory");
    r = state_path(options, STATE_POLICY_KEY, &key_path);
    if (r == 0)
        r = state_path(options, STATE_PCR_SIGNATURES, &states_path);
    if (r < 0)
        return r;
    return key_policy_read(&key->public.publicArea, key_path, states_path, ret, reason);
}

static void states_freep(PcrSignatures **states)
{
    free(*states);
}

static int signed_digest(const char *path, PolicyDigest *ret, Reason *reason)
{
    _cleanup_(policy_key_deinit) PolicyKey key = {0};
    int r = policy_key_read(path, false, &key, reason);

    return r < 0 ? r : policy_key_authorize_digest(&key, (Bytes){0}, ret);
}

/* A key with a plain PolicyPCR is for one state and no other, so the file has to hold one. */
static int pcr_policy_digest(const char *path, PolicyDigest *ret, Reason *reason)
{
    _cleanup_(states_freep) PcrSignatures *states = NULL;
    int r = pcr_signatures_json_read(path, &states, reason);

    if (r < 0)
        return r;
    if (states->count != 1) {
        return reason_set(
            reason, -EINVAL,
            "%.200s holds %zu states, but a key of the policy \"pcr\" is for one; leave "
            "the other ones out, or choose the policy \"signed\"",
            path, states->count);
    }
    *ret = states->entries[0].policy;
    return 0;
}

int device_policy_wanted(const ProvisionOptions *options, PolicyDigest *ret, bool *ret_needed,
                         Reason *reason)
{
    const ProvisionProfile *profile = options->profile;

    *ret_needed = profile && profile->key_policy != KEY_POLICY_NONE;
    if (!*ret_needed)
        return 0;
    if (profile->key_policy == KEY_POLICY_SIGNED)
        return signed_digest(profile->policy_key, ret, reason);
    return pcr_policy_digest(profile->pcr_signature, ret, reason);
}
