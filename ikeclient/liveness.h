/* Whether the SeGW is there, and whether its ESP gets here (RFC 7296 2.4, TS 24.302 8.2.4.2): when
 * silence leads to a question, and what follows where IKE is answered and ESP stays away. */
#pragma once

#include "ikeclient/task.h"

#include <stdbool.h>
#include <stdint.h>

/* All times are of CLOCK_MONOTONIC, µs. */
typedef struct LivenessFacts {
    uint64_t now;
    uint64_t silence;  /* how long nothing may come before the peer is asked */
    uint64_t last_ike; /* when an authentic IKE message came */
    bool child;        /* there is a Child SA whose counters are known: */
    bool received;     /* ESP has come in at some time */
    uint64_t last_in;  /* when authentic ESP came, or the Child SA was added */
    uint64_t last_out; /* when ESP was sent */
} LivenessFacts;

typedef struct LivenessPlan {
    bool ask;      /* the peer whether it is there */
    bool mend;     /* IKE is answered, and ESP is sent and does not come back */
    uint64_t next; /* when to look again */
} LivenessPlan;

enum {
    LIVENESS_GRACE_USEC = 5000000, /* for ESP to come after the peer has answered */
};

/* IKE messages and ESP both are signs of life. A NAT that has forgotten us lets neither through,
 * until we send: a question alone may mend it (RFC 7296 2.23). Where it does not, ESP is sent and
 * none comes, though some has before: who only ever sends is not deaf. */
LivenessPlan liveness_plan(const LivenessFacts *facts);

/* ---- on an IKE SA ---- */

extern const TaskKind liveness_task; /* is the peer there? (RFC 7296 2.4) */

/* Asks whether the peer is there, if nothing else is under way that shows it. */
void ike_sa_check_liveness(IkeSa *sa);

/* Begins to listen for silence; nothing is done where [connection] liveness is 0. 0 or a negative
 * errno. */
int liveness_start(IkeSa *sa);
void liveness_stop(IkeSa *sa);

/* The SeGW wants to be asked after that many seconds of silence (TS 24.302 8.2.4.2). */
void liveness_set_silence(IkeSa *sa, uint32_t seconds);
