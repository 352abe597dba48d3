/* The task that rekeys the IKE SA, and which of the IKE SAs that were made takes its place. */
#include "ikeclient/rekey_ike.h"

#include "base/log.h"
#include "ikeclient/informational.h"
#include "ikeclient/rekey.h"

#include <limits.h>
#include <stdio.h>

typedef struct RekeyIkeTask {
    Task task; /* first */
    CreateMaterial material;
    CreateAnswer answer;
} RekeyIkeTask;

static int rekey_begin(Task *task)
{
    const IkeSa *sa = task->sa;
    RekeyIkeTask *rekey = (RekeyIkeTask *)task;
    uint16_t group =
        sa->groups.ike != IKE_GROUP_NONE ? sa->groups.ike : proposals_suite_group(sa->suite);

    if (!proposals_have_group(&sa->config->ike_offer, group))
        group = proposals_first_group(&sa->config->ike_offer);
    rekey->material.group = group;
    TreCall prepare = {.method = TRE_PREPARE_CREATE_CHILD, .group = group};
    return task_call(task, &prepare);
}

static int rekey_prepared(Task *task, const TreReply *reply)
{
    RekeyIkeTask *rekey = (RekeyIkeTask *)task;
    IkeSa *sa = task->sa;
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    int r = create_material_take(&rekey->material, rekey->material.group, reply);
    if (r < 0)
        return r;
    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    create_ike_encode(&rekey->material, &sa->config->ike_offer, &chain);
    r = writer_finish(&writer, &payloads);
    return r < 0 ? r : task_seal(task, IKE_CREATE_CHILD_SA, chain.first, payloads);
}

static void rekey_sent(Task *task)
{
    report_line(task->sa->config, LOG_INFO,
                "asking the SeGW for an IKE SA in the place of this one, KE %s",
                proposals_group_name(((const RekeyIkeTask *)task)->material.group));
}

static size_t rekey_along(const Task *task, TreCall *calls)
{
    calls[0] =
        (TreCall){.method = TRE_ADD_IKE_SA, .spi = ((const RekeyIkeTask *)task)->material.spi};
    return 1;
}

static int rekey_answered(Task *task, const TreReply *reply)
{
    RekeyIkeTask *rekey = (RekeyIkeTask *)task;
    IkePayloads payloads;

    if (ike_payloads_decode(reply->opened.first, reply->opened.payloads, &payloads, NULL) != 0) {
        rekey->answer = (CreateAnswer){.verdict = CREATE_INVALID, .why = "what does not parse"};
    } else {
        create_ike_answer_judge(&task->sa->config->ike_offer, &rekey->material, &payloads,
                                &rekey->answer);
    }
    return 0;
}

/* What was made meanwhile by an exchange of the peer's is the heir then (RFC 7296 2.8.2). */
static void take_refusal(RekeyIkeTask *rekey)
{
    IkeSa *sa = rekey->task.sa;

    if (succession_has_made(sa)) {
        report_line(sa->config, LOG_DEBUG, "the SeGW has rekeyed the IKE SA itself");
    } else if (rekey->answer.verdict == CREATE_INVALID) {
        rekey_renew(sa, "the SeGW's CREATE_CHILD_SA response has %s", rekey->answer.why);
    } else {
        rekey_refused(sa, &rekey->answer, rekey->material.group, &sa->groups.ike);
    }
}

static int rekey_over(Task *task)
{
    IkeSa *sa = task->sa;

    int r = task_done(task);
    if (r == 0)
        succession_settle(sa);
    return r;
}

static int rekey_added(Task *task, const TreReply *reply)
{
    RekeyIkeTask *rekey = (RekeyIkeTask *)task;
    const CreateAnswer *answer = &rekey->answer;
    IkeSa *sa = task->sa;
    MadeIkeSa made = {
        .spi_i = rekey->material.spi, .spi_r = answer->ike.spi, .lowest = answer->lowest};
    const TreCall close = {.method = TRE_CLOSE, .exchange = reply->exchange};

    if (answer->verdict != CREATE_GRANTED) { /* not to us */
        (void)tre_call(sa->tre, &close, NULL, NULL);
        take_refusal(rekey);
        return rekey_over(task);
    }
    rekey_succeeded(sa);
    (void)snprintf(made.exchange, sizeof(made.exchange), "%s", reply->exchange);
    ike_choice_name(&answer->ike, made.suite);
    succession_add(sa, &made);
    return rekey_over(task);
}

/* There is none, if the peer refused; or tred won't have it. */
static int rekey_not_added(Task *task, const TreReply *reply)
{
    RekeyIkeTask *rekey = (RekeyIkeTask *)task;

    if (rekey->answer.verdict == CREATE_GRANTED) {
        rekey_renew(task->sa, "tred did not take the new IKE SA (%s): %s", reply->error,
                    reply->text);
    } else {
        take_refusal(rekey);
    }
    return rekey_over(task);
}

static int rekey_not_prepared(Task *task, const TreReply *reply)
{
    rekey_renew(task->sa, "tred does not prepare the rekeying of the IKE SA (%s): %s", reply->error,
                reply->text);
    return rekey_over(task);
}

const TaskKind rekey_ike_task = {
    .name = "rekeying of the IKE SA",
    .size = sizeof(RekeyIkeTask),
    .tries_max = UINT_MAX,
    .begin = rekey_begin,
    .done = {[TRE_PREPARE_CREATE_CHILD] = rekey_prepared, [TRE_ADD_IKE_SA] = rekey_added},
    .refused =
        {[TRE_PREPARE_CREATE_CHILD] = rekey_not_prepared, [TRE_ADD_IKE_SA] = rekey_not_added},
    .sent = rekey_sent,
    .along = rekey_along,
    .response = rekey_answered,
    .unanswered = task_found_silence,
};

/* ---- the succession ---- */

static bool is_there(const MadeIkeSa *made)
{
    return made->exchange[0] != 0;
}

void succession_add(IkeSa *sa, const MadeIkeSa *made)
{
    *(made->by_peer ? &sa->made_by_peer : &sa->made_by_us) = *made;
}

bool succession_has_made(const IkeSa *sa)
{
    return is_there(&sa->made_by_us) || is_there(&sa->made_by_peer);
}

static void log_rekeyed(const IkeSa *sa, const MadeIkeSa *made)
{
    const char *henb = sa->steps.henb, *segw = sa->steps.segw;

    report_line(sa->config, LOG_NOTICE, "rekeyed  %s -> %s  IKE SA, %s",
                made->by_peer ? segw : henb, made->by_peer ? henb : segw, made->suite);
}

/* NULL: none is to be. */
static const MadeIkeSa *choose_heir(const IkeSa *sa)
{
    const MadeIkeSa *ours = &sa->made_by_us, *theirs = &sa->made_by_peer;

    if (sa->heir || sa->retired || ike_sa_is_closing(sa))
        return NULL;
    if (is_there(ours) && is_there(theirs))
        return nonce_is_lower(&ours->lowest, &theirs->lowest) ? theirs : ours;
    return is_there(ours) ? ours : theirs;
}

static bool is_asking(const IkeSa *sa)
{
    const Task *first = sa->tasks.first;

    return first && first->kind == &rekey_ike_task && first->phase > TASK_WAITING;
}

static bool is_answering(const IkeSa *sa)
{
    return sa->peer.create.pending && sa->peer.create.kind == CREATE_REKEYED_IKE;
}

bool succession_is_under_way(const IkeSa *sa)
{
    return is_asking(sa) || is_answering(sa) || succession_has_made(sa);
}

/* The heir comes first: what is redundant leads to a Delete, and the heir to none. */
void succession_decide(IkeSa *sa)
{
    const MadeIkeSa made[] = {sa->made_by_us, sa->made_by_peer};
    const MadeIkeSa *heir = choose_heir(sa);
    const bool peers = heir == &sa->made_by_peer;

    if (sa->closed || !succession_has_made(sa))
        return;
    sa->made_by_us = sa->made_by_peer = (MadeIkeSa){0};
    if (heir) {
        log_rekeyed(sa, &made[peers]);
        sa->handlers->rekeyed(sa->userdata, sa, &made[peers], true);
    }
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        if (!is_there(&made[i]) || (heir && peers == (i == 1)))
            continue;
        report_line(sa->config, LOG_INFO, "the new IKE SA that %s made is redundant",
                    i == 1 ? "the SeGW" : "we");
        sa->handlers->rekeyed(sa->userdata, sa, &made[i], false);
    }
}

void succession_settle(IkeSa *sa)
{
    if (!is_asking(sa) && !is_answering(sa))
        succession_decide(sa);
}

IkeSa *succession_holder(IkeSa *sa)
{
    while (sa->heir)
        sa = sa->heir;
    return sa;
}
