/* Judges SeGWs again that were taken before. */
#include "tred/rejudge.h"

#include "base/log.h"
#include "tred/bus.h"
#include "tred/callers.h"
#include "tred/clock.h"
#include "tred/expiry.h"

#include <inttypes.h>
#include <string.h>

enum { USEC_PER_SEC = 1000000, LOOK_SECONDS = 60 };

static void go_on(Daemon *daemon);

/* Who judges. An SA outlives the identity that could not be read again, as of a TPM that does not
 * answer, and is judged by what that had, and by new CRLs. NULL: there was none yet. */
static Verifier *judge_find(const Daemon *daemon)
{
    return daemon->identity ? daemon->identity->verifier : daemon->last_verifier;
}

/* Of those that are owed a judgement, any that was not asked about in vain in this round: one whose
 * peer the verifier ends at keeps no other from being judged. */
static CallerExchange *next_find(const Daemon *daemon)
{
    for (const Caller *caller = daemon->callers; caller; caller = caller->next) {
        for (CallerExchange *held = caller->exchanges; held; held = held->next) {
            if (held->judge_again && held->judge_missed != daemon->judge_round)
                return held;
        }
    }
    return NULL;
}

/* The verdict on `held`: it stays, it goes, or it can't be told now. */
static void verdict_take(CallerExchange *held, const Verdict *verdict, const char *why)
{
    const time_t expires = exchange_peer_expires(held->exchange);
    Reason reason;

    if (!verdict) {
        log_warning("Exchange %" PRIu64 ": its SeGW can't be judged again: %s. It is tried in a "
                    "minute",
                    held->number, why);
        held->judge_again = true;
        held->judge_missed = held->caller->daemon->judge_round;
    } else if (exchange_verdict_ends(held->exchange, verdict, &reason)) {
        bus_exchange_closed(held, reason.text);
        caller_exchange_free(held);
    } else if (expiry_renew(held) < 0) {
        expiry_close_unwatched(held);
    } else if (exchange_peer_expires(held->exchange) != expires) {
        bus_exchange_changed(held, EXCHANGE_PROPERTY_PEER_IDENTITY);
    }
}

static void on_verdict(const Verdict *verdict, const char *why, void *userdata)
{
    Daemon *daemon = userdata;
    CallerExchange *held = steal_pointer(daemon->judged_again);

    daemon->judgement = NULL;
    verifier_unref(steal_pointer(daemon->judge));
    if (held && !held->judge_again) /* else what it was judged by has changed again */
        verdict_take(held, verdict, why);
    go_on(daemon);
}

static int ask(Daemon *daemon, CallerExchange *held)
{
    Verifier *judge = judge_find(daemon);
    VerifyRequest request;

    held->judge_again = false;
    if (!exchange_verify_again(held->exchange, clock_now(daemon), &request))
        return 0;
    int r = verifier_ask(judge, &request, on_verdict, daemon, &daemon->judgement);
    held->judge_again = r < 0;
    if (r < 0)
        return r;
    daemon->judge = verifier_ref(judge);
    daemon->judged_again = held;
    return 0;
}

/* One at a time: there is room for others who are to be judged. */
static void go_on(Daemon *daemon)
{
    CallerExchange *held;
    int r = 0;

    while (r == 0 && !daemon->judgement && judge_find(daemon) && (held = next_find(daemon)))
        r = ask(daemon, held);
    if (r < 0)
        log_warning("SeGWs can't be judged again: %s. It is tried in a minute", strerror(-r));
}

static bool any_verified(const Daemon *daemon)
{
    for (const Caller *caller = daemon->callers; caller; caller = caller->next) {
        for (const CallerExchange *held = caller->exchanges; held; held = held->next) {
            if (exchange_state(held->exchange) == EXCHANGE_VERIFIED)
                return true;
        }
    }
    return false;
}

static int on_timer(sd_event_source *timer, uint64_t usec, void *userdata)
{
    Daemon *daemon = userdata;
    Verifier *judge = judge_find(daemon);

    (void)usec;
    if (judge && any_verified(daemon)) {
        verifier_look(judge);
        daemon->judge_round++;
        go_on(daemon);
    }
    int r = sd_event_source_set_time_relative(timer, (uint64_t)LOOK_SECONDS * USEC_PER_SEC);

    return r < 0 ? r : sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

int rejudge_start(Daemon *daemon)
{
    int r = sd_event_add_time_relative(daemon->event, &daemon->look, CLOCK_MONOTONIC,
                                       (uint64_t)LOOK_SECONDS * USEC_PER_SEC, USEC_PER_SEC,
                                       on_timer, daemon);

    daemon->judge_round = 1;
    return r < 0 ? r : 0;
}

void rejudge_all(Daemon *daemon)
{
    for (const Caller *caller = daemon->callers; caller; caller = caller->next) {
        for (CallerExchange *held = caller->exchanges; held; held = held->next)
            held->judge_again = exchange_state(held->exchange) == EXCHANGE_VERIFIED;
    }
    daemon->judge_round++;
    go_on(daemon);
}

void rejudge_one(CallerExchange *held)
{
    held->judge_again = true;
    go_on(held->caller->daemon);
}

/* The minute's timer or the verdict on `from` goes on with it. */
void rejudge_inherit(CallerExchange *held, const CallerExchange *from)
{
    held->judge_again = from->judge_again || held->caller->daemon->judged_again == from;
}

void rejudge_stop(Daemon *daemon)
{
    verification_cancel(steal_pointer(daemon->judgement));
    verifier_unref(steal_pointer(daemon->judge));
    daemon->look = sd_event_source_disable_unref(daemon->look);
}
