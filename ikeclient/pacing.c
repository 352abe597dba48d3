/* Waits that grow, margins of chance before an end, and a limit on what strangers can make us do.
 */
#include "ikeclient/pacing.h"

#include <errno.h>
#include <sys/random.h>

enum {
    USEC_PER_MS = 1000,
    ACCURACY_USEC = 1000,
    RETRANSMIT_LATE = 2, /* transmissions before */
};

/* ---- retransmission ---- */

uint64_t retransmit_wait_ms(const RetransmitSchedule *schedule, unsigned attempt)
{
    uint64_t wait = schedule->timeout_ms;

    for (unsigned i = 0; i < attempt && wait < RETRANSMIT_WAIT_MAX_MS; i++)
        wait *= 2;
    return wait < RETRANSMIT_WAIT_MAX_MS ? wait : RETRANSMIT_WAIT_MAX_MS;
}

uint64_t retransmit_total_ms(const RetransmitSchedule *schedule)
{
    uint64_t total = 0, limit = schedule->limit_ms;

    for (unsigned attempt = 0; attempt < schedule->tries; attempt++)
        total += retransmit_wait_ms(schedule, attempt);
    return limit > 0 && limit < total ? limit : total;
}

static int arm(Retransmit *retransmit);

/* The wait that is on, which ends with the limit at the latest. */
static uint64_t wait_now(const Retransmit *retransmit)
{
    uint64_t wait = retransmit_wait_ms(&retransmit->schedule, retransmit->attempt);
    uint64_t left = retransmit_total_ms(&retransmit->schedule) - retransmit->waited_ms;

    return wait < left ? wait : left;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Retransmit *retransmit = userdata;
    (void)source;
    (void)usec;

    retransmit->waited_ms += wait_now(retransmit);
    retransmit->attempt++;
    if (retransmit->attempt < retransmit->schedule.tries &&
        retransmit->waited_ms < retransmit_total_ms(&retransmit->schedule)) {
        int r = arm(retransmit);
        if (r < 0)
            return r;
        retransmit->handler(retransmit->userdata, false);
    } else {
        retransmit_stop(retransmit);
        retransmit->handler(retransmit->userdata, true);
    }
    return 0;
}

static int arm(Retransmit *retransmit)
{
    uint64_t wait = wait_now(retransmit) * USEC_PER_MS;

    retransmit->source = sd_event_source_unref(retransmit->source);
    return sd_event_add_time_relative(retransmit->event, &retransmit->source, CLOCK_MONOTONIC, wait,
                                      ACCURACY_USEC, on_timer, retransmit);
}

void retransmit_init(Retransmit *retransmit, sd_event *event, RetransmitHandler handler,
                     void *userdata)
{
    *retransmit = (Retransmit){.event = event, .handler = handler, .userdata = userdata};
}

void retransmit_deinit(Retransmit *retransmit)
{
    retransmit_stop(retransmit);
}

int retransmit_start(Retransmit *retransmit, RetransmitSchedule schedule)
{
    if (schedule.tries == 0)
        return -EINVAL;
    retransmit->schedule = schedule;
    retransmit->attempt = 0;
    retransmit->waited_ms = 0;
    return arm(retransmit);
}

bool retransmit_is_late(const Retransmit *retransmit)
{
    const RetransmitSchedule *schedule = &retransmit->schedule;

    return retransmit->attempt >= RETRANSMIT_LATE || retransmit->attempt + 1 >= schedule->tries ||
           retransmit->waited_ms + wait_now(retransmit) >= retransmit_total_ms(schedule);
}

void retransmit_stop(Retransmit *retransmit)
{
    retransmit->source = sd_event_source_disable_unref(retransmit->source);
}

/* ---- rekeying ---- */

uint64_t lifetime_usec(uint64_t seconds)
{
    enum { USEC_PER_SEC = 1000000, CHANCE = 10 };
    const uint64_t usec = seconds * USEC_PER_SEC;
    uint32_t random = 0;

    if (usec == 0 || getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        return usec;
    return usec - (uint64_t)((double)usec / (double)CHANCE * random / UINT32_MAX);
}

/* ---- what strangers can make us do ---- */

bool ratelimit_allows(RateLimit *limit, uint64_t now, unsigned *ret_suppressed)
{
    if (limit->lines == 0 || now - limit->period_start >= RATELIMIT_PERIOD_USEC) {
        limit->period_start = now;
        limit->lines = 0;
    }
    if (limit->lines == RATELIMIT_LINES) {
        limit->suppressed++;
        return false;
    }
    limit->lines++;
    *ret_suppressed = limit->suppressed;
    limit->suppressed = 0;
    return true;
}

/* ---- attempts to connect ---- */

uint64_t backoff_ceiling_ms(unsigned failures, uint64_t most_ms)
{
    uint64_t ceiling = BACKOFF_FIRST_MS;

    for (unsigned i = 0; i < failures && ceiling < most_ms; i++)
        ceiling *= 2;
    return ceiling < most_ms ? ceiling : most_ms;
}

uint64_t backoff_ms(unsigned failures, uint64_t most_ms, uint32_t random)
{
    uint64_t ceiling = backoff_ceiling_ms(failures, most_ms);

    uint64_t least = ceiling < BACKOFF_LEAST_MS ? ceiling : BACKOFF_LEAST_MS;

    return least + (uint64_t)((double)(ceiling - least) * random / UINT32_MAX);
}

/* ---- authentication anew ---- */

#define SEC UINT64_C(1000000)
#define LEAST (4 * SEC)       /* what must be left: a SeGW can't have us do nothing else */
#define MARGIN_MIN (10 * SEC) /* room for some retransmissions, where there is room */
#define MARGIN_MAX (600 * SEC)

uint64_t lifetime_renew_at(uint64_t now, uint64_t end, uint32_t random)
{
    if (end <= now || end - now < LEAST)
        return LIFETIME_NEVER;
    uint64_t left = end - now, margin = left / 10;

    if (margin < MARGIN_MIN)
        margin = left / 4 < MARGIN_MIN ? left / 4 : MARGIN_MIN;
    if (margin > MARGIN_MAX)
        margin = MARGIN_MAX;
    return end - margin - (uint64_t)((double)margin * random / UINT32_MAX);
}
