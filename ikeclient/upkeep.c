/* The upkeep of an IKE SA: facts, the plan that follows from them, and the timer. */
#include "ikeclient/upkeep.h"

#include "ikeclient/create_child.h"
#include "ikeclient/informational.h"
#include "ikeclient/rekey.h"
#include "ikeclient/rekey_ike.h"

enum {
    USEC_PER_SEC = 1000000,
    ACCURACY_USEC = 100000,
    /* How long the peer may take to delete what it replaced. Until then we send by the old one. */
    PATIENCE_USEC = 10 * USEC_PER_SEC,
};

#define NEVER UINT64_MAX

UpkeepStep upkeep_plan(const UpkeepFacts *facts)
{
    if (!facts->up)
        return UPKEEP_NOTHING;
    if (facts->overdue)
        return UPKEEP_TAKE_OVER;
    if (facts->busy)
        return UPKEEP_NOTHING;
    if (facts->unwanted && !facts->answering) /* it may turn out to be the peer's to delete */
        return UPKEEP_DELETE_CHILD;
    if (facts->renewal || !facts->ready)
        return UPKEEP_NOTHING;
    if (facts->child_due)
        return UPKEEP_REKEY_CHILD;
    if (facts->child_owed && !facts->answering) /* it may be its replacement */
        return UPKEEP_CREATE_CHILD;
    return facts->ike_due && !facts->answering && !facts->replacing ? UPKEEP_REKEY_IKE
                                                                    : UPKEEP_NOTHING;
}

/* ---- facts ---- */

static uint64_t now_usec(const IkeSa *sa)
{
    uint64_t now = 0;

    (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &now);
    return now;
}

/* When the IKE SA is to be rekeyed. */
static uint64_t ike_due_at(const IkeSa *sa)
{
    if (sa->due)
        return 0;
    return sa->lifetime == 0 ? NEVER : sa->since + sa->lifetime;
}

/* The one that `child`, which the peer made, takes the place of; NULL: it is gone. */
static ChildSa *replaced_by_peer(const IkeSa *sa, const ChildSa *child)
{
    return child->by_peer && child->replaces != 0 ? child_sas_find(sa->children, child->replaces)
                                                  : NULL;
}

/* What the peer is to delete since `child` is there: the one whose place it takes, or itself. NULL:
 * nothing. */
static ChildSa *left_to_peer(const IkeSa *sa, ChildSa *child)
{
    if (child->unwanted)
        return NULL;
    if (child->redundant)
        return child;
    ChildSa *old = replaced_by_peer(sa, child);
    return old && !old->unwanted ? old : NULL;
}

static bool is_overdue(const IkeSa *sa, const ChildSa *child)
{
    return now_usec(sa) >= child->since + PATIENCE_USEC;
}

static UpkeepFacts facts_of(IkeSa *sa)
{
    UpkeepFacts facts = {
        .up = sa->established && !sa->closed && !sa->heir && !sa->retired &&
              !succession_has_made(sa) && !ike_sa_is_closing(sa),
        .renewal = sa->renewal,
        .busy = sa->tasks.first,
        .answering = sa->peer.create.pending,
        .ready = now_usec(sa) >= sa->put_off.until,
        .child_due = rekey_due_child(sa),
        .child_owed = configured_child_owed(sa, now_usec(sa)) < CHILD_PLACES,
        .ike_due = now_usec(sa) >= ike_due_at(sa),
    };

    for (ChildSa *child = sa->children; child; child = child->next) {
        facts.unwanted = facts.unwanted || (child->unwanted && !child->delete_sent);
        if (!left_to_peer(sa, child))
            continue;
        facts.replacing = true;
        facts.overdue = facts.overdue || is_overdue(sa, child);
    }
    return facts;
}

/* ---- what follows ---- */

static void take_over(IkeSa *sa)
{
    for (ChildSa *child = sa->children; child; child = child->next) {
        ChildSa *left = left_to_peer(sa, child);
        if (!left || !is_overdue(sa, child))
            continue;
        report_line(sa->config, LOG_INFO,
                    "the SeGW keeps the Child SA %08x, which it has replaced: deleting it",
                    left->spi_in);
        if (left != child)
            rekey_use_child(sa, child->spi_in);
        left->unwanted = true;
    }
}

/* When facts change by themselves. */
static uint64_t deadline(IkeSa *sa)
{
    const uint64_t now = now_usec(sa), sweep = rekey_sweep(sa);
    uint64_t due = sa->renewal ? NEVER : ike_due_at(sa);

    if (sa->put_off.until > now &&
        (due <= now || rekey_due_child(sa) || configured_child_owed(sa, now) < CHILD_PLACES))
        due = sa->put_off.until;
    const uint64_t owed = configured_child_due(sa, now);
    due = owed < due ? owed : due;
    if (due <= now) /* it leads on when what is in its way is over */
        due = NEVER;
    for (ChildSa *child = sa->children; child; child = child->next) {
        if (left_to_peer(sa, child) && child->since + PATIENCE_USEC < due)
            due = child->since + PATIENCE_USEC;
    }
    return sweep < due ? sweep : due;
}

static int set_timer(IkeSa *sa, uint64_t due)
{
    int r = sd_event_source_set_time(sa->upkeep, due);
    return r < 0 ? r
                 : sd_event_source_set_enabled(sa->upkeep,
                                               due == NEVER ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

void upkeep_tend(IkeSa *sa)
{
    UpkeepFacts facts = facts_of(sa);
    int r = 0;

    if (!sa->upkeep || !facts.up)
        return;
    UpkeepStep step = upkeep_plan(&facts);
    if (step == UPKEEP_TAKE_OVER) {
        take_over(sa);
        facts = facts_of(sa);
        step = upkeep_plan(&facts);
    }
    if (step == UPKEEP_DELETE_CHILD) {
        r = task_add(sa, &delete_child_task);
    } else if (step == UPKEEP_REKEY_CHILD) {
        r = task_add(sa, &rekey_child_task);
    } else if (step == UPKEEP_CREATE_CHILD) {
        r = task_add(sa, &create_child_task);
    } else if (step == UPKEEP_REKEY_IKE) {
        r = task_add(sa, &rekey_ike_task);
    }
    if (r >= 0 && !sa->closed)
        r = set_timer(sa, deadline(sa));
    if (r < 0)
        ike_sa_fail(sa, r);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source, (void)usec;
    upkeep_tend(userdata);
    return 0;
}

int upkeep_start(IkeSa *sa)
{
    int r = sd_event_add_time(sa->event, &sa->upkeep, CLOCK_MONOTONIC, NEVER, ACCURACY_USEC,
                              on_timer, sa);
    if (r < 0)
        return r;
    upkeep_tend(sa);
    return 0;
}
