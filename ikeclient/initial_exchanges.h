/* The initial exchanges (RFC 7296 1.2): IKE_SA_INIT (2.6, 2.7), with what an unauthenticated answer
 * makes of the next request, and IKE_AUTH (2.15), with who the response says its sender is. */
#pragma once

#include "ikeclient/child.h"
#include "ikeclient/endpoint.h"
#include "ikeclient/targets.h"
#include "ikewire/message.h"

/* ---- IKE_SA_INIT ---- */

enum {
    INIT_KE_MAX = 512,    /* octets of the largest public value (MODP groups up to 4096 bits) */
    INIT_COOKIES_MAX = 4, /* how often we let a SeGW ask for a cookie */
    INIT_GROUP_CHANGES_MAX = 4, /* as tred allows */
};

/* What the next request is made of, and how far the haggling has gone. */
typedef struct InitExchange {
    bool feign_nat;            /* ask for ESP in UDP where no NAT asks for it (RFC 7296 2.23) */
    const IkeSaPayload *offer; /* borrowed */
    uint64_t spi_i;
    uint16_t group; /* of `ke` */
    uint8_t ke[INIT_KE_MAX];
    size_t ke_size;
    uint8_t nonce[IKE_NONCE_MAX];
    size_t nonce_size;
    uint8_t cookie[IKE_COOKIE_MAX];
    size_t cookie_size;       /* 0: none asked for yet */
    Endpoint redirected_from; /* who sent us here (RFC 5685 4); family 0: nobody */
    unsigned cookies;
    unsigned group_changes;
} InitExchange;

/* 0, or -EMSGSIZE for a nonce or public value beyond the bounds. */
int init_begin(InitExchange *init, const IkeSaPayload *offer, uint16_t group, uint64_t spi_i,
               Bytes nonce, Bytes ke);

/* A public value in another group, after INVALID_KE_PAYLOAD. 0 or -EMSGSIZE. */
int init_change_group(InitExchange *init, uint16_t group, Bytes ke);

/* Writes the whole request: [N(COOKIE)], SA, KE, Ni, and the notifies. Check writer_finish(). */
void init_request_encode(const InitExchange *init, const Endpoint *local, const Endpoint *remote,
                         Writer *writer);

typedef enum InitVerdict {
    INIT_DROP,  /* not ours, or nothing new; `why` says it */
    INIT_UNFIT, /* an answer to us that leads nowhere; `fault` or `why` says it: as INIT_HINT */
    INIT_HINT,  /* an error notify that anyone could have sent: wait on, report it if nothing better
                   comes */
    INIT_COOKIE,   /* taken in: send the request again */
    INIT_GROUP,    /* make a KE in `group`, then send the request again */
    INIT_REDIRECT, /* who knows our nonce sends us elsewhere */
    INIT_ANSWER,   /* tred may Agree on it */
} InitVerdict;

typedef struct InitResponse {
    InitVerdict verdict;
    const char *why;   /* INIT_DROP, INIT_UNFIT: a static phrase */
    IkeFault fault;    /* INIT_UNFIT: its code is 0 where it parses */
    uint16_t error;    /* INIT_HINT: the notify's type */
    uint16_t group;    /* INIT_GROUP; INIT_UNFIT: one that we did not offer, or 0 */
    Redirect redirect; /* INIT_REDIRECT */
    uint64_t spi_r;    /* INIT_ANSWER, and all below */
    NatFinding nat;
    bool certreq;
    bool fragmentation;
    bool hashes; /* SIGNATURE_HASH_ALGORITHMS (RFC 7427) */
} InitResponse;

/* Judges a datagram that came while the request was out, from `remote`. Nobody has vouched for it.
 * Cookies and group changes are counted in `init`, and what goes beyond their bounds is dropped. */
void init_response_judge(InitExchange *init, Bytes datagram, const Endpoint *local,
                         const Endpoint *remote, InitResponse *ret);

/* ---- IKE_AUTH ---- */

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
