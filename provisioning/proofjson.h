/* The messages of provisioning/proof.h as JSON text: a station and an authority pass them on as
 * files. Binary values are in base64 (RFC 4648 4); what is no member of a message is refused. */
#pragma once

#include "base/reason.h"
#include "provisioning/proof.h"

enum { PROOF_JSON_MAX = 64 * 1024, PROOF_JSON_VERSION = 1 };

/* The member "type" of each. */
#define PROOF_TYPE_REQUEST "tred-proof-request"
#define PROOF_TYPE_CHALLENGE "tred-proof-challenge"
#define PROOF_TYPE_PENDING "tred-proof-pending"
#define PROOF_TYPE_RESPONSE "tred-proof-response"

/* Each encoder: *ret is text that ends in a newline, the caller's to free(). 0, -ENOMEM or -EIO. */
int proof_request_encode(const ProofRequest *request, char **ret);
int proof_challenge_encode(const ProofChallenge *challenge, char **ret);
int proof_pending_encode(const ProofPending *pending, char **ret);
int proof_response_encode(const ProofResponse *response, char **ret);

/* Each decoder reads all of `text` (at most PROOF_JSON_MAX octets). 0, -EINVAL with `reason` saying
 * what was found, or -ENOMEM. A request that is read is well formed, no more. The request is for
 * proof_request_free(), the response for proof_response_deinit(); the latter needs secrets_init().
 */
int proof_request_decode(Bytes text, ProofRequest **ret, Reason *reason);
int proof_challenge_decode(Bytes text, ProofChallenge *ret, Reason *reason);
int proof_pending_decode(Bytes text, ProofPending *ret, Reason *reason);
int proof_response_decode(Bytes text, ProofResponse *ret, Reason *reason);
