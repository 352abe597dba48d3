/* The condition under which the device key signs, and whether the platform meets it. */
#include "policy/keypolicy.h"

#include "policy/encoding.h"
#include "tpm/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_TEXT_SIZE = 2 * PCR_VALUE_MAX + 1 };

static const char *const kind_names[KEY_POLICY_KINDS] = {
    [KEY_POLICY_NONE] = "none",
    [KEY_POLICY_PCR] = "pcr",
    [KEY_POLICY_SIGNED] = "signed",
};

const char *key_policy_kind_name(KeyPolicyKind kind)
{
    return kind_names[kind];
}

void key_policy_free(KeyPolicy *policy)
{
    if (!policy)
        return;
    policy_key_deinit(&policy->vendor);
    free(policy->states);
    free(policy);
}

/* Leaves those states that `keep` holds of, in their order. */
static void states_filter(KeyPolicy *policy, bool (*keep)(const PcrSignature *, const void *),
                          const void *argument)
{
    PcrSignatures *states = policy->states;
    size_t kept = 0;

    for (size_t i = 0; i < states->count; i++) {
        if (keep(&states->entries[i], argument))
            states->entries[kept++] = states->entries[i];
    }
    states->count = kept;
}

static bool is_by_vendor(const PcrSignature *state, const void *vendor)
{
    const PolicyKey *key = vendor;

    return state->is_signed &&
           bytes_equal(BYTES_OF(state->fingerprint), BYTES_OF(key->fingerprint)) &&
           policy_key_approved(key, &state->policy, (Bytes){0},
                               (Bytes){state->signature, state->signature_size});
}

static bool is_policy(const PcrSignature *state, const void *digest)
{
    return policy_digest_equal(&state->policy, digest);
}

static int signed_take(KeyPolicy *policy, const PolicyDigest *digest, PolicyKey *vendor,
                       const char *key_path, const char *states_path, Reason *reason)
{
    PolicyDigest authorized;

    if (policy_key_authorize_digest(vendor, (Bytes){0}, &authorized) < 0)
        return -EIO;
    if (!policy_digest_equal(&authorized, digest))
        return 0;
    policy->kind = KEY_POLICY_SIGNED;
    policy->vendor = *vendor;
    *vendor = (PolicyKey){0};
    states_filter(policy, is_by_vendor, &policy->vendor);
    if (policy->states->count > 0)
        return 0;
    return reason_set(
        reason, -EINVAL,
        "%.150s holds no platform state that the policy key in %.150s signed for; get "
        "the file that the vendor signed for this firmware",
        states_path, key_path);
}

static int pcr_take(KeyPolicy *policy, const PolicyDigest *digest, const char *key_path,
                    const char *states_path, Reason *reason)
{
    states_filter(policy, is_policy, digest);
    policy->kind = KEY_POLICY_PCR;
    if (policy->states->count > 0)
        return 0;
    return reason_set(reason, -EINVAL,
                      "the device key is under a policy that is neither that of the policy key in "
                      "%.130s nor a state in %.130s; install the files that belong to this key, or "
                      "provision again",
                      key_path, states_path);
}

/* The vendor's key may be absent: a plain PolicyPCR needs none. */
static int vendor_read(const char *path, PolicyKey *ret, Reason *reason)
{
    int r = policy_key_read(path, false, ret, reason);

    return r == -ENOENT ? 0 : r;
}

static int policy_take(KeyPolicy *policy, const TPMT_PUBLIC *public, const char *key_path,
                       const char *states_path, Reason *reason)
{
    _cleanup_(policy_key_deinit) PolicyKey vendor = {0};
    PolicyDigest digest;
    int r;

    if (public->authPolicy.size != sizeof(digest.octets)) {
        return reason_set(reason, -EINVAL,
                          "the device key's policy digest has %u octets, not the %zu of SHA-256; "
                          "make a key with 'tre-provision init'",
                          public->authPolicy.size, sizeof(digest.octets));
    }
    memcpy(digest.octets, public->authPolicy.buffer, sizeof(digest.octets));
    r = vendor_read(key_path, &vendor, reason);
    if (r < 0)
        return r;
    r = policy->states ? 0 : pcr_signatures_read(states_path, &policy->states, reason);
    if (r < 0)
        return r;
    r = vendor.pkey ? signed_take(policy, &digest, &vendor, key_path, states_path, reason) : 0;
    if (r < 0 || policy->kind == KEY_POLICY_SIGNED)
        return r;
    return pcr_take(policy, &digest, key_path, states_path, reason);
}

int key_policy_from_states(const TPMT_PUBLIC *public, const char *key_path, PcrSignatures **states,
                           const char *states_path, KeyPolicy **ret, Reason *reason)
{
    _cleanup_(key_policy_freep) KeyPolicy *policy = calloc(1, sizeof(*policy));
    int r;

    if (!policy)
        return -ENOMEM;
    policy->states = steal_pointer(*states);
    if (public->authPolicy.size > 0 || !(public->objectAttributes & TPMA_OBJECT_USERWITHAUTH)) {
        r = policy_take(policy, public, key_path, states_path, reason);
        if (r < 0)
            return r;
    }
    *ret = steal_pointer(policy);
    return 0;
}

int key_policy_read(const TPMT_PUBLIC *public, const char *key_path, const char *states_path,
                    KeyPolicy **ret, Reason *reason)
{
    PcrSignatures *none = NULL;

    return key_policy_from_states(public, key_path, &none, states_path, ret, reason);
}

/* Keeps the nearest of the states that say what they expect. */
static void mismatch_take(PcrMismatch *mismatch, const PcrSignature *state, const PcrState *found)
{
    const uint32_t mask = pcr_difference(&state->expected, found);

    if (state->has_expected &&
        (mismatch->mask == 0 || __builtin_popcount(mask) < __builtin_popcount(mismatch->mask)))
        *mismatch = (PcrMismatch){.mask = mask, .expected = state->expected, .found = *found};
}

/* Is the platform in this state? Digests are compared, as not every state says what it expects. */
static int state_try(Tpm *tpm, KeyPolicy *policy, const PcrSignature *state, Reason *reason)
{
    PcrState found = {.bank = state->expected.bank, .mask = state->expected.mask};
    PolicyDigest digest = {0};
    int r;

    r = pcr_read(tpm, &found, reason);
    if (r < 0)
        return r;
    policy->pcr_digest.size = POLICY_DIGEST_SIZE;
    if (policy_digest_pcr(&digest, &found) < 0 ||
        pcr_digest(&found, policy->pcr_digest.buffer) < 0) {
        return reason_set(reason, -EIO, "OpenSSL can't compute SHA-256");
    }
    if (policy_digest_equal(&digest, &state->policy)) {
        policy->fit = state;
    } else {
        mismatch_take(&policy->mismatch, state, &found);
    }
    return 0;
}

static int nothing_fits(const KeyPolicy *policy, Reason *reason)
{
    char differences[REASON_SIZE / 2] = "";
    char list[PCR_SELECTION_TEXT_SIZE];

    if (policy->mismatch.mask != 0) {
        pcr_mismatch_print(&policy->mismatch, differences, sizeof(differences));
    } else {
        pcr_mask_print(policy->states->entries[0].expected.mask, list);
        (void)snprintf(differences, sizeof(differences), "its policy looks at PCR %s", list);
    }
    return reason_set(reason, -EKEYREJECTED,
                      "the platform is in none of the %zu state(s) approved of (%s); start the "
                      "firmware that was approved of, or install a policy signed for this one",
                      policy->states->count, differences);
}

/* Firmware decides which banks a TPM has, and TPM2_PCR_Allocate switches one off at the next
 * start: a state that can't be seen is none that was approved of. */
static int bank_missing(const KeyPolicy *policy, Reason *reason)
{
    const PcrState *expected = &policy->states->entries[0].expected;
    char list[PCR_SELECTION_TEXT_SIZE];

    pcr_mask_print(expected->mask, list);
    return reason_set(reason, -EKEYREJECTED,
                      "this TPM has no PCR %s in its %s bank, which the platform's state is to be "
                      "read from: the bank was switched off, or never was on; switch it on again "
                      "in the firmware's settings ('tpm2_getcap pcrs' lists what there is)",
                      list, pcr_bank_name(expected->bank));
}

static int ticket_get(Tpm *tpm, KeyPolicy *policy, Reason *reason)
{
    const PcrSignature *fit = policy->fit;
    int r =
        policy_key_ticket(tpm, &policy->vendor, &fit->policy, (Bytes){0},
                          (Bytes){fit->signature, fit->signature_size}, &policy->ticket, reason);

    if (r < 0)
        policy->fit = NULL;
    return r;
}

/* Tries one state after another. One over PCRs that this TPM does not have is one that it is not
 * in: systemd-measure signs for several banks, of which a TPM may have one. Returns 0, with
 * policy->fit NULL if there is none, or -EIO; -EOPNOTSUPP if the TPM has the PCRs of none of them.
 */
static int states_try(Tpm *tpm, KeyPolicy *policy, Reason *reason)
{
    bool looked = false;

    for (size_t i = 0; !policy->fit && i < policy->states->count; i++) {
        int r = state_try(tpm, policy, &policy->states->entries[i], reason);

        if (r < 0 && r != -EOPNOTSUPP)
            return r;
        looked = looked || r == 0;
    }
    return looked ? 0 : -EOPNOTSUPP;
}

int key_policy_fit(Tpm *tpm, KeyPolicy *policy, Reason *reason)
{
    const PcrSignature *before = policy->fit;
    int r;

    if (policy->kind == KEY_POLICY_NONE)
        return 0;
    policy->mismatch = (PcrMismatch){0};
    policy->fit = NULL;
    r = states_try(tpm, policy, reason);
    if (r == -EOPNOTSUPP)
        return bank_missing(policy, reason);
    if (r < 0)
        return r;
    if (!policy->fit)
        return nothing_fits(policy, reason);
    policy->mismatch = (PcrMismatch){0};
    if (policy->kind == KEY_POLICY_PCR || policy->fit == before)
        return 0;
    return ticket_get(tpm, policy, reason);
}

static int policy_authorize(Tpm *tpm, const KeyPolicy *policy, const TpmSession *session,
                            Reason *reason)
{
    static const TPM2B_NONCE no_reference = {0};
    TPM2B_DIGEST approved = {.size = POLICY_DIGEST_SIZE};
    TSS2_RC rc;

    memcpy(approved.buffer, policy->fit->policy.octets, POLICY_DIGEST_SIZE);
    rc = tpm2_policy_authorize(tpm, session, &approved, &no_reference, &policy->vendor.name,
                               &policy->ticket);
    if (rc == TSS2_RC_SUCCESS)
        return 0;
    tpm_error(reason, "TPM2_PolicyAuthorize", rc);
    return tpm_rc_base(rc) == TPM2_RC_VALUE ? -EKEYREJECTED : -EIO;
}

int key_policy_satisfy(Tpm *tpm, const KeyPolicy *policy, const TpmSession *session, Reason *reason)
{
    const TPML_PCR_SELECTION pcrs =
        pcr_selection(policy->fit->expected.bank, policy->fit->expected.mask);
    TSS2_RC rc;

    rc = tpm2_policy_pcr(tpm, session, &policy->pcr_digest, &pcrs);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_PolicyPCR", rc);
        return tpm_rc_base(rc) == TPM2_RC_VALUE ? -EKEYREJECTED : -EIO;
    }
    return policy->kind == KEY_POLICY_SIGNED ? policy_authorize(tpm, policy, session, reason) : 0;
}

void pcr_mismatch_print(const PcrMismatch *mismatch, char *ret, size_t size)
{
    static const char cut[PCR_MISMATCH_TEXT_LEAST] = "...";
    const size_t value_size = pcr_value_size(mismatch->found.bank);
    size_t used = 0;

    ret[0] = '\0';
    for (unsigned i = 0; i < PCR_COUNT; i++) {
        char expected[VALUE_TEXT_SIZE], found[VALUE_TEXT_SIZE];
        int n;

        if (!(mismatch->mask >> i & 1))
            continue;
        hex_encode((Bytes){mismatch->expected.values[i], value_size}, expected);
        hex_encode((Bytes){mismatch->found.values[i], value_size}, found);
        n = snprintf(ret + used, size - used, "%sPCR %u: expected %s, found %s",
                     used > 0 ? "; " : "", i, expected, found);
        if (n < 0 || (size_t)n >= size - used) {
            if (size >= sizeof(cut))
                memcpy(ret + size - sizeof(cut), cut, sizeof(cut));
            return;
        }
        used += (size_t)n;
    }
}
