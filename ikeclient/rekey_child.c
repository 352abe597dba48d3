/* The task that rekeys a Child SA (RFC 7296 1.3.3, 2.8): a new one is made, and used, before the
 * old one is deleted. Where the peer has lost the old one, a new one is made from scratch (2.25).
 */
#include "ikeclient/rekey.h"

#include "ikeclient/create_child.h"
#include "ikeclient/informational.h"

#include <errno.h>
#include <limits.h>

typedef struct RekeyChildTask {
    Task task;         /* first */
    uint32_t replaces; /* 0: nothing is due any more */
    unsigned place;    /* of that one, which may be gone when the answer comes */
    bool from_scratch;
    uint16_t group;
    size_t awaited; /* answers of tred's before the request can be made */
    uint32_t spi_in;
    CreateMaterial material;
    ChildAnswer old; /* what was granted of the one that is replaced */
    ChildOffer offer;
    CreateAnswer answer;
} RekeyChildTask;

/* NULL: it is gone. */
static ChildSa *replaced(const RekeyChildTask *rekey)
{
    return child_sas_find(rekey->task.sa->children, rekey->replaces);
}

/* The SPI that tred allocated for nothing. */
static void give_back(const RekeyChildTask *rekey)
{
    const IkeSa *sa = rekey->task.sa;
    const TreCall call = {
        .method = TRE_REMOVE_CHILD, .exchange = sa->exchange, .spi_in = rekey->spi_in};

    if (rekey->spi_in != 0)
        (void)tre_call(sa->tre, &call, NULL, NULL);
}

static int rekey_begin(Task *task)
{
    RekeyChildTask *rekey = (RekeyChildTask *)task;
    const ChildSa *child = rekey_due_child(task->sa);
    TreCall allocate = {.method = TRE_ALLOCATE_SPI};

    if (!child)
        return task_done(task);
    rekey->replaces = child->spi_in;
    rekey->place = child->place;
    rekey->old = child->answer;
    rekey->from_scratch = child->lost;
    rekey->group = rekey_group(task->sa);
    rekey->awaited = 2;
    TreCall prepare = {.method = TRE_PREPARE_CREATE_CHILD, .group = rekey->group};
    int r = task_call(task, &allocate);
    return r < 0 ? r : task_call(task, &prepare);
}

/* One answer more: the request is made once both are there. */
static int rekey_go_on(RekeyChildTask *rekey)
{
    IkeSa *sa = rekey->task.sa;
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    if (--rekey->awaited > 0)
        return 0;
    if (!replaced(rekey)) { /* the peer has deleted it meanwhile */
        give_back(rekey);
        return task_done(&rekey->task);
    }
    child_offer_init_rekey(&rekey->offer, sa->config, &rekey->old, rekey->group, rekey->spi_in);
    if (!sa->identity.stronger_child)
        (void)proposals_limit_key(&rekey->offer.sa, proposals_suite_key(sa->suite));
    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    create_child_encode(&rekey->material, rekey->from_scratch ? 0 : rekey->replaces, &rekey->offer,
                        &chain);
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r : task_seal(&rekey->task, IKE_CREATE_CHILD_SA, chain.first, payloads);
}

static int rekey_take_spi(Task *task, const TreReply *reply)
{
    RekeyChildTask *rekey = (RekeyChildTask *)task;

    rekey->spi_in = reply->spi_in;
    if (rekey->spi_in == 0)
        return -EPROTO;
    int r = child_config_set_dscps(task, rekey->place, rekey->spi_in, &rekey->awaited);
    return r < 0 ? r : rekey_go_on(rekey);
}

static int rekey_set(Task *task, const TreReply *reply)
{
    (void)reply;
    return rekey_go_on((RekeyChildTask *)task);
}

static int rekey_take_material(Task *task, const TreReply *reply)
{
    RekeyChildTask *rekey = (RekeyChildTask *)task;

    int r = create_material_take(&rekey->material, rekey->group, reply);
    return r < 0 ? r : rekey_go_on(rekey);
}

static void rekey_sent(Task *task)
{
    const RekeyChildTask *rekey = (const RekeyChildTask *)task;

    report_line(task->sa->config, LOG_INFO,
                "asking the SeGW for a Child SA in the place of %08x%s%s", rekey->replaces,
                rekey->group != IKE_GROUP_NONE ? ", KE " : "",
                rekey->group != IKE_GROUP_NONE ? proposals_group_name(rekey->group) : "");
}

/* What the response grants receives as soon as tred has opened it, since a peer may send at once.
 */
static size_t rekey_along(const Task *task, TreCall *calls)
{
    calls[0] = (TreCall){.method = TRE_ADD_CHILD, .spi_in = ((const RekeyChildTask *)task)->spi_in};
    return 1;
}

static int rekey_answered(Task *task, const TreReply *reply)
{
    RekeyChildTask *rekey = (RekeyChildTask *)task;
    IkePayloads payloads;

    if (ike_payloads_decode(reply->opened.first, reply->opened.payloads, &payloads, NULL) != 0) {
        rekey->answer = (CreateAnswer){.verdict = CREATE_INVALID, .why = "what does not parse"};
    } else {
        create_child_answer_judge(&rekey->offer, &rekey->material, &rekey->old, true, &payloads,
                                  &rekey->answer);
    }
    return 0;
}

/* The peer has no such Child SA (RFC 7296 2.25): it has rekeyed it at the same time, and deleted
 * it, or has lost it. */
static void not_found(RekeyChildTask *rekey)
{
    ChildSa *child = replaced(rekey);

    if (!child || !child_sa_is_current(rekey->task.sa->children, child)) {
        report_line(rekey->task.sa->config, LOG_DEBUG, "the SeGW has rekeyed the Child SA itself");
        return;
    }
    report_line(rekey->task.sa->config, LOG_NOTICE,
                "the SeGW does not know the Child SA %08x any more: asking for another",
                rekey->replaces);
    child->lost = true;
}

/* Without one beside that of IKE_AUTH the tunnel goes on. */
static void refused(const RekeyChildTask *rekey, ChildSa *child)
{
    const CreateAnswer *answer = &rekey->answer;
    IkeSa *sa = rekey->task.sa;

    if (child->place < CHILD_NAMED || child->place >= CHILD_PLACES ||
        answer->error == IKE_NOTIFY_TEMPORARY_FAILURE ||
        answer->error == IKE_NOTIFY_INVALID_KE_PAYLOAD) {
        rekey_refused(sa, answer, rekey->group, &sa->groups.child);
        return;
    }
    child->unwanted = true;
    configured_child_refused(sa, child->place, "the SeGW refused its rekeying with %s (%u): %s",
                             ike_notify_name(answer->error), answer->error,
                             advice_for(answer->error));
}

static void take_refusal(RekeyChildTask *rekey)
{
    IkeSa *sa = rekey->task.sa;
    const CreateAnswer *answer = &rekey->answer;
    ChildSa *child = replaced(rekey);

    if (answer->verdict == CREATE_INVALID) {
        rekey_renew(sa, "the SeGW's CREATE_CHILD_SA response has %s", answer->why);
    } else if (answer->error == IKE_NOTIFY_CHILD_SA_NOT_FOUND && !rekey->from_scratch) {
        not_found(rekey);
    } else if (child && child_sa_is_current(sa->children, child)) {
        refused(rekey, child);
    } /* else the peer has rekeyed it at the same time, or deleted it: nothing is to be done */
}

static int rekey_child_added(Task *task, const TreReply *reply)
{
    RekeyChildTask *rekey = (RekeyChildTask *)task;
    IkeSa *sa = task->sa;
    const NewChild new = {.spi_in = rekey->spi_in,
                          .replaces = rekey->replaces,
                          .place = rekey->place,
                          .answer = &rekey->answer.child,
                          .lowest = &rekey->answer.lowest};
    (void)reply;

    if (rekey->answer.verdict != CREATE_GRANTED) { /* not to us */
        const ChildSa *old = replaced(rekey);
        if (old)
            rekey_use_child(sa, old->spi_in);
        give_back(rekey);
        take_refusal(rekey);
        return task_done(task);
    }
    rekey_succeeded(sa);
    int r = rekey_add_child(sa, &new);
    if (r < 0)
        return r;
    if (rekey->from_scratch) /* without a word: the peer has lost it */
        rekey_remove_child(sa, rekey->replaces);
    return task_done(task);
}

/* There is none, if the peer refused; or tred won't have it. */
static int rekey_child_refused(Task *task, const TreReply *reply)
{
    RekeyChildTask *rekey = (RekeyChildTask *)task;

    give_back(rekey);
    if (rekey->answer.verdict == CREATE_GRANTED) {
        rekey_renew(task->sa, "tred did not take the new Child SA (%s): %s", reply->error,
                    reply->text);
    } else {
        take_refusal(rekey);
    }
    return task_done(task);
}

static int rekey_not_prepared(Task *task, const TreReply *reply)
{
    give_back((RekeyChildTask *)task);
    rekey_renew(task->sa, "tred does not prepare the rekeying of a Child SA (%s): %s", reply->error,
                reply->text);
    return task_done(task);
}

const TaskKind rekey_child_task = {
    .name = "rekeying of the Child SA",
    .size = sizeof(RekeyChildTask),
    .tries_max = UINT_MAX,
    .begin = rekey_begin,
    .done = {[TRE_ALLOCATE_SPI] = rekey_take_spi,
             [TRE_SET_DSCPS] = rekey_set,
             [TRE_PREPARE_CREATE_CHILD] = rekey_take_material,
             [TRE_ADD_CHILD] = rekey_child_added},
    .refused = {[TRE_ALLOCATE_SPI] = rekey_not_prepared,
                [TRE_SET_DSCPS] = rekey_not_prepared,
                [TRE_PREPARE_CREATE_CHILD] = rekey_not_prepared,
                [TRE_ADD_CHILD] = rekey_child_refused},
    .sent = rekey_sent,
    .along = rekey_along,
    .response = rekey_answered,
    .unanswered = task_found_silence,
};
