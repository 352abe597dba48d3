/* One IKE SA with both of its ends: our protection, and a SeGW made from seal.h alone. */
#pragma once

#include "octets_fixture.h"

#include "tred/protection.h"

enum { DATAGRAM_MAX = 65535, LARGE = 5000, SAFE_DATAGRAM = 576 - 20 - 8 };
enum { SA_SPI_I = 0x01020304, SA_SPI_R = 0x11121314 };

typedef struct Sa {
    IkeKeys keys;
    Protection *ours;
    Seal *peer_out, *peer_in;
    uint8_t notify[8];    /* a Notify of INITIAL_CONTACT */
    uint8_t large[LARGE]; /* a Vendor ID */
    uint8_t datagram[DATAGRAM_MAX];
} Sa;

Sa *sa_new(uint16_t encr, uint16_t key_bits, bool fragmentation);
Sa *sa_new_gcm(void); /* AES_GCM_16_128, with fragmentation */
void sa_free(Sa *sa);
DEFINE_POINTER_CLEANUP(Sa, sa_free);

/* What the SeGW says; the SPIs are filled in. */
typedef struct PeerMessage {
    uint8_t exchange_type;
    uint8_t flags;
    uint32_t message_id;
    uint16_t number, total; /* 0: not a fragment */
    uint8_t first;
    Bytes plain;
} PeerMessage;

/* Its IKE_AUTH response, and its INFORMATIONAL request, both with the Notify. */
PeerMessage sa_auth_response(const Sa *sa);
PeerMessage sa_peer_request(const Sa *sa, uint32_t message_id);

/* The same with piece `number` of `total` equal pieces of the large payload. */
PeerMessage sa_large_piece(const Sa *sa, PeerMessage message, uint16_t number, uint16_t total);

/* The datagram, which is good until the next one. */
Bytes sa_peer_seal(Sa *sa, const PeerMessage *message);

/* Opens what the SeGW says. Returns protection_open()'s result; on success all that it yields is
 * what was said, and the payloads are `expected`. */
int sa_peer_says(Sa *sa, const PeerMessage *message, Bytes expected);
int sa_peer_says_notify(Sa *sa, const PeerMessage *message);

/* Opens it after the lowest bit of the octet at `offset` has changed. */
int sa_open_altered(Sa *sa, const PeerMessage *message, size_t offset);

/* We send the Notify. */
int sa_seal_notify(Sa *sa, uint8_t exchange_type, bool response, SealedMessage *ret);
void sa_request(Sa *sa, uint8_t exchange_type, uint32_t expected_id);
void sa_respond(Sa *sa, uint32_t expected_id);

/* What the SeGW reads in our datagram `index`: its payloads' size. */
size_t sa_peer_opens(Sa *sa, const SealedMessage *sealed, size_t index, IkeMessage *message,
                     uint8_t *plain);
