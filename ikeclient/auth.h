/* IKE_AUTH (RFC 7296 1.2, 2.15): the request's payloads, and who the response says its sender is.
 */
#pragma once

#include "ikeclient/addresses.h"
#include "ikeclient/child.h"
#include "ikeclient/redirect.h"
#include "ikewire/message.h"

typedef struct AuthRequest {
    uint8_t id_type; /* IDi and AUTH come from tred's SignAuth */
    Bytes id_data;
    uint8_t auth_method;
    Bytes auth_data;
    const Bytes *certificates; /* DER, ours first */
    size_t n_certificates;
    Bytes anchor_hashes;       /* SHA-1 hashes of the anchors' keys, one after the other */
    bool ocsp_wanted;          /* ask for OCSP responses in CERT payloads */
    const char *segw_identity; /* the FQDN we want to talk to */
    bool initial_contact;
    bool mobike;                /* we support MOBIKE (RFC 4555 3.3), and … */
    const Addresses *addresses; /* … have these beside the one that it is sent from (3.4) */
    const ChildOffer *child;
} AuthRequest;

/* Writes the payload chain in the order of RFC 7296 appendix C.2; *ret_first is its first payload's
 * type. */
void auth_request_encode(const AuthRequest *request, Writer *writer, uint8_t *ret_first);

typedef enum AuthVerdict {
    AUTH_CLAIMED,   /* the sender claims an identity: tred judges it */
    AUTH_REFUSED,   /* an error notify instead: the SeGW turned us down */
    AUTH_MALFORMED, /* neither */
} AuthVerdict;

/* Views borrow from the payloads. */
typedef struct AuthResponse {
    AuthVerdict verdict;
    uint16_t error;  /* AUTH_REFUSED: the notify's type */
    const char *why; /* AUTH_MALFORMED: a static phrase */
    IkeId idr;
    IkeAuth auth;
    size_t n_certificates; /* X.509 certificates and OCSP responses; tred judges them */
    bool mobike;           /* N(MOBIKE_SUPPORTED) */
    Addresses addresses;   /* that it has beside the one that it was sent from */
    bool redirects;        /* N(REDIRECT) (RFC 5685 6): we are to go to … */
    Redirect redirect;     /* … that SeGW, and get no Child SA here */
    bool has_lifetime;     /* N(AUTH_LIFETIME) (RFC 4478): this authentication ends in … */
    uint32_t lifetime;     /* … that many seconds */
    size_t n_other;        /* CERT payloads that are neither */
} AuthResponse;

/* Reads the data of N(AUTH_LIFETIME); false if it has not the right size. */
bool auth_lifetime_read(Bytes data, uint32_t *ret_seconds);

void auth_response_judge(const IkePayloads *payloads, AuthResponse *ret);

/* "ecdsa-with-SHA256", "RSASSA-PSS", … for a log line: a static phrase. */
const char *auth_scheme_name(uint8_t method, Bytes auth_data);
