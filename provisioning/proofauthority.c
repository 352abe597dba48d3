/* tre-provision challenge and issue: the authority judges a request, makes what only that TPM can
 * open, checks the answer, and certifies the key. */
#include "base/file.h"
#include "base/reason.h"
#include "crypto/openssl.h"
#include "policy/encoding.h"
#include "policy/policykey.h"
#include "provisioning/command.h"
#include "provisioning/proofcommand.h"
#include "provisioning/proofjson.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
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
    if (r < 0) {
        complain("%s: %s; have the device make it again with 'tre-provision request'", path,
                 reason.text);
    }
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

/* All that a certificate is issued upon. */
typedef struct Evidence {
    ProofRequest *request;
    ProofPending pending;
    ProofResponse response;
} Evidence;

static void evidence_deinit(Evidence *evidence)
{
    proof_request_free(evidence->request);
    proof_response_deinit(&evidence->response);
}

static int message_decode(const char *path,
                          int (*decode)(Bytes text, Evidence *ret, Reason *reason), Evidence *ret)
{
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    Reason reason = {"out of memory"};
    size_t size = 0;
    int r = message_read(path, &text, &size);

    if (r < 0)
        return r;
    r = decode((Bytes){text, size}, ret, &reason);
    OPENSSL_cleanse(text, size); /* a response has the secret */
    if (r < 0)
        complain("%s: %s", path, reason.text);
    return r;
}

static int request_take(Bytes text, Evidence *ret, Reason *reason)
{
    return proof_request_decode(text, &ret->request, reason);
}

static int pending_take(Bytes text, Evidence *ret, Reason *reason)
{
    return proof_pending_decode(text, &ret->pending, reason);
}

static int response_take(Bytes text, Evidence *ret, Reason *reason)
{
    return proof_response_decode(text, &ret->response, reason);
}

static int chain_print(const STACK_OF(X509) *chain)
{
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new_fp(stdout, BIO_NOCLOSE);

    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (!bio || PEM_write_bio_X509(bio, sk_X509_value(chain, i)) != 1) {
            complain("the certificate can't be written to standard output");
            return -EIO;
        }
    }
    return message_print("");
}

static int evidence_read(const ProvisionOptions *options, const char *pending, Evidence *ret)
{
    int r;

    r = message_decode(options->files[0], request_take, ret);
    if (r == 0)
        r = message_decode(pending, pending_take, ret);
    if (r == 0)
        r = message_decode(options->files[1], response_take, ret);
    return r;
}

static int certificate_issue(const ProvisionOptions *options, const Evidence *evidence,
                             STACK_OF(X509) **ret)
{
    const ProofOptions *proof = &options->proof;
    _cleanup_(authority_freep) Authority *authority = NULL;
    Reason reason = {0};
    int r;

    r = authority_read(proof->ca_certificate, proof->ca_key, &authority, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    r = proof_issue(evidence->request, &evidence->pending, &evidence->response, authority,
                    proof->days ? proof->days : AUTHORITY_DAYS_DEFAULT, ret, &reason);
    if (r < 0)
        complain("%s: %s", options->file, reason.text);
    return r;
}

int provision_issue(const ProvisionOptions *options)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;
    _cleanup_(evidence_deinit) Evidence evidence = {0};
    _cleanup_(free_charp) char *pending = NULL;
    int r;

    r = secrets_ready();
    if (r == 0)
        r = pending_path(options->proof.pending, options->files[0], &pending);
    if (r == 0)
        r = evidence_read(options, pending, &evidence);
    if (r == 0)
        r = certificate_issue(options, &evidence, &chain);
    if (r == 0)
        r = chain_print(chain);
    /* A challenge is answered once. */
    if (r == 0 && unlink(pending) < 0)
        complain("warning: %s can't be removed: %s", pending, strerror(errno));
    return r;
}
