/* The task that leads from nothing to keys (steps 1 and 2 of the call flow): IKE_SA_INIT. Nobody
 * vouches for an answer to it, so that all that could be the peer's are kept until one of them
 * turns out to be, by an authentic answer to IKE_AUTH (RFC 7296 2.4). */
#include "base/reason.h"
#include "ikeclient/ike_sa_internal.h"
#include "ikeclient/init_answers.h"
#include "ikeclient/proposals.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct InitTask {
    Task task;      /* first */
    size_t awaited; /* answers to the first calls */
    uint16_t group; /* that ChooseGroup was asked for */
    size_t answer;  /* that tred looks at */
} InitTask;

/* ---- the request ---- */

/* Both calls at once, which are answered in either order. */
static int init_begin_task(Task *task)
{
    const IkeSaPayload *offer = &task->sa->config->ike_offer;
    TreCall describe = {.method = TRE_DESCRIBE};
    TreCall begin = {.method = TRE_BEGIN, .begin.group = proposals_first_group(offer)};
    const char *name = task->sa->config->name;

    if (strcmp(name, CONNECTION_DEFAULT) != 0)
        begin.begin.segw = name;
    steps_start(&task->sa->steps);
    ((InitTask *)task)->awaited = 2;
    int r = task_call(task, &describe);
    return r < 0 ? r : task_call(task, &begin);
}

/* Sends the request as it is now; RFC 7296 2.15 signs the last one sent. */
static int init_send(InitTask *task)
{
    IkeSa *sa = task->task.sa;
    InitState *init = sa->init;
    const Endpoint *remote = transport_remote(sa->transport);
    char segw[ENDPOINT_TEXT_SIZE];
    Writer writer;
    Bytes request;

    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    init_request_encode(&init->exchange, transport_local(sa->transport), remote, &writer);
    int r = writer_finish(&writer, &request);
    if (r == 0)
        r = init_keep_request(init, request);
    if (r == 0)
        r = task_send_clear(&task->task, request);
    if (r < 0)
        return r;
    steps_log(&sa->steps, 1, "IKE_SA_INIT request", STEP_HENB_TO_SEGW,
              "%zu proposals, KE %s%s, to %s", init->exchange.offer->n_proposals,
              proposals_group_name(init->exchange.group),
              init->exchange.cookie_size > 0 ? ", COOKIE" : "", endpoint_text(remote, segw));
    return 0;
}

/* One answer more: the request is made once both are there. */
static int init_go_on(InitTask *task)
{
    IkeSa *sa = task->task.sa;

    if (--task->awaited > 0)
        return 0;
    sa->init->exchange.feign_nat = sa->identity.needs_udp;
    sa->init->exchange.redirected_from = sa->redirected_from;
    return init_send(task);
}

static int rival_go_on(InitTask *task);

/* Once both what tred says of itself and, of another SeGW than [segw]'s, the name are there. */
static int take_segw_identity(IkeSa *sa)
{
    if (!sa->identity.identity || sa->segw_identity[0] == 0)
        return 0;
    char *copy = strdup(sa->segw_identity);
    if (!copy)
        return -ENOMEM;
    free(sa->identity.segw_identity);
    sa->identity.segw_identity = copy;
    return 0;
}

/* What tred says of another SeGW than [segw]'s. */
static int note_segw(IkeSa *sa, const TreReply *reply)
{
    const size_t count = reply->begun.n_anchors;
    Writer writer;

    (void)snprintf(sa->segw_identity, sizeof(sa->segw_identity), "%s", reply->begun.segw_identity);
    free(sa->segw_anchors);
    sa->segw_anchors = malloc(count * TRE_HASH_SIZE + 1); /* malloc(0) may be NULL */
    if (!sa->segw_anchors)
        return -ENOMEM;
    sa->n_segw_anchors = count;
    writer_init(&writer, sa->segw_anchors, count * TRE_HASH_SIZE);
    for (size_t i = 0; i < count; i++) {
        if (reply->begun.anchors[i].size != TRE_HASH_SIZE)
            return -EBADMSG;
        writer_bytes(&writer, reply->begun.anchors[i]);
    }
    return 0;
}

static int init_described(Task *task, const TreReply *reply)
{
    IkeSa *sa = task->sa;

    int r = tre_identity_init(&sa->identity, &reply->description);
    if (r >= 0)
        r = take_segw_identity(sa);
    if (r < 0)
        return r;
    steps_name(&sa->steps, sa->identity.identity, sa->identity.segw_identity);
    return task->kind == &rival_task ? rival_go_on((InitTask *)task) : init_go_on((InitTask *)task);
}

static int init_begun(Task *task, const TreReply *reply)
{
    IkeSa *sa = task->sa;
    const IkeSaPayload *offer = &sa->config->ike_offer;

    sa->init = calloc(1, sizeof(*sa->init));
    if (!sa->init)
        return -ENOMEM;
    (void)snprintf(sa->exchange, sizeof(sa->exchange), "%s", reply->begun.exchange);
    sa->spi_i = reply->begun.spi_i;
    sa->steps.spi = sa->spi_i;
    int r = reply->begun.segw_identity ? note_segw(sa, reply) : 0;
    if (r >= 0)
        r = take_segw_identity(sa);
    if (r < 0)
        return r;
    if (sa->identity.identity)
        steps_name(&sa->steps, sa->identity.identity, sa->identity.segw_identity);
    r = init_begin(&sa->init->exchange, offer, proposals_first_group(offer), reply->begun.spi_i,
                   reply->begun.nonce_i, reply->begun.ke_i);
    return r < 0 ? r : init_go_on((InitTask *)task);
}

static int init_take_group(Task *task, const TreReply *reply)
{
    InitTask *init = (InitTask *)task;

    int r = init_change_group(&task->sa->init->exchange, init->group, reply->ke_i);
    return r < 0 ? r : init_send(init);
}

static int init_choose_group(InitTask *task, uint16_t group)
{
    TreCall call = {.method = TRE_CHOOSE_GROUP, .group = group};

    steps_log(&task->task.sa->steps, 2, "IKE_SA_INIT response", STEP_SEGW_TO_HENB,
              "INVALID_KE_PAYLOAD, %s wanted", proposals_group_name(group));
    task->group = group;
    task->task.phase = TASK_ANSWERED;
    return task_call(&task->task, &call);
}

/* ---- keys ---- */

static bool init_agree_answered(Flight *flight, const TreReply *reply)
{
    IkeSa *sa = flight->sa;

    if (!sa->closed)
        task_replied(sa->tasks.first, reply);
    return reply->outcome == TRE_DONE;
}

/* Asks tred to agree on an answer. The request goes on being sent meanwhile. Along with it goes
 * what IKE_AUTH needs: tred refuses that of an exchange that has not agreed, and has done nothing
 * then.
 */
static int init_agree(InitTask *task, size_t index)
{
    IkeSa *sa = task->task.sa;
    InitState *init = sa->init;
    InitAnswer *answer = &init->answers[index];
    TreCall call = {.method = TRE_AGREE,
                    .agree = {.request = {init->request, init->request_size},
                              .response = {answer->octets, answer->size}}};
    TreCall along[AUTH_CALLS_MAX];
    size_t n_along = auth_first_calls(sa, &answer->judged.nat, along);
    Flight *flight = flight_new(sa);

    if (!flight)
        return -EBUSY;
    answer->taken = true;
    task->answer = index;
    task->task.phase = TASK_ANSWERED;
    return flight_start(flight, &call, init_agree_answered, along, n_along);
}

/* Nobody vouched for it: the next one may be better. */
static int init_not_agreed(Task *task, const TreReply *reply)
{
    InitTask *init_task_ = (InitTask *)task;
    InitState *init = task->sa->init;

    (void)ike_sa_hint(task->sa, "an answer to IKE_SA_INIT came that tred refused (%s): %s",
                      reply->error, reply->text);
    init_answer_drop(init, init_task_->answer);
    if (init->n_answers > 0)
        return init_agree(init_task_, 0);
    task->phase = TASK_SENT;
    return 0;
}

static const char *nat_text(const NatFinding *nat)
{
    if (!nat->supported)
        return "no NAT detection";
    if (nat->here)
        return nat->there ? "NAT at both ends" : "NAT on our side";
    return nat->there ? "NAT on the SeGW's side" : "no NAT";
}

/* The other answers that came are followed up by IKE SAs of their own. */
static void tell_of_others(IkeSa *sa)
{
    for (size_t i = 0; sa->init && i < sa->init->n_answers; i++) {
        if (!sa->init->answers[i].taken)
            sa->handlers->another(sa->userdata, sa);
    }
}

/* tred has the keys: from here on the peer's SPI is fixed. */
static int init_agreed(Task *task, const TreReply *reply)
{
    IkeSa *sa = task->sa;
    const InitResponse *answer = &sa->init->answers[((InitTask *)task)->answer].judged;

    sa->spi_r = answer->spi_r;
    sa->nat = answer->nat;
    sa->segw_hashes = answer->hashes;
    (void)snprintf(sa->suite, sizeof(sa->suite), "%s", reply->suite);
    steps_log(&sa->steps, 2, "IKE_SA_INIT response", STEP_SEGW_TO_HENB, "%s, %s%s, %s", sa->suite,
              answer->certreq ? "CERTREQ" : "no CERTREQ",
              answer->fragmentation ? ", fragmentation" : "", nat_text(&sa->nat));
    sa->handlers->agreed(sa->userdata, sa);
    int r = task_add(sa, &auth_task);
    tell_of_others(sa);
    return r < 0 ? r : task_done(task);
}

/* ---- what comes in ---- */

static int init_clear(Task *task, Bytes datagram, const Endpoint *sender)
{
    InitTask *init = (InitTask *)task;
    IkeSa *sa = task->sa;
    InitResponse judged;

    if (!init_answer_is_from_peer(sa, sender))
        return 0;
    init_response_judge(&sa->init->exchange, datagram, transport_local(sa->transport), sender,
                        &judged);
    switch (judged.verdict) {
    case INIT_HINT: /* anyone could have sent it (RFC 7296 2.21.1): wait on, report it if nothing
                       comes */
    case INIT_UNFIT:
        init_answer_hint(sa, &judged);
        return 0;
    case INIT_COOKIE:
        steps_log(&sa->steps, 2, "IKE_SA_INIT response", STEP_SEGW_TO_HENB, "COOKIE asked for");
        return init_send(init);
    case INIT_GROUP:
        return init_choose_group(init, judged.group);
    case INIT_REDIRECT:
        steps_log(&sa->steps, 2, "IKE_SA_INIT response", STEP_SEGW_TO_HENB, "REDIRECT to %s",
                  judged.redirect.name);
        ike_sa_end(sa, ike_sa_follow(sa, &judged.redirect) ? IKE_SA_STOPPED : IKE_SA_FAILED);
        return 0;
    case INIT_ANSWER:
        judged.why = init_answer_take(sa, datagram, &judged);
        if (!judged.why)
            return init_agree(init, sa->init->n_answers - 1);
        break;
    case INIT_DROP:
    default:
        break;
    }
    ike_sa_drop(sa, judged.why);
    return 0;
}

/* An answer that comes while tred looks at another, or while IKE_AUTH is under way with its keys.
 */
void init_take_late(IkeSa *sa, Bytes datagram, const Endpoint *sender)
{
    InitExchange exchange = sa->init->exchange; /* what it asks for is not done any more */
    InitResponse judged;

    if (sa->init->n_answers == 0 || !init_answer_is_from_peer(sa, sender))
        return;
    init_response_judge(&exchange, datagram, transport_local(sa->transport), sender, &judged);
    if (judged.verdict != INIT_ANSWER)
        return;
    const char *why = init_answer_take(sa, datagram, &judged);
    if (why) {
        ike_sa_drop(sa, why);
    } else if (sa->spi_r != 0) {
        tell_of_others(sa);
    }
}

static void init_unanswered(Task *task)
{
    ike_sa_explain_silence_to_init(task->sa);
    ike_sa_end(task->sa, IKE_SA_FAILED);
}

const TaskKind init_task = {
    .name = "IKE_SA_INIT request",
    .size = sizeof(InitTask),
    .tries_max = UINT_MAX,
    .begin = init_begin_task,
    .done = {[TRE_DESCRIBE] = init_described,
             [TRE_BEGIN] = init_begun,
             [TRE_CHOOSE_GROUP] = init_take_group,
             [TRE_AGREE] = init_agreed},
    .refused = {[TRE_AGREE] = init_not_agreed},
    .clear = init_clear,
    .unanswered = init_unanswered,
};

/* ---- a rival: another answer to the request of an IKE SA that goes on with the first ---- */

static int rival_begin(Task *task)
{
    TreCall describe = {.method = TRE_DESCRIBE};
    TreCall fork = {.method = TRE_FORK, .exchange = task->sa->forked_from};

    ((InitTask *)task)->awaited = 2;
    int r = task_call(task, &describe);
    return r < 0 ? r : task_call(task, &fork);
}

static int rival_go_on(InitTask *task)
{
    return --task->awaited > 0 ? 0 : init_agree(task, 0);
}

static int rival_forked(Task *task, const TreReply *reply)
{
    IkeSa *sa = task->sa;

    (void)snprintf(sa->exchange, sizeof(sa->exchange), "%s", reply->begun.exchange);
    return rival_go_on((InitTask *)task);
}

const TaskKind rival_task = {
    .name = "another IKE_SA_INIT response",
    .size = sizeof(InitTask),
    .tries_max = UINT_MAX,
    .begin = rival_begin,
    .done = {[TRE_DESCRIBE] = init_described, [TRE_FORK] = rival_forked, [TRE_AGREE] = init_agreed},
};
