/* tre-provision request, challenge, activate and issue: the device asks and answers, the authority
 * judges, challenges and certifies. They write what they make to standard output, and what they
 * have to say to standard error. */
#include "base/file.h"
#include "base/file_write.h"
#include "base/reason.h"
#include "crypto/openssl.h"
#include "policy/encoding.h"
#include "policy/policykey.h"
#include "provisioning/command.h"
#include "provisioning/csr.h"
#include "provisioning/devicetpm.h"
#include "provisioning/proofjson.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

/* Puts text onto standard output, to the last octet. */
static int message_print(const char *text)
{
    if (fputs(text, stdout) != EOF && fflush(stdout) == 0)
        return 0;
    complain("standard output can't be written: %s", strerror(errno));
    return -EIO;
}

/* The messages of the proof that a command reads and makes: each has some of them. */
typedef struct Messages {
    ProofRequest *request;
    ProofChallenge challenge;
    ProofPending pending;
    ProofResponse response;
} Messages;

static void messages_deinit(Messages *messages)
{
    proof_request_free(messages->request);
    proof_response_deinit(&messages->response);
}

static int request_take(Bytes text, Messages *ret, Reason *reason)
{
    return proof_request_decode(text, &ret->request, reason);
}

static int challenge_take(Bytes text, Messages *ret, Reason *reason)
{
    return proof_challenge_decode(text, &ret->challenge, reason);
}

static int pending_take(Bytes text, Messages *ret, Reason *reason)
{
    return proof_pending_decode(text, &ret->pending, reason);
}

static int response_take(Bytes text, Messages *ret, Reason *reason)
{
    return proof_response_decode(text, &ret->response, reason);
}

/* Reads one message from its file. `remedy` ends the sentence about one that is none. */
static int message_read(const char *path, int (*take)(Bytes text, Messages *ret, Reason *reason),
                        const char *remedy, Messages *ret)
{
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    Reason reason = {"out of memory"};
    size_t size = 0;
    int r = file_read(path, PROOF_JSON_MAX, &text, &size);

    if (r == -EFBIG) {
        complain("%s is larger than %d octets; no message of the proof is", path, PROOF_JSON_MAX);
    } else if (r < 0) {
        complain("%s can't be read: %s", path, strerror(-r));
    }
    if (r < 0)
        return r;
    r = take((Bytes){text, size}, ret, &reason);
    OPENSSL_cleanse(text, size); /* a response has the secret */
    if (r < 0)
        complain("%s: %s%s", path, reason.text, remedy);
    return r;
}

static int secrets_ready(void)
{
    Reason reason = {0};
    int r = secrets_prepare(&reason);

    if (r < 0)
        complain("%s", reason.text);
    return r;
}

/* Where the authority keeps its memory of a challenge: `given`, or beside the request. */
static int pending_path(const char *given, const char *request, char **ret)
{
    if (asprintf(ret, "%s%s", given ? given : request, given ? "" : ".pending") >= 0)
        return 0;
    *ret = NULL;
    complain("out of memory");
    return -ENOMEM;
}

/* The device's files. *ret_csr is the caller's to free(). */
static int files_read(const ProvisionOptions *options, Tss2Key *ret_key, uint8_t **ret_csr)
{
    _cleanup_(free_charp) char *key_path = NULL;
    _cleanup_(free_charp) char *csr_path = NULL;
    Reason reason = {0};
    size_t size = 0;
    int r;

    r = state_path(options, STATE_KEY, &key_path);
    if (r == 0)
        r = state_path(options, STATE_CSR, &csr_path);
    if (r < 0)
        return r;
    r = tss2key_read(key_path, ret_key, &reason);
    if (r < 0) {
        complain("%s: %s", key_path,
                 r == -ENOENT ? "there is no device key; run 'tre-provision "
                                "init'"
                              : reason.text);
        return r;
    }
    r = file_read(csr_path, CSR_SIZE_MAX, ret_csr, &size);
    if (r < 0)
        complain("%s can't be read: %s; run 'tre-provision init'", csr_path, strerror(-r));
    return r;
}

static int request_make(const ProvisionOptions *options, const Tss2Key *key, const char *csr,
                        ProofRequest **ret)
{
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    Reason reason = {0};
    int r;

    r = provision_tpm_open(options->tcti, NULL, &tpm, &reason);
    if (r == 0) {
        r = proof_request_new(tpm, key, csr, options->fqdn, options->serial ? options->serial : "",
                              ret, &reason);
    }
    if (r < 0)
        complain("%s", reason.text);
    return r;
}

int provision_request(const ProvisionOptions *options)
{
    _cleanup_(proof_request_freep) ProofRequest *request = NULL;
    _cleanup_(free_bytesp) uint8_t *csr = NULL;
    _cleanup_(free_charp) char *text = NULL;
    Tss2Key key;
    int r;

    r = files_read(options, &key, &csr);
    if (r == 0)
        r = request_make(options, &key, (const char *)csr, &request);
    if (r < 0)
        return r;
    r = proof_request_encode(request, &text);
    if (r < 0) {
        complain("the request can't be written as JSON: %s", strerror(-r));
        return r;
    }
    return message_print(text);
}

static int key_read(const ProvisionOptions *options, Tss2Key *ret)
{
    _cleanup_(free_charp) char *path = NULL;
    Reason reason = {0};
    int r = state_path(options, STATE_KEY, &path);

    if (r < 0)
        return r;
    r = tss2key_read(path, ret, &reason);
    if (r < 0)
        complain("%s: %s", path, reason.text);
    return r;
}

int provision_activate(const ProvisionOptions *options)
{
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    _cleanup_(messages_deinit) Messages messages = {0};
    _cleanup_(free_charp) char *text = NULL;
    Reason reason = {0};
    Tss2Key key;
    int r;

    r = secrets_ready();
    if (r == 0) {
        r = message_read(options->file, challenge_take,
                         "; have the authority make it again with 'tre-provision challenge'",
                         &messages);
    }
    if (r == 0)
        r = key_read(options, &key);
    if (r < 0)
        return r;
    r = provision_tpm_open(options->tcti, NULL, &tpm, &reason);
    if (r == 0)
        r = proof_activate(tpm, &key, &messages.challenge, &messages.response, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    r = proof_response_encode(&messages.response, &text);
    if (r < 0) {
        complain("the response can't be written as JSON: %s", strerror(-r));
        return r;
    }
    return message_print(text);
}

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

/* The authority's memory first: a challenge that nobody remembers is of no use. */
static int challenge_write(const ProvisionOptions *options, const Messages *made)
{
    _cleanup_(free_charp) char *text = NULL;
    _cleanup_(free_charp) char *memory = NULL;
    _cleanup_(free_charp) char *path = NULL;
    int r;

    r = pending_path(options->proof.pending, options->file, &path);
    if (r < 0)
        return r;
    r = proof_pending_encode(&made->pending, &memory);
    if (r == 0)
        r = proof_challenge_encode(&made->challenge, &text);
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
    _cleanup_(messages_deinit) Messages messages = {0};
    Reason reason = {0};
    PolicyDigest policy = {0};
    bool asked = false;
    int r;

    r = secrets_ready();
    if (r == 0)
        r = policy_read(&options->proof, &policy, &asked);
    if (r == 0) {
        r = message_read(options->file, request_take,
                         "; have the device make it again with 'tre-provision request'", &messages);
    }
    if (r < 0)
        return r;
    r = certificates_read(options->proof.ek_anchors, &anchors, &reason);
    if (r == 0) {
        const ProofRules rules = {.ek_anchors = anchors, .policy = asked ? &policy : NULL};

        r = proof_challenge(messages.request, &rules, &messages.challenge, &messages.pending,
                            &reason);
    }
    if (r < 0) {
        complain("%s: %s", options->file, reason.text);
        return r;
    }
    return challenge_write(options, &messages);
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

static int certificate_issue(const ProvisionOptions *options, const Messages *messages,
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
    r = proof_issue(messages->request, &messages->pending, &messages->response, authority,
                    proof->days ? proof->days : AUTHORITY_DAYS_DEFAULT, ret, &reason);
    if (r < 0)
        complain("%s: %s", options->file, reason.text);
    return r;
}

int provision_issue(const ProvisionOptions *options)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;
    _cleanup_(messages_deinit) Messages messages = {0};
    _cleanup_(free_charp) char *pending = NULL;
    int r;

    r = secrets_ready();
    if (r == 0)
        r = pending_path(options->proof.pending, options->files[0], &pending);
    if (r == 0)
        r = message_read(options->files[0], request_take, "", &messages);
    if (r == 0)
        r = message_read(pending, pending_take, "", &messages);
    if (r == 0)
        r = message_read(options->files[1], response_take, "", &messages);
    if (r == 0)
        r = certificate_issue(options, &messages, &chain);
    if (r == 0)
        r = chain_print(chain);
    /* A challenge is answered once. */
    if (r == 0 && unlink(pending) < 0)
        complain("warning: %s can't be removed: %s", pending, strerror(errno));
    return r;
}
