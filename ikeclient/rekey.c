/* What rekeying a Child SA and an IKE SA have in common: what follows from a refusal, and the list
 * of Child SAs. */
#include "ikeclient/rekey.h"

#include "base/log.h"
#include "ikeclient/pacing.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
    USEC_PER_MS = 1000,
    /* RFC 7296 2.25: who is put off for several minutes is out of step with the peer. */
    PUT_OFF_USEC = 180 * 1000 * USEC_PER_MS,
    PUT_OFF_FIRST = 2, /* in the series of backoff_ms(): 2 to 4 s */
    PUT_OFF_MOST_MS = 60000,
    /* What the peer sent by a Child SA before it deleted it is on its way: ESP may wait in a queue
     * of a home's line for a second or two while IKE, by its DSCP, goes past it. */
    LINGER_USEC = 3000 * USEC_PER_MS,
    /* Each takes one of the SPIs that tred has for an exchange (EXCHANGE_CHILDREN_MAX). */
    LINGERING_MAX = 4,
};

void rekey_renew(IkeSa *sa, const char *format, ...)
{
    va_list arguments;
    Reason reason;

    va_start(arguments, format);
    reason_set_v(&reason, 0, format, arguments);
    va_end(arguments);
    sa->renewal = true;
    sa->handlers->renew(sa->userdata, sa, reason.text);
}

void rekey_succeeded(IkeSa *sa)
{
    sa->put_off = (PutOff){0};
}

/* Half of it by chance. */
static uint64_t put_off_ms(unsigned times)
{
    const uint64_t most = backoff_ceiling_ms(PUT_OFF_FIRST + times, PUT_OFF_MOST_MS);
    uint32_t random = 0;

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        return most;
    return (most + backoff_ms(PUT_OFF_FIRST + times, PUT_OFF_MOST_MS, random)) / 2;
}

static void put_off(IkeSa *sa)
{
    PutOff *wait = &sa->put_off;
    uint64_t now = 0;

    (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &now);
    if (wait->since == 0)
        wait->since = now;
    if (now - wait->since >= PUT_OFF_USEC) {
        rekey_renew(sa, "the SeGW has answered TEMPORARY_FAILURE for minutes (RFC 7296 2.25)");
        return;
    }
    wait->until = now + put_off_ms(wait->times++) * USEC_PER_MS;
    report_line(sa->config, LOG_INFO, "the SeGW is busy: asking again in %.1f s",
                (double)(wait->until - now) / (double)USEC_PER_MS / 1000);
}

uint16_t rekey_group(const IkeSa *sa)
{
    if (sa->config->pfs == PFS_NO)
        return IKE_GROUP_NONE;
    return sa->groups.child != IKE_GROUP_NONE ? sa->groups.child : proposals_suite_group(sa->suite);
}

bool rekey_takes_group(IkeSa *sa, const CreateAnswer *answer, uint16_t tried, uint16_t *wanted)
{
    if (answer->error != IKE_NOTIFY_INVALID_KE_PAYLOAD || answer->group == tried ||
        !proposals_have_group(&sa->config->ike_offer, answer->group) ||
        sa->put_off.group_changes++ >= INIT_GROUP_CHANGES_MAX)
        return false;
    *wanted = answer->group;
    return true;
}

void rekey_refused(IkeSa *sa, const CreateAnswer *answer, uint16_t tried, uint16_t *wanted)
{
    report_line(sa->config, LOG_INFO, "the SeGW answered %s (%u)", ike_notify_name(answer->error),
                answer->error);
    if (answer->error == IKE_NOTIFY_TEMPORARY_FAILURE) {
        put_off(sa);
    } else if (!rekey_takes_group(sa, answer, tried, wanted)) {
        rekey_renew(sa, "the SeGW refused with %s (%u): %s", ike_notify_name(answer->error),
                    answer->error, advice_for(answer->error));
    }
}

/* ---- the list of Child SAs ---- */

ChildSa *rekey_due_child(const IkeSa *sa)
{
    for (ChildSa *child = sa->children; child; child = child->next) {
        if ((child->due || child->lost) && child_sa_is_current(sa->children, child))
            return child;
    }
    return NULL;
}

static void log_rekeyed(const IkeSa *sa, const ChildSa *child)
{
    const char *henb = sa->steps.henb, *segw = sa->steps.segw;
    char esp[ESP_SUITE_NAME_SIZE];

    esp_choice_name(&child->answer.esp, esp);
    report_line(sa->config, LOG_NOTICE, "%s  %s -> %s  Child SA, ESP %s, %08x for %08x",
                child->replaces != 0 ? "rekeyed" : "created", child->by_peer ? segw : henb,
                child->by_peer ? henb : segw, esp, child->spi_in, child->replaces);
}

/* Of two new ones ours is redundant, and that of the peer is not known to work before the peer has
 * deleted the old one. */
static void leave_redundant(IkeSa *sa, uint32_t replaced)
{
    const ChildSa *old = child_sas_find(sa->children, replaced);
    const ChildSa *ours = child_sas_replacement(sa->children, replaced, false);
    const ChildSa *theirs = child_sas_replacement(sa->children, replaced, true);

    if (!ours || !theirs)
        return;
    report_line(sa->config, LOG_INFO, "the new Child SA that %s made is redundant",
                ours->unwanted ? "we" : "the SeGW");
    if (!ours->unwanted)
        return;
    rekey_use_child(sa, old && !old->delete_sent ? old->spi_in : theirs->spi_in);
}

int rekey_add_child(IkeSa *sa, const NewChild *new)
{
    ChildSa *child = child_sas_add(&sa->children, new->spi_in, new->answer);

    if (!child)
        return -ENOMEM;
    const ChildSa *old = child_sas_find(sa->children, new->replaces);
    child->place = old && new->replaces != 0 ? old->place : new->place;
    child->replaces = new->replaces;
    child->by_peer = new->by_peer;
    child->lowest = *new->lowest;
    (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &child->since);
    log_rekeyed(sa, child);
    if (new->replaces != 0) {
        child_sas_settle(sa->children, new->replaces);
        leave_redundant(sa, new->replaces);
    }
    sa->handlers->changed(sa->userdata, sa);
    return 0;
}

static void on_used(void *userdata, const TreReply *reply)
{
    const IkeSa *sa = userdata;

    if (reply->outcome == TRE_REFUSED)
        report_line(sa->config, LOG_DEBUG, "tred does not use a Child SA: %s", reply->text);
}

/* tred drops a call that wants no answer, but for those that give something back. */
void rekey_use_child(IkeSa *sa, uint32_t spi_in)
{
    const TreCall call = {.method = TRE_USE_CHILD, .exchange = sa->exchange, .spi_in = spi_in};

    if (tre_call(sa->tre, &call, on_used, sa) < 0)
        report_line(sa->config, LOG_WARNING, "tred can't be asked to send by %08x", spi_in);
}

uint32_t rekey_next_child(const IkeSa *sa, uint32_t spi_in)
{
    const ChildSa *gone = child_sas_find(sa->children, spi_in);
    const ChildSa *next = child_sas_replacement(sa->children, spi_in, true);

    if (gone && gone->redundant)
        next = child_sas_replacement(sa->children, gone->replaces, false);
    return next && !next->unwanted && !next->redundant ? next->spi_in : 0;
}

void rekey_end_standby(IkeSa *sa, uint32_t spi_in)
{
    const ChildSa *child = child_sas_find(sa->children, spi_in);

    if (child && child->redundant)
        rekey_use_child(sa, spi_in);
}

static void forget_child(IkeSa *sa, uint32_t spi_in)
{
    const TreCall call = {.method = TRE_REMOVE_CHILD, .exchange = sa->exchange, .spi_in = spi_in};

    (void)tre_call(sa->tre, &call, NULL, NULL);
    child_sas_remove(&sa->children, spi_in);
}

static bool has_current(const IkeSa *sa)
{
    const ChildSa *child = sa->children;

    while (child && !child_sa_is_current(sa->children, child))
        child = child->next;
    return child;
}

static size_t count_lingering(const IkeSa *sa)
{
    size_t n = 0;

    for (const ChildSa *child = sa->children; child; child = child->next)
        n += child->gone != 0;
    return n;
}

/* Removes those that are deleted at the peer and have received for long enough since, and the
 * oldest beyond `most`. True if there were any; *ret_due is when the next one's time is over. */
static bool sweep(IkeSa *sa, size_t most, uint64_t *ret_due)
{
    size_t lingering = count_lingering(sa);
    uint64_t now = 0;
    bool swept = false;
    ChildSa *next;

    *ret_due = UINT64_MAX;
    (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &now);
    for (ChildSa *child = sa->children; child; child = next) { /* the oldest first */
        next = child->next;
        if (child->gone == 0)
            continue;
        if (now >= child->gone + LINGER_USEC || lingering > most) {
            lingering--;
            forget_child(sa, child->spi_in);
            swept = true;
        } else if (child->gone + LINGER_USEC < *ret_due) {
            *ret_due = child->gone + LINGER_USEC;
        }
    }
    return swept;
}

static bool has_same_selectors(const IkeTs *a, const IkeTs *b)
{
    for (size_t i = 0; i < a->n_selectors && i < b->n_selectors; i++) {
        const IkeSelector *one = &a->selectors[i], *other = &b->selectors[i];

        if (one->type != other->type || one->protocol != other->protocol ||
            one->start_port != other->start_port || one->end_port != other->end_port ||
            memcmp(one->start, other->start, sizeof(one->start)) != 0 ||
            memcmp(one->end, other->end, sizeof(one->end)) != 0)
            return false;
    }
    return a->n_selectors == b->n_selectors;
}

static bool sends_in_place_of(const ChildSa *other, const ChildSa *child)
{
    return other && has_same_selectors(&other->answer.ts_i, &child->answer.ts_i) &&
           has_same_selectors(&other->answer.ts_r, &child->answer.ts_r);
}

static bool is_replaced(const IkeSa *sa, const ChildSa *child)
{
    return sends_in_place_of(child_sas_replacement(sa->children, child->spi_in, true), child) ||
           sends_in_place_of(child_sas_replacement(sa->children, child->spi_in, false), child);
}

/* True if another sends in its place, which of several with the same selectors the newest does. One
 * whose place nothing has taken, or something for other selectors, may go on sending, to who has it
 * no more. */
static bool has_successor(const IkeSa *sa, const ChildSa *child)
{
    const ChildSa *sibling =
        child->replaces != 0 ? child_sas_replacement(sa->children, child->replaces, !child->by_peer)
                             : NULL;

    if (sibling && sibling->gone != 0 && !is_replaced(sa, sibling))
        sibling = NULL; /* of two that linger neither has the other */
    return sends_in_place_of(sibling, child) || is_replaced(sa, child);
}

/* Lets those linger no more that have no successor, or none any more, until none is left. */
static void drop_orphans(IkeSa *sa)
{
    const ChildSa *child = sa->children;

    while (child) {
        if (child->gone != 0 && !has_successor(sa, child)) {
            forget_child(sa, child->spi_in);
            child = sa->children; /* one before it may have lost its successor */
        } else {
            child = child->next;
        }
    }
}

void rekey_remove_child(IkeSa *sa, uint32_t spi_in)
{
    forget_child(sa, spi_in);
    drop_orphans(sa);
}

void rekey_let_go(IkeSa *sa, uint32_t spi_in)
{
    ChildSa *child = child_sas_find(sa->children, spi_in);
    uint64_t due;

    if (!child)
        return;
    /* A redundant one that was not used is in standby: its first packet would have it send. */
    const bool in_standby = child->redundant && rekey_next_child(sa, spi_in) == 0;
    child->unwanted = child->delete_sent = true;
    (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &child->gone);
    if (in_standby)
        forget_child(sa, spi_in);
    drop_orphans(sa);
    if (!has_current(sa)) { /* an IKE SA without any is to be seen as such at once */
        (void)sweep(sa, 0, &due);
    } else {
        sa->handlers->changed(sa->userdata, sa);
    }
}

uint64_t rekey_sweep(IkeSa *sa)
{
    uint64_t due;

    if (sweep(sa, LINGERING_MAX, &due)) {
        drop_orphans(sa);
        sa->handlers->changed(sa->userdata, sa);
    }
    return due;
}
