/* Can any message of the proof make its reader misbehave, is what it reads written again as the
 * same, and does a judge of any request come to a verdict with a reason? */
#include "base/cleanup.h"
#include "base/reason.h"
#include "provisioning/proofjson.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
    if (!right)
        abort();
}

static Bytes bytes_of(const char *text)
{
    return (Bytes){(const uint8_t *)text, strlen(text)};
}

static bool refused(int r, const char *error)
{
    check(r == 0 || (r == -EINVAL && error[0] != '\0'));
    return r < 0;
}

/* A made-up request has no chain to no anchor. */
static void judge(const ProofRequest *request)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *anchors = sk_X509_new_null();
    const ProofRules rules = {.ek_anchors = anchors};
    Reason reason = {0};
    ProofChallenge challenge;
    ProofPending pending;

    check(anchors != NULL);
    check(proof_challenge(request, &rules, &challenge, &pending, &reason) == -EKEYREJECTED);
    check(reason.text[0] != '\0');
}

static void request_check(Bytes text)
{
    _cleanup_(proof_request_freep) ProofRequest *request = NULL, *again = NULL;
    _cleanup_(free_charp) char *first = NULL, *second = NULL;
    Reason reason = {0};
    ProofDigest digest, digest_again;

    if (refused(proof_request_decode(text, &request, &reason), reason.text))
        return;
    check(proof_request_encode(request, &first) == 0);
    check(proof_request_decode(bytes_of(first), &again, &reason) == 0);
    check(proof_request_encode(again, &second) == 0);
    check(strcmp(first, second) == 0);
    check(proof_request_digest(request, &digest) == 0);
    check(proof_request_digest(again, &digest_again) == 0);
    check(memcmp(&digest, &digest_again, sizeof(digest)) == 0);
    judge(request);
}

static void response_check(Bytes text)
{
    _cleanup_(proof_response_deinit) ProofResponse response = {0}, again = {0};
    _cleanup_(free_charp) char *first = NULL;
    Reason reason = {0};

    if (refused(proof_response_decode(text, &response, &reason), reason.text))
        return;
    check(proof_response_encode(&response, &first) == 0);
    check(proof_response_decode(bytes_of(first), &again, &reason) == 0);
    check(bytes_equal(secret_bytes(response.secret), secret_bytes(again.secret)));
}

static void others_check(Bytes text)
{
    _cleanup_(free_charp) char *challenge_text = NULL, *pending_text = NULL;
    Reason reason = {0};
    ProofChallenge challenge, challenge_again;
    ProofPending pending, pending_again;

    if (!refused(proof_challenge_decode(text, &challenge, &reason), reason.text)) {
        check(proof_challenge_encode(&challenge, &challenge_text) == 0);
        check(proof_challenge_decode(bytes_of(challenge_text), &challenge_again, &reason) == 0);
        check(memcmp(&challenge, &challenge_again, sizeof(challenge)) == 0);
    }
    if (!refused(proof_pending_decode(text, &pending, &reason), reason.text)) {
        check(proof_pending_encode(&pending, &pending_text) == 0);
        check(proof_pending_decode(bytes_of(pending_text), &pending_again, &reason) == 0);
        check(memcmp(&pending, &pending_again, sizeof(pending)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    const Bytes text = {data, size};

    if (!ready) {
        check(secrets_init() == 0);
        ready = true;
    }
    request_check(text);
    response_check(text);
    others_check(text);
    return 0;
}
