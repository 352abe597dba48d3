/* What an OCSP response that came in IKE (RFC 4806) says of a certificate. Without a nonce, as
 * nobody was asked: its dates bound its age (RFC 6960 4.2.2.1). */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "verify/profile.h"

#include <openssl/ocsp.h>
#include <openssl/x509.h>
#include <time.h>

/* In the order in which they outweigh each other. */
typedef enum OcspWord {
    OCSP_SILENT,   /* it is not about this certificate */
    OCSP_UNUSABLE, /* it is, but can't be believed: `detail` says why */
    OCSP_GOOD,     /* `detail` says by which response */
    OCSP_REVOKED,  /* `detail` says since when */
} OcspWord;

/* What a response is held against. */
typedef struct OcspQuestion {
    X509 *certificate;
    X509 *issuer; /* trusted: on the way to an anchor */
    const PeerProfile *profile;
    time_t now;
    unsigned *signatures_left; /* that may still be checked, over all questions */
} OcspQuestion;

/* Reads a DER OCSPResponse of status successful; for OCSP_BASICRESP_free(). NULL if it is anything
 * else, with `detail` saying what. */
OCSP_BASICRESP *ocsp_decode(Bytes der, Reason *detail);

OcspWord ocsp_answer(OCSP_BASICRESP *response, const OcspQuestion *question, Reason *detail);
