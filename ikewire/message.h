/* The payload types that this project knows. Internal to ikewire. */
#pragma once

#include "base/bytes.h"
#include "ikewire/payload.h"
#include "ikewire/registry.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct IkePayloadKind {
    uint8_t type;
    const char *name;
    bool may_repeat; /* in one chain */
    uint16_t most;   /* that are kept of one chain; the others are checked and skipped */
    int (*validate)(Bytes body); /* 0 or an IkeFaultCode; NULL: any octets will do */
} IkePayloadKind;

/* NULL for a type that we do not know. */
const IkePayloadKind *ike_payload_kind(uint8_t type);

enum {
    IKE_HEADER_SIZE = 28,
    IKE_PAYLOAD_HEADER_SIZE = 4,
    IKE_MESSAGE_MAX = 65535, /* octets that we accept or make, fragments put together */
};

typedef struct IkeHeader {
    uint64_t spi_i;
    uint64_t spi_r;
    uint8_t next_payload;
    uint8_t minor_version; /* read: ignored (2.5); written: 0 */
    uint8_t exchange_type;
    uint8_t flags;
    uint32_t message_id;
    uint32_t length; /* of the whole message; written by ike_message_end(), as is next_payload */
} IkeHeader;

typedef struct IkePayload {
    uint8_t type;
    bool critical;
    uint16_t sort; /* of a Notify: those of one sort are bounded together */
    Bytes body;
} IkePayload;

/* A chain whose payloads have all been found well-formed. */
typedef struct IkePayloads {
    size_t count;
    IkePayload items[IKE_PAYLOADS_MAX];
    size_t n_skipped; /* that were well-formed, too, but are not kept */
    uint8_t inner; /* the type of the first payload sealed in SK or SKF, which are last; else 0 */
} IkePayloads;

typedef struct IkeMessage {
    IkeHeader header;
    IkePayloads payloads;
} IkeMessage;

/* Reads the header alone, to route a datagram: checks the version and that Length equals the
 * datagram's size. Returns 0 or an IkeFaultCode. */
int ike_header_decode(Bytes datagram, IkeHeader *ret);

/* Reads a whole message (without the non-ESP marker) and checks every payload in it; unknown
 * payloads without the critical bit are passed over but kept in the list, as are CERT and CERTREQ
 * payloads that do not decode (RFC 4945 3.2.8.2, 3.3.10.2). Views borrow from
 * `datagram`. Returns 0 or an IkeFaultCode, with *fault (may be NULL) saying where. */
int ike_message_decode(Bytes datagram, IkeMessage *ret, IkeFault *fault);

/* The same for a chain that was sealed: `first` is its first payload's type. SK and SKF are
 * refused. */
int ike_payloads_decode(uint8_t first, Bytes chain, IkePayloads *ret, IkeFault *fault);

/* The first payload of `type`, or NULL. */
const IkePayload *ike_payloads_find(const IkePayloads *payloads, uint8_t type);

/* The next payload of `type` after `*position`, which starts at 0 and is moved on; NULL at the end.
 */
const IkePayload *ike_payloads_next(const IkePayloads *payloads, uint8_t type, size_t *position);

/* The first Notify of `type`. True and *ret filled if there is one. */
bool ike_payloads_notify(const IkePayloads *payloads, uint16_t type, IkeNotify *ret);

/* The first error Notify (type below 16384). True and *ret filled if there is one. */
bool ike_payloads_error(const IkePayloads *payloads, IkeNotify *ret);

/* Building a chain: ike_chain_init(), then for each payload ike_chain_open(), its body through
 * `writer`, ike_chain_close(). Generic headers, lengths and next-payload links are filled in. */
typedef struct IkeChain {
    Writer *writer;
    uint8_t first;      /* type of the first payload: what the header, or SK, must carry as next */
    size_t next_offset; /* where the next payload's type is to be patched in */
    size_t start;       /* of the payload that is open */
    size_t header;      /* where the message starts; ike_message_begin() only */
    bool any;
} IkeChain;

void ike_chain_init(IkeChain *chain, Writer *writer);
void ike_chain_open(IkeChain *chain, uint8_t type, bool critical);
void ike_chain_close(IkeChain *chain);

/* One call for one whole payload. */
void ike_chain_add(IkeChain *chain, uint8_t type, Bytes body);
void ike_chain_add_sa(IkeChain *chain, const IkeSaPayload *sa);
void ike_chain_add_ke(IkeChain *chain, uint16_t group, Bytes data);
void ike_chain_add_id(IkeChain *chain, uint8_t payload_type, const IkeId *id);
void ike_chain_add_cert(IkeChain *chain, uint8_t payload_type, uint8_t encoding, Bytes data);
void ike_chain_add_auth(IkeChain *chain, uint8_t method, Bytes data);
void ike_chain_add_notify(IkeChain *chain, uint16_t type, Bytes data);
void ike_chain_add_delete(IkeChain *chain, const IkeDelete *delete_);
void ike_chain_add_ts(IkeChain *chain, uint8_t payload_type, const IkeTs *ts);
void ike_chain_add_cp(IkeChain *chain, const IkeCp *cp);

/* A clear message: ike_message_begin() writes the header and starts the chain, ike_message_end()
 * fills in Next Payload and Length. */
void ike_message_begin(Writer *writer, const IkeHeader *header, IkeChain *chain);
void ike_message_end(IkeChain *chain);
