/* REDIRECT (RFC 5685): a SeGW sends us to another one, which has to prove the same name. */
#pragma once

#include "ikeclient/endpoint.h"

#include <stdbool.h>

enum {
    REDIRECT_NAME_SIZE = 256,
    REDIRECTED_FROM_MAX = 2 + 16,
    REDIRECTS_MAX = 5,       /* in … */
    REDIRECT_PERIOD_S = 300, /* … that time (RFC 5685 3) */
};

typedef struct Redirect {
    char name[REDIRECT_NAME_SIZE]; /* an address or an FQDN */
} Redirect;

/* Reads the data of N(REDIRECT): who to go to, and then `nonce`, which is empty but in an
 * IKE_SA_INIT response. 0, or -EBADMSG for what is malformed or has another nonce. */
int redirect_read(Bytes data, Bytes nonce, Redirect *ret);

/* Writes the data of N(REDIRECTED_FROM) into `octets` (REDIRECTED_FROM_MAX of them); returns its
 * size. */
size_t redirected_from_write(const Endpoint *segw, uint8_t *octets);

/* When we were redirected. */
typedef struct RedirectGuard {
    uint64_t times[REDIRECTS_MAX]; /* µs of one clock, the oldest first; 0: not yet */
} RedirectGuard;

/* Notes a redirection at `now` (µs); false if it is one too many, so that two SeGWs can't play
 * ball with us. */
bool redirect_allows(RedirectGuard *guard, uint64_t now);
