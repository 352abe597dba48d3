/* tre-provision challenge: the authority judges a request, and makes what only that TPM can open.
 */
#include "provisioning/command.h"

#include "base/file.h"
#include "base/reason.h"
#include "policy/encoding.h"
#include "policy/policykey.h"
#include "provisioning/proofcommand.h"
#include "provisioning/proofjson.h"

#include <errno.h>
#include <string.h>

static int policy_of_key(const char *path, PolicyDigest *ret)
{
    _cleanup_(policy_key_deinit) PolicyKey key = {0};
    Reason reason = {0};
    int r = policy_key_read(path, false, &key, &reason);

    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    r = policy_key_authorize_digest(&key, (Bytes){0}, ret);
    if (r < 0)
        complain("the policy of %s can't be computed: %s", path, strerror(-r));
    return r;
}

/* The policy that device keys must have: *ret_asked tells whether any. */
static int policy_read(const ProofOptions *options, PolicyDigest *ret, bool *ret_asked)
{
    *ret_asked = options->policy_digest || options->policy_key;
    if (options->policy_digest && options->policy_key) {
        complain("--policy-digest and --policy-key name one policy each; give one of them");
        return -EINVAL;
    }
    if (options->policy_key)
        return policy_of_key(options->policy_key, ret);
    if (options->policy_digest &&
        hex_decode(options->policy_digest, ret->octets, sizeof(ret->octets)) < 0) {
        complain("'%s' is not a policy digest: %d hexadecimal digits", options->policy_digest,
                 2 * POLICY_DIGEST_SIZE);
        return -EINVAL;
    }
    if (!*ret_asked) {
        complain("warning: no policy was asked for (--policy-key, --policy-digest), so a device "
                 "key that works in any platform state will be certified");
    }
    return 0;
}

static int request_read(const char *path, ProofRequest **ret)
{
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    Reason reason = {"out of memory"};
    size_t size = 0;
    int r = message_read(path, &text, &size);

    if (r < 0)
        return r;
    r = proof_request_decode((Bytes){text, size}, ret, &reason);
    if (r < 0)
        complain("%s: %s; have the device make it again with 'tre-provision request'", path,
                 reason.text);
    return r;
}

/* The authority's memory first: a challenge that nobody remembers is of no use. */
static int challenge_write(const ProvisionOptions *options, const ProofChallenge *challenge,
                           const ProofPending *pending)
{
    _cleanup_(free_charp) char *text = NULL;
    _cleanup_(free_charp) char *memory = NULL;
    _cleanup_(free_charp) char *path = NULL;
    int r;

    r = pending_path(options->proof.pending, options->file, &path);
    if (r < 0)
        return r;
    r = proof_pending_encode(pending, &memory);
    if (r == 0)
        r = proof_challenge_encode(challenge, &text);
    if (r == 0)
        r = file_write_atomic(path, (Bytes){(const uint8_t *)memory, strlen(memory)}, 0600);
    if (r < 0) {
        complain("%s can't be written: %s; there is no challenge without it", path, strerror(-r));
        return r;
    }
    return message_print(text);
}

int provision_challenge(const ProvisionOptions *options)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *anchors = NULL;
    _cleanup_(proof_request_freep) ProofRequest *request = NULL;
    Reason reason = {0};
    PolicyDigest policy = {0};
    ProofChallenge challenge;
    ProofPending pending;
    bool asked = false;
    int r;

    r = secrets_ready();
    if (r == 0)
        r = policy_read(&options->proof, &policy, &asked);
    if (r == 0)
        r = request_read(options->file, &request);
    if (r < 0)
        return r;
    r = certificates_read(options->proof.ek_anchors, &anchors, &reason);
    if (r == 0) {
        const ProofRules rules = {.ek_anchors = anchors, .policy = asked ? &policy : NULL};

        r = proof_challenge(request, &rules, &challenge, &pending, &reason);
    }
    if (r < 0) {
        complain("%s: %s", options->file, reason.text);
        return r;
    }
    return challenge_write(options, &challenge, &pending);
}
