/* Child SAs (RFC 7296 1.2, 2.9, 2.19): what we ask for, and what the SeGW grants. */
#pragma once

#include "ikeclient/config.h"
#include "ikeclient/endpoint.h"
#include "ikeclient/proposals.h"
#include "ikewire/message.h"

enum {
    CHILD_ADDRESSES_OF_FAMILY = 2, /* kept, as tred does */
    CHILD_ADDRESSES_MAX = 2 * CHILD_ADDRESSES_OF_FAMILY,
    CHILD_DNS_MAX = 8, /* kept, of both families together */
    CHILD_ADDRESS_TEXT_SIZE = 64,
    CHILD_ADDRESSES_TEXT_SIZE = CHILD_DNS_MAX * CHILD_ADDRESS_TEXT_SIZE
};

typedef struct InnerAddress {
    uint8_t octets[16];
    size_t size; /* 4 or 16 */
    uint8_t prefix_length;
} InnerAddress;

typedef struct ChildOffer {
    uint32_t spi_in; /* where the SeGW is to send to */
    IkeSaPayload sa;
    IkeTs ts_i;
    IkeTs ts_r;
    RequestAddress request;
    size_t n_wanted; /* addresses that we have had, one at most is asked for of each family */
    InnerAddress wanted[CHILD_ADDRESSES_MAX];
    bool nat;      /* there is a NAT: what the SeGW sees of it is asked for (TS 29.139 6.2.1.3) */
    bool liveness; /* the SeGW may say when it wants to be asked (TS 24.302 8.2.4.2) */
} ChildOffer;

void child_offer_init(ChildOffer *offer, const Config *config, uint32_t spi_in);

/* Appends CP(CFG_REQUEST) where addresses are asked for, N(ESP_TFC_PADDING_NOT_SUPPORTED), SA, TSi,
 * TSr: the order of RFC 7296 appendix C.2. */
void child_offer_encode(const ChildOffer *offer, IkeChain *chain);

/* "10.0.0.2/32" or "10.0.0.2" into `text` (CHILD_ADDRESS_TEXT_SIZE octets); returns `text`. */
const char *inner_address_text(const InnerAddress *address, bool prefix, char *text);

/* The same for a list, with commas, into `text` (CHILD_ADDRESSES_TEXT_SIZE octets). */
const char *inner_addresses_text(const InnerAddress *addresses, size_t count, bool prefix,
                                 char *text);

typedef enum ChildVerdict {
    CHILD_GRANTED,
    CHILD_REFUSED, /* an error notify: the IKE SA stays up without a child (RFC 7296 1.2) */
    CHILD_INVALID, /* an answer that we did not offer: the SeGW can't be dealt with */
} ChildVerdict;

/* How much of an answer there was beyond what is kept. */
typedef struct ChildSkipped {
    size_t selectors;
    size_t addresses; /* of a family that nobody asked for, too */
    size_t dns;
    size_t attributes;
} ChildSkipped;

typedef struct ChildAnswer {
    ChildVerdict verdict;
    uint16_t error;  /* CHILD_REFUSED: the notify's type */
    const char *why; /* CHILD_INVALID: a static phrase */
    EspChoice esp;
    IkeTs ts_i;
    IkeTs ts_r;
    size_t n_addresses;
    InnerAddress addresses[CHILD_ADDRESSES_MAX];
    size_t n_dns;
    InnerAddress dns[CHILD_DNS_MAX];
    Endpoint external; /* where the SeGW sees us, behind a NAT; family 0: it does not say */
    uint32_t liveness; /* s of silence after which it wants to be asked; 0: it does not say */
    ChildSkipped skipped;
} ChildAnswer;

/* For one that takes the place of `old`, and so takes in what that does (RFC 7296 2.9.2). `group`
 * is the first of those that are offered. */
void child_offer_init_rekey(ChildOffer *offer, const Config *config, const ChildAnswer *old,
                            uint16_t group, uint32_t spi_in);

/* For one beside that of IKE_AUTH, which granted `first`: `child` says what it is for; NULL: it is
 * to be as that of IKE_AUTH was asked for. */
void child_offer_init_another(ChildOffer *offer, const Config *config, const ChildConfig *child,
                              const ChildAnswer *first, uint16_t group, uint32_t spi_in);

/* True for the notifies that refuse the Child SA alone (RFC 7296 1.2: 14 and 34 to 38). */
bool child_error_is(uint16_t notify_type);

/* Judges what an IKE_AUTH response grants. To be acted on only once the peer is verified. */
void child_answer_judge(const ChildOffer *offer, const IkePayloads *payloads, ChildAnswer *ret);

/* Gives one that takes the place of `old` the addresses and name servers of that. */
void child_answer_inherit(ChildAnswer *answer, const ChildAnswer *old);

/* What was asked for and is not in a granted answer: an address of each family, other than 0.0.0.0
 * and :: (RFC 7296 3.15.1). A static phrase, or NULL if nothing is missing. Without an inner
 * address traffic would leave with the outer one, and the SeGW's selectors are for another. */
const char *child_answer_lacks(const ChildOffer *offer, const ChildAnswer *answer);

/* Whether the selectors of `wide` take in those of `narrow` at both ends (RFC 7296 2.9.2). */
bool child_answer_takes_in(const ChildAnswer *wide, const ChildAnswer *narrow);

/* Reads the selectors of an answer, or those of a peer's offer: `type` is that of the payload. 0,
 * or the notify that refuses it: TS_UNACCEPTABLE where all that there are is of types that we do
 * not know (RFC 7296 2.9). */
uint16_t child_selectors_read(const IkePayloads *payloads, uint8_t type, IkeTs *ret);
