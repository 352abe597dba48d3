/* IKE_SA_INIT (RFC 7296 1.2, 2.6, 2.7): the request, and what an unauthenticated answer makes of
 * it. */
#pragma once

#include "ikeclient/endpoint.h"
#include "ikeclient/redirect.h"
#include "ikewire/message.h"

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
    INIT_DROP, /* not ours, malformed, or nothing new; `why` says it */
    INIT_HINT, /* an error notify that anyone could have sent: wait on, report it if nothing better
                  comes */
    INIT_COOKIE,   /* taken in: send the request again */
    INIT_GROUP,    /* make a KE in `group`, then send the request again */
    INIT_REDIRECT, /* who knows our nonce sends us elsewhere */
    INIT_ANSWER,   /* tred may Agree on it */
} InitVerdict;

typedef struct InitResponse {
    InitVerdict verdict;
    const char *why;   /* INIT_DROP: a static phrase */
    uint16_t error;    /* INIT_HINT: the notify's type */
    uint16_t group;    /* INIT_GROUP */
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
