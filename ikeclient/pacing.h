/* When something is done that a SeGW has to bear from all of its HeNBs: a request is sent again
 * (RFC 7296 2.1, 2.4), an attempt to connect is made again, an SA is rekeyed, an authentication is
 * renewed. Chance keeps them from doing so in one second. And what strangers can make us do. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

/* ---- retransmission ---- */

typedef struct RetransmitSchedule {
    uint64_t timeout_ms; /* the wait after the first transmission; each next one is twice as long */
    unsigned tries;      /* transmissions in all, at least 1 */
    uint64_t limit_ms;   /* when it is over at the latest; 0: when the tries are */
} RetransmitSchedule;

enum { RETRANSMIT_WAIT_MAX_MS = 60000 };

/* How long to wait for an answer after transmission number `attempt` (from 0), ms. */
uint64_t retransmit_wait_ms(const RetransmitSchedule *schedule, unsigned attempt);

/* All waits together, ms: how long an unanswered request keeps us. */
uint64_t retransmit_total_ms(const RetransmitSchedule *schedule);

typedef struct Retransmit Retransmit;

/* `gave_up` false: send the same octets again. True: the last wait is over; the timer has stopped.
 * Either may stop or start the timer. */
typedef void (*RetransmitHandler)(void *userdata, bool gave_up);

struct Retransmit {
    sd_event *event; /* borrowed */
    sd_event_source *source;
    RetransmitHandler handler;
    void *userdata;
    RetransmitSchedule schedule;
    unsigned attempt;
    uint64_t waited_ms; /* before the wait that is on */
};

void retransmit_init(Retransmit *retransmit, sd_event *event, RetransmitHandler handler,
                     void *userdata);
void retransmit_deinit(Retransmit *retransmit);

/* The request has been sent once; from now on it is watched. 0 or a negative errno. */
int retransmit_start(Retransmit *retransmit, RetransmitSchedule schedule);

/* True from the third transmission on, or at the last one: that it was merely lost is unlikely. */
bool retransmit_is_late(const Retransmit *retransmit);

/* The answer is there. Does nothing if the timer is not running. */
void retransmit_stop(Retransmit *retransmit);

/* ---- rekeying ---- */

/* For how long an SA with a lifetime of that many seconds is used before it is rekeyed, in µs: a
 * tenth of it is left to chance, so that both sides rarely begin at once (RFC 7296 2.8). 0: for
 * ever. */
uint64_t lifetime_usec(uint64_t seconds);

/* ---- what strangers can make us do ---- */

enum { RATELIMIT_LINES = 10, RATELIMIT_PERIOD_USEC = 10 * 1000 * 1000 };

typedef struct RateLimit {
    uint64_t period_start; /* of CLOCK_MONOTONIC, µs */
    unsigned lines;
    unsigned suppressed;
} RateLimit;

/* True if a line may be written at `now` (µs): RATELIMIT_LINES of them in each period.
 * *ret_suppressed is how many were swallowed since the last one that was written. */
bool ratelimit_allows(RateLimit *limit, uint64_t now, unsigned *ret_suppressed);

/* ---- attempts to connect: exponential back-off with full jitter ---- */

enum { BACKOFF_LEAST_MS = 100, BACKOFF_FIRST_MS = 1000, BACKOFF_FAILURES_MAX = 64 };

/* The longest wait after the first failure is BACKOFF_FIRST_MS, and twice as long after each of
 * `failures` before it, up to `most_ms`. */
uint64_t backoff_ceiling_ms(unsigned failures, uint64_t most_ms);

/* A wait between BACKOFF_LEAST_MS and that, which `random` chooses. */
uint64_t backoff_ms(unsigned failures, uint64_t most_ms, uint32_t random);

/* ---- authentication anew, before the one that there is ends, as the SeGW has limited it (RFC
 * 4478) or a certificate does ---- */

#define LIFETIME_NEVER UINT64_MAX

enum { LIFETIME_SIZE = 4 }; /* octets of N(AUTH_LIFETIME): seconds */

/* When to authenticate anew, as it is `now` and the authentication ends at `end` (both µs of one
 * clock): a tenth to a fifth of what is left before the end, and 20 minutes before it at the
 * earliest; `random` chooses. LIFETIME_NEVER where too little is left for that. A new
 * authentication that ends at the same time, as its certificate does, is followed by the next one
 * in the same way, so that a certificate that was renewed meanwhile is found. */
uint64_t lifetime_renew_at(uint64_t now, uint64_t end, uint32_t random);
