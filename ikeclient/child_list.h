/* The Child SAs of an IKE SA, and which of them take the place of which (RFC 7296 2.8.1). */
#pragma once

#include "ikeclient/child.h"

typedef struct Nonce {
    size_t size;
    uint8_t octets[IKE_NONCE_MAX];
} Nonce;

/* False if it is too long. */
bool nonce_set(Nonce *nonce, Bytes octets);

/* Octet by octet; of two that are alike as far as the shorter one goes, that is the lower (RFC 7296
 * 2.8.1). */
bool nonce_is_lower(const Nonce *a, const Nonce *b);

/* The state of a Child SA is what there is: itself, another that is to take its place, what is due.
 */
typedef struct ChildSa ChildSa;

/* Which of the Child SAs that are configured it is: that of IKE_AUTH, as [child] says; or the first
 * [child NAME], and those after it. The SeGW may make some of its own. */
enum { CHILD_FIRST, CHILD_NAMED, CHILD_PLACES = CHILD_NAMED + CONFIG_CHILDREN_MAX, CHILD_OF_SEGW };

struct ChildSa {
    ChildSa *next;
    uint32_t spi_in; /* ours; the peer's is in `answer` */
    ChildAnswer answer;
    uint32_t replaces; /* the SPI of ours of the one whose place it takes; 0: none */
    unsigned place;    /* see above */
    bool by_peer;      /* the peer began the exchange that made it */
    Nonce lowest;      /* of the two nonces of that exchange */
    uint64_t since;    /* CLOCK_MONOTONIC, µs */
    bool due;          /* tred says that it is to be replaced */
    bool lost;         /* the peer does not know it any more: another is made from scratch */
    bool redundant;    /* the peer is to delete it, as that of two which took one's place (2.8.1) */
    bool unwanted;     /* we are to delete it */
    bool delete_sent;
    uint64_t gone; /* since when it is deleted at the peer, CLOCK_MONOTONIC, µs; 0: it is not. What
                      was sent by it may still be on its way */
};

/* Puts a Child SA at the end of the list; NULL: no memory. */
ChildSa *child_sas_add(ChildSa **list, uint32_t spi_in, const ChildAnswer *answer);

/* The one that receives at `spi_in`; that the peer receives at `spi_out`; NULL: there is none. */
ChildSa *child_sas_find(ChildSa *list, uint32_t spi_in);
ChildSa *child_sas_find_out(ChildSa *list, uint32_t spi_out);

/* The one of the side `by_peer` that takes the place of `spi_in`; NULL: there is none. */
ChildSa *child_sas_replacement(ChildSa *list, uint32_t spi_in, bool by_peer);

/* The one that has that place now, and whose own no other takes; NULL: there is none. */
const ChildSa *child_sas_at(ChildSa *list, unsigned place);

/* True if nothing that stays takes its place, and nobody is to delete it. */
bool child_sa_is_current(ChildSa *list, const ChildSa *child);

/* Says who deletes what of a Child SA `replaced` (which may be gone) and of those that took its
 * place, as both sides may have begun at once: of two new ones, the one with the lowest of all four
 * nonces goes, by whoever made it, and the old one by whoever made the other (RFC 7296 2.8.1). To
 * be called when one has come. */
void child_sas_settle(ChildSa *list, uint32_t replaced);

/* Takes the one that receives at `spi_in` out of the list, and frees it. */
void child_sas_remove(ChildSa **list, uint32_t spi_in);

void child_sas_free(ChildSa *list);
