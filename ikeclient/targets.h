/* Which SeGW an attempt goes to: of those that there are, in the operator's order, which one is
 * next, and when one that is preferred is tried again beside the one in use; or another one that a
 * SeGW sends us to (REDIRECT, RFC 5685), which has to prove the same name. */
#pragma once

#include "ikeclient/endpoint.h"

#include <stdbool.h>
#include <stddef.h>

#define TARGETS_NEVER UINT64_MAX

enum {
    TARGETS_MAX = 8,
    TARGETS_NAME_SIZE = 256,
    TARGETS_HOLD_MAX_S = 3600,
    TARGETS_PROVEN_S = 600, /* for how long one must have worked for its failures to be forgotten */
};

typedef struct Target {
    char name[TARGETS_NAME_SIZE]; /* a host name or an address */
    Endpoint last;                /* the address tried last; family 0: none yet */
    bool advance;                 /* that failed: the next one is tried next */
    bool tried;                   /* and failed, since the last wait */
    unsigned failures;            /* in a row */
    uint64_t held_until;          /* CLOCK_MONOTONIC, µs */
} Target;

typedef struct Targets {
    uint64_t hold; /* s, how long a SeGW that failed is not preferred; twice as long each time */
    size_t count;
    size_t current; /* that is being tried */
    size_t used;    /* that has come up last … */
    uint64_t since; /* … and when, µs; 0: it has failed since */
    Target list[TARGETS_MAX];
} Targets;

/* Reads [segw] address: names and addresses with commas between. "plmn:LABELS" stands for
 * LABELS.mncMNC.mccMCC.pub.3gppnetwork.org (TS 23.003 19.2), `plmn` being "MCC-MNC" with an MNC of
 * two or three digits, or NULL. 0, -ENAMETOOLONG, -E2BIG for more than TARGETS_MAX, -ENOENT where
 * `plmn` is wanted and not there, or -EINVAL. */
int targets_read(Targets *targets, const char *text, const char *plmn);

/* True of "001-01" and "001-001". */
bool plmn_is_valid(const char *plmn);

/* Chooses the SeGW to try now: the first one in order that has not failed lately, or else the first
 * one that was not tried since the last wait. With `better`, only those count that are preferred
 * to the one in use, and have not failed lately; false if there is none. */
bool targets_choose(Targets *targets, uint64_t now, bool better);

/* The address to try first of those of the current SeGW, and the first of the other family after
 * that, to be tried beside it soon; NULL: there is none. */
const Endpoint *targets_address(Targets *targets, const Endpoint *addresses, size_t count,
                                const Endpoint **ret_other);

/* The current SeGW was tried in vain at `now`. True if another one was not
 * tried yet: it may be tried at once. False: all have failed, and a wait is due. */
bool targets_failed(Targets *targets, uint64_t now);

/* The one in use has fallen silent. */
void targets_lost(Targets *targets, uint64_t now);

/* A new round begins, in which each may be tried. */
void targets_rest(Targets *targets);

/* The current one has come up, by that address. */
void targets_worked(Targets *targets, const Endpoint *address, uint64_t now);

/* When targets_choose() finds one that is preferred to the one in use, µs; TARGETS_NEVER, also
 * where `hold` is 0. */
uint64_t targets_return_at(const Targets *targets);

/* ---- REDIRECT ---- */

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
