/* The fragments of one message until it is whole (RFC 7383 2.6). The caller opens a fragment before
 * it gets here: what is stored is authentic. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

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
