/* The datagrams of one message, kept so that they can be sent again bit for bit (RFC 7296 2.1). */
#pragma once

#include "base/bytes.h"

enum { DATAGRAMS_MAX = 128 }; /* fragments of one message that tred makes */

typedef struct Datagrams {
    size_t count;
    struct {
        uint8_t *data;
        size_t size;
    } items[DATAGRAMS_MAX];
} Datagrams;

void datagrams_deinit(Datagrams *datagrams);

/* Replaces what was kept by copies of `views`. 0, -ENOMEM, or -EMSGSIZE for more than
 * DATAGRAMS_MAX. */
int datagrams_set(Datagrams *datagrams, const Bytes *views, size_t count);
