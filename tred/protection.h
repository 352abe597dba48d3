/* Message protection for one IKE SA: message-ID windows of 1 (RFC 7296 2.2, 2.3), IKE fragmentation
 * both ways (RFC 7383), replays refused. */
#pragma once

#include "base/bytes.h"
#include "tred/seal.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Protection Protection;

/* Positive: for the caller to handle. */
enum {
    PROTECTION_E_FRAGMENT = 1, /* taken in; more fragments are needed */
    PROTECTION_E_MALFORMED,    /* not a sealed message; what is sealed in it is not looked at */
    PROTECTION_E_FOREIGN,      /* other SPIs, flags of another direction, another exchange's type */
    PROTECTION_E_NOT_AUTHENTIC, /* ICV or padding wrong */
    PROTECTION_E_REPLAY,        /* message ID or fragment seen before, or not yet due */
    PROTECTION_E_BUSY,          /* our last request has not been answered yet */
    PROTECTION_E_NO_REQUEST,    /* no request of the peer's, of this type, to respond to */
    PROTECTION_E_TOO_LARGE,     /* beyond IKE_MESSAGE_MAX or the number of fragments we accept */
};

typedef struct ProtectionTerms {
    uint64_t spi_i, spi_r;
    bool initiator;         /* we are the IKE SA's original initiator (RFC 7296 2.2) */
    uint32_t first_request; /* the message ID of our first one; the peer's has 0 */
    bool fragmentation;     /* both sides sent IKEV2_FRAGMENTATION_SUPPORTED */
} ProtectionTerms;

/* Keys are borrowed. Returns 0, -ENOMEM or -EIO. */
int protection_new(const IkeSuite *suite, const IkeKeys *keys, const ProtectionTerms *terms,
                   Protection **ret);

/* True if fragmentation was agreed on. */
bool protection_fragments(const Protection *protection);
void protection_free(Protection *protection);
DEFINE_POINTER_CLEANUP(Protection, protection_free);

enum { PROTECTION_DATAGRAMS_MAX = 128 };

typedef struct SealedMessage { /* datagrams without non-ESP marker; owned */
    uint32_t message_id;
    size_t count;
    struct {
        uint8_t *data;
        size_t size;
    } datagrams[PROTECTION_DATAGRAMS_MAX];
} SealedMessage;

void sealed_message_deinit(SealedMessage *message);

/* Seals a request (the next message ID, taken only on success) or the response to the peer's
 * request that is outstanding. `first` and `plain` are the payload chain, already found
 * well-formed. A message above `max_datagram` octets is cut into fragments if fragmentation was
 * agreed, else sent whole. Returns 0, PROTECTION_E_BUSY, _NO_REQUEST or _TOO_LARGE, -ENOMEM,
 * -EIO, or -EOVERFLOW when the SA has used up its message IDs or IVs. */
int protection_seal(Protection *protection, uint8_t exchange_type, bool response, uint8_t first,
                    Bytes plain, size_t max_datagram, SealedMessage *ret);

typedef struct OpenedMessage { /* plain is owned */
    uint8_t exchange_type;
    bool response;
    uint32_t message_id;
    uint8_t first;
    uint8_t *plain;
    size_t plain_size;
} OpenedMessage;

void opened_message_deinit(OpenedMessage *message);

/* Opens a datagram. Nothing changes (windows, reassembly) before its ICV is right. What was sealed
 * comes as it is: the caller decodes it, and can answer a request that does not parse (RFC 7296
 * 2.21.2).
 * Returns 0 with *ret filled, PROTECTION_E_FRAGMENT, another PROTECTION_E_…, -ENOMEM or -EIO.
 * After a request of the peer's, exactly one response is to be sealed. */
int protection_open(Protection *protection, Bytes datagram, OpenedMessage *ret);

/* What was just opened could not be kept: it is as if it had not come, and is opened when it comes
 * again, in fragments all of them. */
void protection_put_back(Protection *protection, const OpenedMessage *opened);

/* The fragments of one message until it is whole (RFC 7383 2.6). A fragment is opened before it
 * gets here: what is stored is authentic. */
enum { REASSEMBLY_FRAGMENTS_MAX = 128 };

/* Embedded; all zero is empty. */
typedef struct Reassembly {
    uint16_t total; /* 0: no fragment yet */
    uint16_t received;
    uint8_t first; /* from fragment 1: the type of the chain's first payload */
    size_t size;   /* of the pieces together */
    struct {
        bool present;
        uint8_t *data;
        size_t size;
    } pieces[REASSEMBLY_FRAGMENTS_MAX];
} Reassembly;

void reassembly_deinit(Reassembly *reassembly);

/* Positive: for the caller to handle. */
enum {
    REASSEMBLY_E_MORE = 1,  /* fine, but fragments are missing still */
    REASSEMBLY_E_UNWANTED,  /* there already, or cut into fewer pieces than those that are there
                             */
    REASSEMBLY_E_TOO_LARGE, /* more fragments than REASSEMBLY_FRAGMENTS_MAX, or above
                               IKE_MESSAGE_MAX octets */
};

/* Whether a fragment is worth opening: 0, or REASSEMBLY_E_UNWANTED or _TOO_LARGE. Changes nothing.
 */
int reassembly_check(const Reassembly *reassembly, uint16_t number, uint16_t total);

/* Stores a copy of a fragment that reassembly_check() found good. A larger total than before starts
 * over: the peer has found a smaller path. Returns 0 if the message is whole now,
 * REASSEMBLY_E_MORE, REASSEMBLY_E_TOO_LARGE (and what was there is dropped), or -ENOMEM. */
int reassembly_add(Reassembly *reassembly, uint16_t number, uint16_t total, uint8_t first,
                   Bytes plain);

/* The whole chain, once reassembly_add() returned 0. *ret is the caller's to free(). 0 or -ENOMEM.
 */
int reassembly_join(const Reassembly *reassembly, uint8_t **ret, size_t *ret_size);
