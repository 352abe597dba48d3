/* Octets as tests write them: hex, with blanks between groups. */
#pragma once

#include "crypto/secret.h"

enum { OCTETS_MAX = 2048 };

typedef struct Octets {
    size_t size;
    uint8_t data[OCTETS_MAX];
} Octets;

/* Abort the test on anything that is not hex. */
Octets octets_from_hex(const char *hex);
Secret *secret_from_hex(const char *hex); /* the caller's to secret_free() */

Bytes octets_bytes(const Octets *octets);

void assert_octets(Bytes found, const char *hex);
