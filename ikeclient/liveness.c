/* Silence on an established IKE SA, of IKE messages and of ESP: the plan, its timer, and the
 * question to the peer. */
#include "ikeclient/liveness.h"

#include "ikeclient/informational.h"
#include "ikeclient/mobike.h"

#include <limits.h>
#include <string.h>

enum {
    USEC_PER_MS = 1000,
    USEC_PER_SEC = 1000000,
    ACCURACY_USEC = 20000,
    SILENCE_MAX = 86400, /* s, that a SeGW may ask for */
};

/* ---- the plan ---- */

static uint64_t latest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* We go on sending, and nothing has come for a while. */
static bool is_deaf(const LivenessFacts *facts)
{
    return facts->child && facts->last_out > facts->last_in &&
           facts->last_out - facts->last_in >= facts->silence / 2;
}

/* The peer has been heard since, so that ESP had its chance. */
static LivenessPlan plan_deaf(const LivenessFacts *facts)
{
    uint64_t judged = facts->last_ike + LIVENESS_GRACE_USEC;
    LivenessPlan plan = {.next = facts->now + LIVENESS_GRACE_USEC};

    if (facts->last_ike < facts->last_in + facts->silence / 2) {
        plan.ask = true;
    } else if (facts->now < judged) {
        plan.next = judged;
    } else if (facts->received && facts->last_out > facts->last_ike) {
        plan.mend = true;
        plan.next = facts->now + facts->silence;
    } else {
        plan.ask = facts->now - facts->last_ike >= facts->silence;
    }
    return plan;
}

LivenessPlan liveness_plan(const LivenessFacts *facts)
{
    uint64_t heard = facts->child ? latest(facts->last_ike, facts->last_in) : facts->last_ike;

    if (is_deaf(facts))
        return plan_deaf(facts);
    if (facts->now < heard + facts->silence)
        return (LivenessPlan){.next = heard + facts->silence};
    return (LivenessPlan){.ask = true, .next = facts->now + facts->silence};
}

/* ---- the question (RFC 7296 2.4) ---- */

static int liveness_begin(Task *task)
{
    const IkeSa *sa = task->sa;
    const MobikePath path = nat_mapping_path(sa, transport_remote(sa->transport));
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    if (!nat_mapping_is_asked(sa))
        return task_seal(task, IKE_INFORMATIONAL, IKE_PAYLOAD_NONE, (Bytes){0});
    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    nat_mapping_add(&path, &chain);
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r : task_seal(task, IKE_INFORMATIONAL, chain.first, payloads);
}

static int liveness_answered(Task *task, const TreReply *reply)
{
    IkePayloads payloads;
    int r = 0;

    if (nat_mapping_is_asked(task->sa) &&
        ike_payloads_decode(reply->opened.first, reply->opened.payloads, &payloads, NULL) == 0)
        r = mobike_follow_nat(task->sa, &payloads);
    return r < 0 ? r : task_done(task);
}

const TaskKind liveness_task = {
    .name = "liveness check",
    .size = sizeof(Task),
    .tries_max = UINT_MAX,
    .begin = liveness_begin,
    .response = liveness_answered,
    .unanswered = task_found_silence,
};

void ike_sa_check_liveness(IkeSa *sa)
{
    if (sa->closed || sa->tasks.first) /* the answer to any request shows it */
        return;
    report_line(sa->config, LOG_DEBUG, "asking the SeGW whether it is there");
    int r = task_add(sa, &liveness_task);
    if (r < 0)
        ike_sa_fail(sa, r);
}

/* ---- on an IKE SA ---- */

static uint64_t now_usec(const IkeSa *sa)
{
    uint64_t now = 0;

    (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &now);
    return now;
}

/* A packet was counted since the last look, whatever its time is said to be: counters may be old
 * ones, or those of no data plane. */
static void take(LivenessCount *count, uint64_t now, uint64_t packets, uint64_t idle_ms)
{
    if (packets > count->packets && idle_ms < now / USEC_PER_MS)
        count->last = latest(count->last, now - idle_ms * USEC_PER_MS);
    count->packets = packets;
}

static void look_again(IkeSa *sa, uint64_t when)
{
    int r = sd_event_source_set_time(sa->watch.timer, when);

    if (r >= 0)
        r = sd_event_source_set_enabled(sa->watch.timer, SD_EVENT_ONESHOT);
    if (r < 0) {
        report_line(sa->config, LOG_ERR, "the timer for liveness checks can't be set: %s",
                    strerror(-r));
    }
}

/* Only ESP in UDP has a mapping that a NAT can lose. */
static bool is_mendable(const IkeSa *sa)
{
    return sa->nat.here || sa->nat.there || sa->identity.needs_udp;
}

/* A new mapping at the NAT, or all anew where that has not helped. */
static void mend(IkeSa *sa)
{
    if (sa->mobike && !sa->watch.moved) {
        report_line(sa->config, LOG_WARNING,
                    "the SeGW answers, and its ESP does not come, as a NAT between may have "
                    "forgotten this host; moving to another port");
        sa->watch.moved = true;
        mobike_move(sa);
    } else {
        sa->handlers->due(sa->userdata, sa, IKE_SA_DUE_DEAF);
    }
}

static void act(IkeSa *sa, const LivenessFacts *facts)
{
    LivenessPlan plan = liveness_plan(facts);

    look_again(sa, plan.next);
    if (plan.ask) {
        ike_sa_check_liveness(sa);
    } else if (plan.mend && is_mendable(sa)) {
        mend(sa);
    }
}

static void on_children(void *userdata, const TreReply *reply)
{
    LivenessWatch *watch = userdata;
    IkeSa *sa = watch->sa;
    LivenessFacts facts = {
        .now = now_usec(sa), .silence = watch->silence, .last_ike = sa->last_heard};

    if (sa->closed)
        return;
    if (reply->outcome == TRE_DONE && reply->traffic.children > 0) {
        watch->moved = watch->moved && reply->traffic.packets_in <= watch->in.packets;
        take(&watch->in, facts.now, reply->traffic.packets_in, reply->traffic.idle_in_ms);
        take(&watch->out, facts.now, reply->traffic.packets_out, reply->traffic.idle_out_ms);
        facts.child = true;
        facts.received = watch->in.last > watch->since;
        facts.last_in = watch->in.last;
        facts.last_out = watch->out.last;
    }
    act(sa, &facts);
}

/* tred is asked for counters only when IKE has been silent for long enough. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    IkeSa *sa = userdata;
    TreCall call = {.method = TRE_TRAFFIC, .exchange = sa->exchange};
    LivenessFacts facts = {.now = usec, .silence = sa->watch.silence, .last_ike = sa->last_heard};
    (void)source;

    if (sa->closed)
        return 0;
    if (!sa->children || tre_call(sa->tre, &call, on_children, &sa->watch) < 0)
        act(sa, &facts);
    return 0;
}

int liveness_start(IkeSa *sa)
{
    LivenessWatch *watch = &sa->watch;

    watch->sa = sa;
    watch->since = watch->in.last = watch->out.last = sa->last_heard;
    if (sa->config->liveness == 0)
        return 0;
    if (watch->silence == 0)
        watch->silence = sa->config->liveness * USEC_PER_SEC / 2;
    return sd_event_add_time(sa->event, &watch->timer, CLOCK_MONOTONIC,
                             sa->last_heard + watch->silence, ACCURACY_USEC, on_timer, sa);
}

void liveness_stop(IkeSa *sa)
{
    tre_forget(sa->tre, &sa->watch);
    sa->watch.timer = sd_event_source_disable_unref(sa->watch.timer);
}

void liveness_set_silence(IkeSa *sa, uint32_t seconds)
{
    sa->watch.silence = (uint64_t)(seconds < SILENCE_MAX ? seconds : SILENCE_MAX) * USEC_PER_SEC;
}
