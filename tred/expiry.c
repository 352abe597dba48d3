/* Ends exchanges by themselves: those whose peer is not verified in time, as whoever begins
 * exchanges and leaves them holds keys, ports and room that others need; and those that rest on a
 * certificate which expires. */
#include "tred/expiry.h"

#include "base/log.h"
#include "tred/bus.h"
#include "tred/callers.h"
#include "tred/clock.h"

#include <inttypes.h>

enum { USEC_PER_SEC = 1000000, BUSY_SECONDS = 5 };

/* 0: never, as nobody's certificate is known. */
static time_t expiry_time(const CallerExchange *held)
{
    const time_t peer = exchange_peer_expires(held->exchange);
    const time_t own = held->own_expires;

    return own != 0 && own < peer ? own : peer;
}

static int on_end(sd_event_source *source, uint64_t usec, void *userdata)
{
    CallerExchange *held = userdata;

    (void)source, (void)usec;
    bus_exchange_closed(held, "A certificate that it rests on has expired. Authenticate anew");
    caller_exchange_free(held);
    return 0;
}

void expiry_close_unwatched(CallerExchange *held)
{
    bus_exchange_closed(held, "Nobody would end it when its certificates expire");
    caller_exchange_free(held);
}

static void timers_stop(CallerExchange *held)
{
    held->expiry = sd_event_source_disable_unref(held->expiry);
    held->expiry_bound = sd_event_source_disable_unref(held->expiry_bound);
}

/* By the wall clock, as certificates are: one that is set ahead brings the end nearer. One that is
 * set back does not put it off: so much time has passed since the certificates were judged. */
static int timers_set(CallerExchange *held, time_t when, sd_event_time_handler_t handler)
{
    sd_event *event = held->caller->daemon->event;
    const time_t left = when - held->judged;
    int r;

    timers_stop(held);
    r = sd_event_add_time(event, &held->expiry, CLOCK_REALTIME,
                          when > 0 ? (uint64_t)when * USEC_PER_SEC : 0, USEC_PER_SEC, handler,
                          held);
    if (r < 0)
        return r;
    return sd_event_add_time(event, &held->expiry_bound, CLOCK_BOOTTIME,
                             held->judged_boottime + (left > 0 ? (uint64_t)left * USEC_PER_SEC : 0),
                             USEC_PER_SEC, handler, held);
}

static int on_notice(sd_event_source *source, uint64_t usec, void *userdata)
{
    CallerExchange *held = userdata;
    const time_t end = held->expires;

    (void)source, (void)usec;
    bus_exchange_expires_soon(held, end);
    if (timers_set(held, end, on_end) < 0)
        expiry_close_unwatched(held);
    return 0;
}

int expiry_inherit(CallerExchange *held, const CallerExchange *from)
{
    held->expires = from->expires;
    held->own_expires = from->own_expires;
    held->judged = from->judged;
    held->judged_boottime = from->judged_boottime;
    if (held->expires == 0)
        return 0;
    return timers_set(held, held->expires - EXPIRY_NOTICE_SECONDS, on_notice);
}

/* Until `held->expires`, from now on. */
static int watch(CallerExchange *held)
{
    int r;

    held->judged = clock_now(held->caller->daemon);
    r = sd_event_now(held->caller->daemon->event, CLOCK_BOOTTIME, &held->judged_boottime);
    if (r < 0)
        return r;
    return timers_set(held, held->expires - EXPIRY_NOTICE_SECONDS, on_notice);
}

int expiry_watch(CallerExchange *held)
{
    const Identity *identity = held->caller->daemon->identity;

    held->own_expires = identity ? identity->expires : 0;
    held->expires = expiry_time(held);
    return held->expires == 0 ? 0 : watch(held);
}

/* The owner hears of each end once. */
int expiry_renew(CallerExchange *held)
{
    const time_t expires = expiry_time(held);

    if (expires == held->expires || expires == 0)
        return 0;
    held->expires = expires;
    return watch(held);
}

/* ---- without a verified peer ---- */

/* Neither lasts: the TPM and the verifier have time limits of their own. */
static bool waits_for_us(const CallerExchange *held)
{
    return exchange_state(held->exchange) == EXCHANGE_VERIFYING ||
           exchange_is_signing(held->exchange);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
    CallerExchange *held = userdata;

    (void)usec;
    if (exchange_state(held->exchange) == EXCHANGE_VERIFIED ||
        exchange_state(held->exchange) == EXCHANGE_REPLACED)
        return 0;
    if (waits_for_us(held)) {
        int r = sd_event_source_set_time_relative(source, (uint64_t)BUSY_SECONDS * USEC_PER_SEC);

        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    bus_exchange_closed(held, "Its peer was not verified in time. Begin another exchange");
    caller_exchange_free(held);
    return 0;
}

int deadline_set(CallerExchange *held)
{
    const Daemon *daemon = held->caller->daemon;
    int r = sd_event_add_time_relative(daemon->event, &held->deadline, CLOCK_BOOTTIME,
                                       daemon->config.verify_seconds * USEC_PER_SEC, USEC_PER_SEC,
                                       on_deadline, held);

    return r < 0 ? r : 0;
}
