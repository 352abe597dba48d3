/* The trusted environment as the IKE client sees it: calls that are answered later. What answers
 * them is tred on the bus (trebus.h), or a test. */
#pragma once

#include "base/bytes.h"
#include "ikeclient/transport.h"

enum {
    TRE_CHAIN_MAX = 16, /* certificates of ours */
    TRE_ANCHORS_MAX = 64,
    TRE_HASH_SIZE = 20, /* SHA-1 of an anchor's key */
    TRE_PATH_SIZE = 128,
    TRE_PENDING_MAX = 128, /* calls under way that we ever have */
};

typedef enum TreMethod {
    TRE_DESCRIBE, /* the Manager's properties */
    TRE_BEGIN,
    TRE_CHOOSE_GROUP,
    TRE_AGREE,
    TRE_FORK,
    TRE_SIGN_AUTH,
    TRE_PROTECT,
    TRE_UNPROTECT,
    TRE_VERIFY_PEER,
    TRE_OPEN_TRANSPORT,
    TRE_ALLOCATE_SPI,
    TRE_SET_DSCPS,
    TRE_ADD_CHILD,
    TRE_REMOVE_CHILD,
    TRE_PREPARE_CREATE_CHILD,
    TRE_USE_CHILD,
    TRE_ADD_IKE_SA,
    TRE_INHERIT_CHILDREN,
    TRE_MOVE_TRANSPORT,
    TRE_CLOSE,
    TRE_TRAFFIC, /* an exchange's property Children, in sum */
    TRE_METHODS
} TreMethod;

/* One call; views are read before tre_call() returns. */
typedef struct TreCall {
    TreMethod method;
    const char *exchange; /* object path; NULL for TRE_DESCRIBE and TRE_BEGIN */
    union {
        uint16_t group; /* TRE_CHOOSE_GROUP, TRE_PREPARE_CREATE_CHILD (0: no KE) */
        struct {
            const char *segw; /* a section of tred.conf; NULL: [segw] */
            uint16_t group;
        } begin; /* TRE_BEGIN */
        struct {
            Bytes request;
            Bytes response;
        } agree;
        struct {
            uint8_t exchange_type;
            bool response;
            uint8_t first;
            Bytes payloads;
            uint32_t max_datagram;
        } protect;
        Bytes datagram;  /* TRE_UNPROTECT */
        uint32_t spi_in; /* TRE_ADD_CHILD, TRE_REMOVE_CHILD, TRE_USE_CHILD */
        uint64_t spi;    /* TRE_ADD_IKE_SA: ours, of the new IKE SA */
        struct {
            uint32_t spi_in;
            uint64_t dscps;
        } sends; /* TRE_SET_DSCPS */
        struct {
            Bytes address;
            uint16_t port;
            bool nat;
        } remote; /* TRE_OPEN_TRANSPORT, TRE_MOVE_TRANSPORT */
    };
} TreCall;

typedef struct TreDescription {
    const char *state;
    const char *reason; /* why state is not "ready" */
    const char *identity;
    const char *segw_identity;
    const char *data_plane;
    int ocsp_wanted; /* sd-bus's booleans */
    int stronger_child;
    size_t n_certificates;
    Bytes certificates[TRE_CHAIN_MAX];
    size_t n_anchors;
    Bytes anchors[TRE_ANCHORS_MAX];
} TreDescription;

typedef enum TreOutcome {
    TRE_DONE,
    TRE_REFUSED, /* tred said no: `error` and `text` say why */
    TRE_GONE,    /* tred could not be reached, or did not answer */
} TreOutcome;

/* Views and strings live until the handler returns. */
typedef struct TreReply {
    TreMethod method;
    TreOutcome outcome;
    const char *error; /* "PeerNotTrusted"; "" for TRE_DONE */
    const char *text;  /* what was found and what to do; "" for TRE_DONE */
    union {
        TreDescription description;
        struct {
            const char *exchange;
            uint64_t spi_i;
            Bytes nonce_i;
            Bytes ke_i;
            const char *segw_identity; /* where a section was named; else NULL … */
            size_t n_anchors;          /* … and the hashes of the anchors that count for it */
            Bytes anchors[TRE_ANCHORS_MAX];
        } begun;    /* TRE_BEGIN; of TRE_FORK the exchange alone */
        Bytes ke_i; /* TRE_CHOOSE_GROUP */
        struct {
            uint64_t spi; /* ours, for a new IKE SA */
            Bytes nonce;
            Bytes ke;      /* empty where no group was asked for */
        } prepared;        /* TRE_PREPARE_CREATE_CHILD */
        const char *suite; /* TRE_AGREE */
        struct {
            uint8_t id_type;
            Bytes id_data;
            uint8_t auth_method;
            Bytes auth_data;
        } signed_;
        struct {
            uint32_t message_id;
            size_t count;
            Bytes datagrams[DATAGRAMS_MAX];
        } sealed;
        struct {
            bool complete;
            uint8_t exchange_type;
            bool response;
            uint32_t message_id;
            uint8_t first;
            Bytes payloads;
        } opened;
        const char *peer_identity; /* TRE_VERIFY_PEER */
        int socket;                /* TRE_OPEN_TRANSPORT, TRE_MOVE_TRANSPORT; the reply's own */
        uint32_t spi_in;           /* TRE_ALLOCATE_SPI */
        const char *interface;     /* TRE_ADD_CHILD; "" without a data plane */
        const char *exchange;      /* TRE_ADD_IKE_SA: the new IKE SA's */
        struct {
            size_t children;
            uint64_t packets_in, packets_out;
            uint64_t idle_in_ms, idle_out_ms; /* of the one that was busy last */
        } traffic;                            /* TRE_TRAFFIC */
    };
} TreReply;

typedef void (*TreHandler)(void *userdata, const TreReply *reply);

/* The TrE behind a table, so that a test can stand in for it. Embedded in what implements it. */
typedef struct Tre Tre;
struct Tre {
    int (*call)(Tre *tre, const TreCall *call, TreHandler handler, void *userdata);
    void (*forget)(Tre *tre, const void *userdata);
};

/* Makes a call; `handler` is called once, and never before this returns. A NULL handler: the answer
 * does not matter; of TRE_CLOSE and TRE_REMOVE_CHILD alone, as tred drops other calls that want
 * none. 0, -EINVAL, -ENOMEM, -EBUSY beyond TRE_PENDING_MAX, or another negative errno of the bus.
 */
int tre_call(Tre *tre, const TreCall *call, TreHandler handler, void *userdata);

/* Drops the handlers of all calls under way for `userdata`; tred may still carry them out. An
 * exchange that one of them makes is closed. */
void tre_forget(Tre *tre, const void *userdata);

/* What tred said of itself, kept. */
typedef struct TreIdentity {
    char *identity;
    char *segw_identity;
    bool needs_udp; /* the data plane carries ESP in UDP alone */
    size_t n_certificates;
    Bytes certificates[TRE_CHAIN_MAX]; /* into `octets` */
    bool ocsp_wanted;                  /* CERTREQ asks for OCSP responses, too */
    bool stronger_child;               /* a Child SA may have a longer key than its IKE SA */
    Bytes anchor_hashes;               /* into `octets`, one after the other */
    size_t n_anchors;
    uint8_t *octets;
} TreIdentity;

/* Copies a description. 0, -ENOMEM, or -EBADMSG for hashes that are none. */
int tre_identity_init(TreIdentity *identity, const TreDescription *description);
void tre_identity_deinit(TreIdentity *identity);
