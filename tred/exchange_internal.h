/* What an exchange holds; shared by exchange*.c and by nobody else. */
#pragma once

#include "base/fqdn.h"
#include "base/reason.h"
#include "dataplane/transport.h"
#include "tred/auth.h"
#include "tred/exchange.h"
#include "tred/keyoffer.h"
#include "tred/keyschedule.h"

enum {
    EXCHANGE_NONCE_SIZE = 32, /* half of the largest prf's key size, 64 (RFC 7296 2.10) */
    EXCHANGE_HASHES_MAX = 16, /* of SIGNATURE_HASH_ALGORITHMS that we look at */
    IKE_ID_FIXED_SIZE = 4,    /* RFC 7296 3.5: ID Type and three reserved octets */
};

typedef struct OwnedBytes {
    uint8_t *data;
    size_t size;
} OwnedBytes;

/* The payload chain of a message, as it was sealed or opened. */
typedef struct KeptMessage {
    bool there;
    uint8_t first;
    OwnedBytes payloads;
} KeptMessage;

/* A place for one Child SA: an SPI given out, and its keys once there is an SA. */
typedef struct Child {
    uint32_t spi_in; /* 0: free */
    uint32_t spi_out;
    EspSuite suite;
    time_t since;
    EspKeys keys;     /* of a data plane that keeps none itself */
    bool installed;   /* in the data plane, or on its way there */
    ChildAdded added; /* to be told when it is there; NULL then */
    void *userdata;
    Exchange *exchange;
} Child;

struct Exchange {
    ExchangeContext *context;
    Exchange *next, *previous; /* in context->exchanges */
    Verifier *verifier;        /* until the peer is judged */
    ExchangeState state;
    unsigned n_group_changes;

    /* From the start. */
    uint64_t spi_i;
    uint8_t nonce_i[EXCHANGE_NONCE_SIZE];
    KeyOffer *offer; /* until a response to the IKE_AUTH request is authentic */

    /* From Agree. */
    uint64_t spi_r;
    OwnedBytes request; /* until the peer is judged, as AUTH covers them */
    OwnedBytes response;
    uint8_t nonce_r[IKE_NONCE_MAX];
    size_t nonce_r_size;
    /* SIGNATURE_HASH_ALGORITHMS (RFC 7427 4): what we take in a signature, and what the peer does
     */
    uint16_t own_hashes[EXCHANGE_HASHES_MAX];
    size_t n_own_hashes;
    uint16_t peer_hashes[EXCHANGE_HASHES_MAX];
    size_t n_peer_hashes;
    IkeSuite suite;
    char suite_name[SUITE_NAME_SIZE];
    IkeKeys keys;
    Protection *protection;

    /* While the device key is at work for SignAuth. */
    SigningKey *signing_key; /* NULL: it is not */
    SigningRequest *signing_request;
    AuthScheme signing_scheme;
    ExchangeSigned signed_done;
    void *signed_userdata;

    /* From SignAuth: payload bodies as they must stand in the IKE_AUTH request. */
    uint8_t id_body[IKE_ID_FIXED_SIZE + FQDN_SIZE_MAX];
    size_t id_body_size;
    uint8_t auth_method;
    uint8_t auth_data[AUTH_DATA_MAX];
    size_t auth_data_size;

    /* From Protect and Unprotect: what is known of the peer and of its Child SA is read from these
     * two and from nowhere else. */
    KeptMessage auth_request;
    KeptMessage auth_response; /* until the peer is refused, or its Child SA is added */

    /* From VerifyPeer: while the peer is being judged, views of auth_response, */
    Bytes peer_id_body; /* whole, RESERVED octets included: AUTH covers them (RFC 7296 2.15) */
    Bytes peer_auth;
    uint8_t peer_auth_method;
    /* and what it turned out to be. */
    char peer_identity[FQDN_SIZE_MAX];
    time_t peer_expires, peer_vouched;

    /* From OpenTransport. */
    bool has_transport;
    bool nat; /* between us and the peer */
    Transport transport;
    struct sockaddr_storage remote;

    Child children[EXCHANGE_CHILDREN_MAX];
    bool child_keys_used;
};

/* Moves on to the state that the table has for a `call` that succeeded. */
void exchange_step(Exchange *exchange, ExchangeCall call);

/* Takes a Child SA out of the data plane, wipes its keys, and frees its place. */
void exchange_child_deinit(Exchange *exchange, Child *child);

/* Takes back what SignAuth has begun, and tells its caller. */
void exchange_sign_cancel(Exchange *exchange);

/* Lets go of both IKE_SA_INIT messages, and of both IKE_AUTH messages. */
void exchange_forget_init(Exchange *exchange);
void exchange_forget_auth(Exchange *exchange);

/* Copies `from`, to be freed. 0 or -ENOMEM. */
int owned_bytes_copy(Bytes from, OwnedBytes *ret);

static inline Bytes kept_payloads(const KeptMessage *message)
{
    return (Bytes){message->payloads.data, message->payloads.size};
}

/* The Child SA that IKE_AUTH negotiated. */
typedef struct ChildGrant {
    uint32_t spi_out; /* the peer's */
    EspSuite suite;
    IkeTs ts_i;
    IkeTs ts_r;
    size_t n_addresses;
    InnerAddress addresses[DATAPLANE_ADDRESSES_MAX]; /* each by itself: /32 or /128 */
} ChildGrant;

/* Reads from the IKE_AUTH response what it grants of the Child SA that the request asked for under
 * `spi_in`. 0, NO_SUCH_CHILD, CHILD_NOT_GRANTED, MALFORMED, SUITE_NOT_ALLOWED,
 * SELECTORS_NOT_ALLOWED, ADDRESS_NOT_ALLOWED. */
int exchange_grant_read(const Exchange *exchange, uint32_t spi_in, ChildGrant *ret, Reason *reason);

/* Holds it against what this device allows, whatever the peer grants. 0, SELECTORS_NOT_ALLOWED,
 * ADDRESS_NOT_ALLOWED. */
int exchange_grant_judge(const Exchange *exchange, const ChildGrant *grant, Reason *reason);

static inline Bytes exchange_nonce_r(const Exchange *exchange)
{
    return (Bytes){exchange->nonce_r, exchange->nonce_r_size};
}
