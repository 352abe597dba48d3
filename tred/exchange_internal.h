/* What an exchange holds; shared by exchange*.c and by nobody else. */
#pragma once

#include "base/fqdn.h"
#include "base/reason.h"
#include "dataplane/transport.h"
#include "tred/auth.h"
#include "tred/dh.h"
#include "tred/exchange.h"
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

/* The IKE_AUTH response by which a peer was judged, to judge it again by (exchange_evidence.c).
 * Exchanges that come of one another share it. */
typedef struct Evidence {
    unsigned n_references;
    KeptMessage response;
} Evidence;

/* What exchange_prepare_create() made for one message. */
typedef struct Prepared {
    uint64_t spi;
    uint8_t nonce[EXCHANGE_NONCE_SIZE];
    Dh *dh; /* NULL: without a new key exchange */
} Prepared;

/* What one pair of messages negotiates. What is in them of ours was found to be so before they were
 * sealed; the peer's part is read when it is used. */
typedef struct Negotiation {
    bool peers;       /* the request is the peer's, and the response ours */
    uint8_t protocol; /* of a CREATE_CHILD_SA message of ours: IKE or ESP, */
    uint64_t spi;     /* our SPI in it, */
    Prepared own;     /* and what else of ours is in it; in IKE_AUTH there is nothing of it */
    KeptMessage request, response;
    Secret *dh_secret; /* g^ir, once it was computed */
} Negotiation;

/* A place for one Child SA: an SPI given out, and its keys once there is an SA. */
struct Child {
    uint32_t spi_in; /* 0: free */
    Child *next;     /* in its bucket of context->children */
    uint32_t spi_out;
    EspSuite suite;
    uint64_t dscps; /* that it is to send; 0: what no other one is named for */
    time_t since;
    EspKeys keys;     /* of a data plane that keeps none itself */
    bool installed;   /* in the data plane, or on its way there */
    bool used;        /* there was an SA under this SPI, or a data plane that would not have it */
    ChildAdded added; /* to be told when it is there; NULL then */
    void *userdata;
    ChildUsed using; /* to be told when it sends; NULL: nobody waits for that */
    void *using_userdata;
    Exchange *exchange;
};

struct Exchange {
    ExchangeContext *context;
    const Segw *segw;          /* whom it is with */
    Exchange *next, *previous; /* in context->exchanges */
    Verifier *verifier;        /* until the peer is judged */
    ExchangeState state;
    unsigned n_group_changes;

    Exchange *made_from; /* by AddIkeSa: what it may still inherit from; NULL: nothing */

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

    /* From Protect and Unprotect: what is known of the peer and of its SAs is read from these and
     * from nowhere else. */
    Negotiation auth; /* until the peer is refused, or the Child SA is added */
    /* CREATE_CHILD_SA (RFC 7296 1.3): the last one that we, and that the peer began, until what it
     * is about is added, or nothing comes of it */
    Negotiation own_create, peer_create;
    size_t n_prepared;
    Prepared prepared[EXCHANGE_PREPARED_MAX]; /* the oldest first */

    /* From VerifyPeer: while the peer is being judged, views of auth.response, */
    Bytes peer_id_body; /* whole, RESERVED octets included: AUTH covers them (RFC 7296 2.15) */
    Bytes peer_auth;
    uint8_t peer_auth_method;
    /* and what it turned out to be. */
    char peer_identity[FQDN_SIZE_MAX];
    time_t peer_expires, peer_vouched;
    VerifyPath peer_path; /* that its SAs rest on */
    bool peer_rsa_pkcs1;  /* its AUTH is by RSA with PKCS#1 v1.5 padding */
    Evidence *evidence;   /* by which it was judged; NULL before */
    bool mobike;          /* the IKE_AUTH response had MOBIKE_SUPPORTED (RFC 4555 3.3) */

    /* From OpenTransport. */
    Transport *transport; /* NULL: there is none; the data plane knows it by its place */
    bool nat;             /* between us and the peer */
    struct sockaddr_storage remote;
    /* While its Child SAs move to it: */
    Transport *transport_before;
    TransportMoved moved; /* NULL: they don't */
    void *moved_userdata;

    Child children[EXCHANGE_CHILDREN_MAX];
    size_t n_addresses; /* that IKE_AUTH assigned: all Child SAs have them */
    InnerAddress addresses[DATAPLANE_ADDRESSES_MAX];
};

/* Takes an exchange that has all it begins with into the context's list. */
void exchange_enlist(Exchange *exchange, ExchangeContext *context, const Segw *segw,
                     ExchangeState state);

/* A key pair in `group`, the one that was made ahead if it fits. 0, GROUP_NOT_SUPPORTED, -ENOMEM,
 * -EIO. */
int exchange_dh_take(ExchangeContext *context, uint16_t group, Dh **ret, Reason *reason);

/* Makes an SPI of an IKE SA, and a nonce. 0 or -EIO. */
int exchange_ids_new(uint64_t *ret_spi, uint8_t *ret_nonce);

/* Moves on to the state that the table has for a `call` that succeeded. */
void exchange_step(Exchange *exchange, ExchangeCall call);

/* The place of an SPI that was given out, or (0) a free one; NULL: there is none. */
Child *exchange_child_find(Exchange *exchange, uint32_t spi_in);

/* Closes it and lets it go; NULL is fine. */
void exchange_transport_free(Transport *transport);

/* Whether its ESP goes in UDP. */
bool exchange_is_udp_encapsulated(const Exchange *exchange);

/* Gives it to another exchange of the same context, which has a free place for it. */
void exchange_child_move(Child *child, Exchange *to);

/* Takes a Child SA out of the data plane, wipes its keys, and frees its place. */
void exchange_child_deinit(Exchange *exchange, Child *child);

/* Takes back what SignAuth has begun, and tells its caller. */
void exchange_sign_cancel(Exchange *exchange);

/* Lets go of both IKE_SA_INIT messages, and of both IKE_AUTH messages. */
void exchange_forget_init(Exchange *exchange);
void exchange_forget_auth(Exchange *exchange);

/* A copy of what the peer was judged by, and another reference; NULL is fine. 0 or -ENOMEM. */
int evidence_new(const KeptMessage *response, Evidence **ret);
Evidence *evidence_ref(Evidence *evidence);
void evidence_unref(Evidence *evidence);

/* The question to the verifier, without what the peer shows; and that: its certificates and OCSP
 * responses, and IDr, whose body *ret_id_body is. 0, PEER_CERTIFICATE_UNFIT,
 * PEER_IDENTITY_MISMATCH. */
void verify_request_init(const Exchange *exchange, time_t now, VerifyRequest *ret);
int evidence_read(const IkePayloads *payloads, VerifyRequest *ret, Bytes *ret_id_body,
                  Reason *reason);

/* Copies `from`, to be freed. 0 or -ENOMEM. */
int owned_bytes_copy(Bytes from, OwnedBytes *ret);

/* Keeps a chain of payloads in the place of what was kept. 0 or -ENOMEM. */
int exchange_keep(KeptMessage *kept, uint8_t first, Bytes payloads);

/* Wipes what it holds. */
void negotiation_forget(Negotiation *negotiation);
void prepared_forget(Prepared *prepared);

/* "CREATE_CHILD_SA response": which message this is, for a person. */
const char *exchange_message_name(const Exchange *exchange, const Negotiation *negotiation,
                                  bool response);

static inline Bytes kept_payloads(const KeptMessage *message)
{
    return (Bytes){message->payloads.data, message->payloads.size};
}

/* A Child SA that was negotiated. */
typedef struct ChildGrant {
    uint32_t spi_out; /* the peer's */
    EspSuite suite;
    IkeTs ts_local;
    IkeTs ts_remote;
    bool standby; /* the peer replaces another one of ours by it (RFC 7296 2.8) */
    size_t n_addresses;
    InnerAddress addresses[DATAPLANE_ADDRESSES_MAX]; /* each by itself: /32 or /128 */
} ChildGrant;

/* Reads from the response what it grants of the Child SA that the request asked for; our SPI in it
 * is `spi_in`. 0, NO_SUCH_CHILD, CHILD_NOT_GRANTED, MALFORMED, SUITE_NOT_ALLOWED,
 * SELECTORS_NOT_ALLOWED, ADDRESS_NOT_ALLOWED. */
int exchange_grant_read(const Exchange *exchange, const Negotiation *negotiation, uint32_t spi_in,
                        ChildGrant *ret, Reason *reason);

/* Holds it against what this device allows, whatever the peer grants. 0, SELECTORS_NOT_ALLOWED,
 * ADDRESS_NOT_ALLOWED. */
int exchange_grant_judge(const Exchange *exchange, const ChildGrant *grant, Reason *reason);

/* Beside SK_d, what the keys of a negotiation are made of, with g^ir in the negotiation. */
typedef struct Nonces {
    Bytes i, r; /* views of the messages */
} Nonces;

/* Reads both nonces and, with a group, computes g^ir, unless that was done before. The peer's nonce
 * has at least half of the octets of the largest prf, `prf_size` (RFC 7296 2.10). 0, MALFORMED,
 * BAD_KEY_EXCHANGE, -ENOMEM, -EIO. */
int exchange_create_agree(const Exchange *exchange, Negotiation *negotiation, uint16_t group,
                          size_t prf_size, Nonces *ret, Reason *reason);

/* What a negotiation of an IKE SA has come to. */
typedef struct IkeTerms {
    IkeSuite suite;
    uint64_t spi_i, spi_r;
} IkeTerms;

/* Reads them, with what exchange_create_agree() reads. 0, MALFORMED, SUITE_NOT_ALLOWED,
 * BAD_KEY_EXCHANGE, -ENOMEM, -EIO. */
int exchange_ike_terms_read(const Exchange *exchange, Negotiation *negotiation, IkeTerms *ret,
                            Nonces *ret_nonces, Reason *reason);

/* Why a choice of an IKE suite is refused; `error` is ike_suite_select()'s. SUITE_NOT_ALLOWED. */
int exchange_suite_refuse(int error, Reason *reason);

/* Before a CREATE_CHILD_SA message is sealed: what will be kept of it, into *ret, which is
 * exchange_create_settle()'s. 0, UNEXPECTED, MALFORMED, NO_SUCH_CHILD, SUITE_NOT_ALLOWED, -ENOMEM;
 * for a response also what is said of the pair. */
int exchange_create_draft(Exchange *exchange, const PlainMessage *message,
                          const IkePayloads *payloads, Negotiation *ret, Reason *reason);

/* After it: if it was sealed, the draft takes the place of what was kept; else nothing has changed,
 * but what was prepared is gone if g^ir was made of it. */
void exchange_create_settle(Exchange *exchange, const PlainMessage *message, Negotiation *draft,
                            bool sealed);

/* Keeps a CREATE_CHILD_SA message that was opened. 0 or -ENOMEM. */
int exchange_create_opened(Exchange *exchange, const OpenedMessage *opened);

static inline Bytes exchange_nonce_r(const Exchange *exchange)
{
    return (Bytes){exchange->nonce_r, exchange->nonce_r_size};
}
