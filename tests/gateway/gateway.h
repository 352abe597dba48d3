/* What the parts of the SeGW by hand share: its IKE SAs and Child SAs, and the way out. */
#pragma once

#include "base/bytes.h"
#include "esp/esp.h"
#include "ikewire/message.h"
#include "tred/dh.h"
#include "tred/keyschedule.h"
#include "tred/seal.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    GATEWAY_MESSAGE_MAX = 65536,
    GATEWAY_NONCE_SIZE = 32, /* unless a style says otherwise */
    GATEWAY_SAS_MAX = 8,
    GATEWAY_CHILDREN_MAX = 32,
    GATEWAY_HELD_MAX = 8,
    GATEWAY_FRAGMENTS_MAX = 16, /* of one message */
    GATEWAY_ALSO_MAX = 8,
    GATEWAY_PAYLOADS_MAX = 8,
    GATEWAY_PAYLOAD_SIZE = 4096,
};

/* An octet string of our own; NULL: there is none. */
typedef struct Octets {
    uint8_t *data;
    size_t size;
} Octets;

/* What is legal in a message and seldom seen (style.c); all false: as most gateways write. */
typedef struct Style {
    bool reversed;   /* payloads from the last one to the first one, CERT among themselves alone as
                        they were (RFC 7296 3.6) */
    bool critical;   /* the critical bit of each payload is set (3.2) */
    bool unknown;    /* before each one are others that nobody knows */
    bool reserved;   /* reserved bits and octets are not zero, nor is the minor version (2.5) */
    bool silent;     /* our answers to Deletes are empty */
    bool split;      /* a Child SA that is rekeyed has our selectors in the answer */
    bool offers;     /* our proposal is the third of 20, of which nobody knows the others */
    bool transforms; /* our proposal has a hundred more, of which nobody knows any */
    bool label;      /* our requests' TSi and TSr end with a security label (RFC 9478) */
    bool none;       /* of the key exchanges of a Child SA we choose NONE, and say so */
    bool nogroup;    /* the same without a transform that says so (3.3.2) */
    bool eager;      /* a request of ours leaves before our IKE_AUTH response */
    bool alone;      /* sealed messages in one piece are fragment 1 of 1 */
    bool uneven;     /* fragments differ in size, and one of them has no octets */
    bool twice;      /* each of our answers leaves twice */
    bool nonat;      /* IKE_SA_INIT without NAT detection, */
    bool nocertreq;  /* and without CERTREQ */
    bool psk;        /* AUTH is by shared key (RFC 7296 2.15), and there is no CERT */
    bool spelt;      /* our proposals say that an AEAD has no integrity algorithm (3.3.2) */
    bool tfc;        /* packets have TFC padding, and dummies among them (RFC 4303 2.6, 2.7) */
    size_t nonce;    /* octets of nonces; 0: GATEWAY_NONCE_SIZE */
    size_t pieces;   /* sealed messages are fragments (RFC 7383), the last one is sent first, and
                        the first one twice */
    size_t padding;  /* octets of padding in each that is sealed */
} Style;

typedef enum CreateKind {
    CREATE_NONE,
    CREATE_CHILD,
    CREATE_REKEYED_CHILD,
    CREATE_REKEYED_IKE,
} CreateKind;

/* Our side of a CREATE_CHILD_SA exchange. */
typedef struct Create {
    CreateKind kind;
    uint64_t spi; /* of what is to be made */
    uint8_t nonce[IKE_NONCE_MAX];
    size_t nonce_size;
    Dh *dh; /* NULL without a new key exchange */
} Create;

/* Where a peer was heard, and by which socket of ours. */
typedef struct Wire {
    int fd;
    size_t marker; /* octets of the non-ESP marker before IKE: 4 on port 4500, else 0 */
    struct sockaddr_in peer;
} Wire;

/* A payload of any kind, as it is sent. */
typedef struct RawPayload {
    uint8_t type;
    uint8_t body[GATEWAY_PAYLOAD_SIZE];
    size_t size;
} RawPayload;

typedef struct RawPayloads {
    RawPayload items[GATEWAY_PAYLOADS_MAX];
    size_t count;
} RawPayloads;

typedef struct GatewaySa {
    unsigned number;    /* by which the script knows it, from 1; 0: a free place */
    unsigned made_of;   /* the number of the one that it was made of; 0: of none */
    bool initiator;     /* we are its original initiator (RFC 7296 2.2) */
    bool authenticated; /* it is past IKE_AUTH, or was made by a rekeying */
    uint64_t spi_i, spi_r;
    Wire wire; /* of its last authentic message */
    IkeKeys keys;
    Seal *in, *out;
    uint32_t next_own;  /* the message ID of our next request */
    uint32_t next_peer; /* and of the peer's */
    Octets response;    /* our last one, to next_peer - 1: datagrams, each after its size (u16) */
    Octets request;     /* our last one, next_own - 1; */
    Octets asked;       /* its payloads as they are sealed, … */
    uint8_t asked_first, asked_type; /* … their first one's type, and the exchange's */
    bool asking;                     /* it is unanswered */
    bool leaving;                    /* it is the Delete of this IKE SA */
    Create own;
} GatewaySa;

typedef struct GatewayChild {
    unsigned owner; /* the number of its IKE SA */
    uint32_t spi_in, spi_out;
    bool delete_sent;
    Esp *in, *out;
    uint64_t sequence;
} GatewayChild;

/* What somebody else answers: IKE_SA_INIT and IKE_AUTH. Returns 0 with a response in `writer` or
 * `chain`, or a negative errno: then there is nothing to send. */
typedef struct GatewayHandshake {
    int (*init)(void *userdata, const IkeMessage *request, Writer *writer);
    int (*auth)(void *userdata, GatewaySa *sa, const IkePayloads *request, IkeChain *chain);
    void *userdata;
} GatewayHandshake;

typedef struct Gateway {
    GatewayHandshake handshake;
    Wire wire; /* of the message that came last */

    GatewaySa sas[GATEWAY_SAS_MAX];
    unsigned last_number;
    GatewayChild children[GATEWAY_CHILDREN_MAX];
    size_t n_children;
    uint32_t last_spi;
    IkeTs ts_henb, ts_segw; /* of the Child SAs, as IKE_AUTH had them */

    /* What the script has said. */
    int nonce_octet; /* that nonces are made of; -1: they are random */
    bool holds;      /* requests wait for their answer */
    Octets held[GATEWAY_HELD_MAX];
    size_t n_held;
    bool keeps; /* our request is made and not sent */
    uint16_t refusal;
    uint8_t refusal_data[8];
    size_t refusal_size;
    uint16_t also[GATEWAY_ALSO_MAX]; /* notifies of all our messages about Child SAs */
    size_t n_also;
    uint16_t objection; /* the notify that the next INFORMATIONAL request is answered with; or 0 */
    RawPayloads extras; /* of the answer to the next request but IKE_SA_INIT and IKE_AUTH */
    Style style;
    uint16_t key_length; /* of the cipher of IKE SAs that a rekeying makes, in bits */

    uint8_t plain[GATEWAY_MESSAGE_MAX];  /* payloads, opened */
    uint8_t inner[GATEWAY_MESSAGE_MAX];  /* payloads, to be sealed */
    uint8_t styled[GATEWAY_MESSAGE_MAX]; /* the same, as their style has them */
    uint8_t sealed[GATEWAY_MESSAGE_MAX]; /* the message */
} Gateway;

void octets_free(Octets *octets);
/* A copy takes the place of what was there. */
void octets_set(Octets *octets, Bytes bytes);

/* ---- gateway.c: IKE SAs, message IDs, and who answers what ---- */

/* Takes an IKE message (without non-ESP marker). What is not to be understood is passed over. */
void gateway_receive(Gateway *gateway, const Wire *wire, Bytes datagram);

/* (main.c) `ike`: behind a non-ESP marker, where there is to be one. */
void wire_send(const Wire *wire, Bytes message, bool ike);

/* (main.c) All messages leave by that port from now on; those that come to it are taken, too. False
 * if it can't be had. */
bool wire_leave_by(uint16_t port);

/* A new IKE SA with these keys, which it takes over; the oldest one makes room for it. Its cipher's
 * key has `key_length` bits, its first messages number `next_peer` from the peer and 0 from us.
 * NULL if its keys can't be used. */
GatewaySa *gateway_add_sa(Gateway *gateway, bool initiator, uint64_t spi_i, uint64_t spi_r,
                          uint16_t key_length, IkeKeys *keys, uint32_t next_peer);
GatewaySa *gateway_find_sa(Gateway *gateway, unsigned number);
void gateway_drop_sa(GatewaySa *sa);

/* Seals what `chain` has in gateway->inner as our next request, and sends it. */
void gateway_request(Gateway *gateway, GatewaySa *sa, uint8_t exchange_type, const IkeChain *chain);

/* Sends our last request, or response, of that IKE SA (again). */
void gateway_send(const GatewaySa *sa, const Octets *octets);

/* Seals our last request again, in that many fragments, and sends the last ones, `count` of them.
 */
void gateway_cut(Gateway *gateway, GatewaySa *sa, size_t pieces, size_t count);

/* Answers the requests that were held, and those to come. */
void gateway_release(Gateway *gateway);

void gateway_free(Gateway *gateway);

/* ---- say.c: a line on standard output for each message ---- */

/* "WHAT SA ID TYPE ...": the number of the IKE SA, the message ID, the exchange type and, unless
 * `payloads` is NULL, the SA's SPI as spi=HEX, the KE's group as ke=GROUP, the nonce as nonce=HEX,
 * each Notify as notify=TYPE with of=SPI and data=HEX where it has them, Deletes as delete-ike or
 * "delete-child SPI...". WHAT is
 *   request     the peer asks
 *   again       it does so again
 *   beyond      it asks before its last request was answered (RFC 7296 2.3)
 *   answered    it is answered
 *   response    it answers */
void say_message(const char *what, const GatewaySa *sa, uint32_t id, uint8_t exchange_type,
                 const IkePayloads *payloads);

/* "NOTIFY TYPE" of each. */
void say_notifies(const IkePayloads *request);

/* " NAME=HEX" */
void say_hex(const char *name, Bytes octets);

/* "init ...", of an IKE_SA_INIT request, with what say_message() has of its payloads. */
void say_init(const IkePayloads *request);

/* ---- create.c: CREATE_CHILD_SA ---- */

/* Ours: `groups` (n of them, the KE in the first; none: no KE) are what it offers; `rekeyed` is our
 * SPI of the Child SA that it is about. */
void create_ask(Gateway *gateway, GatewaySa *sa, CreateKind kind, uint32_t rekeyed,
                const uint16_t *groups, size_t n_groups);
void create_take(Gateway *gateway, GatewaySa *sa, const IkePayloads *response);

/* The first of those that are offered which has all transforms of `wanted`, or NULL. */
const IkeProposal *create_find(const IkeSaPayload *offered, const IkeProposal *wanted);

/* The peer's. Returns 0 or a negative errno: then there is no answer. */
int create_answer(Gateway *gateway, GatewaySa *sa, const IkePayloads *request, IkeChain *chain);

/* ---- child.c: Child SAs, their packets, and their Delete ---- */

/* `group` is of a new key exchange, whose secret `dh_secret` is (NULL without); `initiator`: we
 * began the exchange that negotiated it. */
void child_add(Gateway *gateway, const GatewaySa *sa, bool initiator, const Secret *dh_secret,
               Bytes nonce_i, Bytes nonce_r, uint32_t spi_in, uint32_t spi_out);
/* One Delete payload for all of them, or for `each`; we need not know them all. */
void child_ask_delete(Gateway *gateway, GatewaySa *sa, const uint32_t *spis, size_t n_spis,
                      bool each);
/* All that we have asked to delete is deleted. */
void child_deleted(Gateway *gateway);
/* Those of one IKE SA go to another one, or, where that is 0, are gone. */
void child_inherit(Gateway *gateway, unsigned from, unsigned to);
void child_forget(Gateway *gateway, uint32_t spi_in);

/* Takes a Delete payload of the peer's request; ours of the answer goes into `chain` (RFC 7296
 * 1.4.1). */
void child_answer_delete(Gateway *gateway, const IkeDelete *delete_, IkeChain *chain);

/* ICMP echo requests to the HeNB's inner address by that Child SA. */
void child_ping(Gateway *gateway, uint32_t spi_in, const uint8_t address[4], unsigned count);
void child_receive(Gateway *gateway, Bytes packet);

/* ---- padded.c ---- */

/* As seal_message(), with that many octets of padding (255 at most); `key` is SK_e and its salt. */
int seal_padded(const Secret *key, const IkeHeader *header, uint8_t first,
                const IkeFragment *fragment, Bytes plain, size_t padding, Writer *writer);

/* ---- style.c ---- */

/* Takes a word of a style: "reversed", "nonce=16". False if there is no such word. */
bool style_read(Style *style, const char *word);

/* Writes those payloads into `chain` (empty), as the style has them. */
void style_write(const Style *style, uint8_t first, Bytes payloads, IkeChain *chain);

/* The same with a message that is not sealed, which takes its own place. */
void style_message(Gateway *gateway, Writer *message);

/* What its reserved bits add to a header's flags. */
uint8_t style_flags(const Style *style);

/* Writes the transforms of a proposal of ours as the style has them. */
void style_proposal(const Style *style, IkeProposal *proposal);

/* The octets of a nonce of ours. */
size_t style_nonce_size(const Style *style);

/* ---- script.c ---- */

/* "10.200.0.1-10.200.0.6" is one selector more. False if it is none. */
bool range_read(const char *text, IkeTs *ts);

/* "43=0102" is a payload of type 43 with those octets. False if there is no room for it. */
bool payload_read(const char *text, RawPayloads *ret);
void payloads_add(const RawPayloads *payloads, IkeChain *chain);

/* Carries one line of a script out; see there. */
void script_run(Gateway *gateway, char *line, const uint8_t address[4]);
