/* Suites: algorithms of the one table (ikewire/algorithm.h) that an SA uses together. */
#pragma once

#include "ikewire/payload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct IkeSuite {
    const Cipher *cipher;
    const Integ *integ; /* NULL with AEAD */
    const Prf *prf;
    uint16_t group;
} IkeSuite;

typedef struct EspSuite {
    const Cipher *cipher;
    const Integ *integ; /* NULL with AEAD */
    uint16_t group;     /* IKE_GROUP_NONE without a new KE */
    bool esn;
} EspSuite;

/* What suite selection can find wrong; positive, for the caller to handle. */
enum {
    SUITE_E_NOT_OFFERED = 1, /* the answer is not one of the offers (RFC 7296 2.7) */
    SUITE_E_NOT_ALLOWED,     /* the profile does not have it */
    SUITE_E_AMBIGUOUS, /* not exactly one transform of each type, or not exactly one proposal */
};

/* Reads the one proposal in `chosen`, checks that `offered` has it and that the profile allows it.
 * Returns 0 or SUITE_E_…. */
int ike_suite_select(const IkeSaPayload *offered, const IkeSaPayload *chosen, IkeSuite *ret);
int esp_suite_select(const IkeSaPayload *offered, const IkeSaPayload *chosen, EspSuite *ret);

/* The offer that an answer chose of, all of whose transforms are in it (RFC 7296 3.3.1: by its
 * number); NULL: there is none. */
const IkeProposal *suite_offer_find(const IkeSaPayload *offered, const IkeProposal *chosen);

/* An ESP suite from transform numbers; integ and group 0 for none. 0 or SUITE_E_NOT_ALLOWED. */
int esp_suite_from_ids(uint16_t encr, uint16_t key_bits, uint16_t integ, uint16_t group, bool esn,
                       EspSuite *ret);

enum { SUITE_NAME_SIZE = 128 };

/* "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256" into `text` (SUITE_NAME_SIZE octets); of an ESP suite
 * "AES_CBC_128/HMAC_SHA2_256_128/NO_ESN", with the group before the last if it has one. */
void ike_suite_name(const IkeSuite *suite, char *text);
void esp_suite_name(const EspSuite *suite, char *text);

/* Octets of keying material that a suite takes from prf+: all SK_* of an IKE SA (RFC 7296 2.14),
 * both directions of a Child SA (2.17). */
size_t ike_suite_keymat_size(const IkeSuite *suite);
size_t esp_suite_keymat_size(const EspSuite *suite);

/* How large an ESP packet is around an inner packet, and the reverse (RFC 4303 2). */
enum {
    ESP_HEADER_SIZE = 8,  /* SPI and the low half of the sequence number */
    ESP_TRAILER_SIZE = 2, /* Pad Length and Next Header */
};

/* To a multiple of this the inner packet and its trailer are padded. */
size_t esp_alignment(const Cipher *cipher);

size_t esp_icv_size(const EspSuite *suite);

/* The trailer's padding included: what is encrypted of an inner packet of `inner_size` octets. */
size_t esp_body_size(const EspSuite *suite, size_t inner_size);

/* The whole ESP packet's size for an inner packet of `inner_size` octets. */
size_t esp_packet_size(const EspSuite *suite, size_t inner_size);

/* The largest inner packet whose ESP packet fits into `room` octets; 0 if none does. */
size_t esp_inner_max(const EspSuite *suite, size_t room);
