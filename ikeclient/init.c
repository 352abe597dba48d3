/* IKE_SA_INIT: the request, the judgement of answers that anyone could have sent, and the task that
 * leads from nothing to keys (steps 1 and 2 of the call flow). */
#include "ikeclient/init.h"

#include "base/log.h"
#include "base/reason.h"
#include "ikeclient/ike_sa_internal.h"
#include "ikeclient/proposals.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

int init_begin(InitExchange *init, const IkeSaPayload *offer, uint16_t group, uint64_t spi_i,
               Bytes nonce, Bytes ke)
{
    *init = (InitExchange){.offer = offer, .spi_i = spi_i};
    if (nonce.size < IKE_NONCE_MIN || nonce.size > sizeof(init->nonce))
        return -EMSGSIZE;
    memcpy(init->nonce, nonce.data, nonce.size);
    init->nonce_size = nonce.size;
    return init_change_group(init, group, ke);
}

int init_change_group(InitExchange *init, uint16_t group, Bytes ke)
{
    if (ke.size == 0 || ke.size > sizeof(init->ke))
        return -EMSGSIZE;
    memcpy(init->ke, ke.data, ke.size);
    init->ke_size = ke.size;
    init->group = group;
    return 0;
}

void init_request_encode(const InitExchange *init, const Endpoint *local, const Endpoint *remote,
                         Writer *writer)
{
    static const uint8_t hashes[] = {0, IKE_HASH_SHA2_256, 0, IKE_HASH_SHA2_384,
                                     0, IKE_HASH_SHA2_512}; /* RFC 7427 4: a list of u16 */
    IkeHeader header = {
        .spi_i = init->spi_i, .exchange_type = IKE_SA_INIT, .flags = IKE_FLAG_INITIATOR};
    uint8_t source[NAT_HASH_SIZE], destination[NAT_HASH_SIZE];
    IkeChain chain;

    Endpoint seen = *local;
    if (init->feign_nat) /* no source port is 0, so the peer finds a NAT, and puts ESP into UDP */
        endpoint_set_port(&seen, 0);
    nat_hash(init->spi_i, 0, &seen, source);
    nat_hash(init->spi_i, 0, remote, destination);

    ike_message_begin(writer, &header, &chain);
    if (init->cookie_size > 0) /* RFC 7296 2.6: first, and the rest as it was */
        ike_chain_add_notify(&chain, IKE_NOTIFY_COOKIE, (Bytes){init->cookie, init->cookie_size});
    ike_chain_add_sa(&chain, init->offer);
    ike_chain_add_ke(&chain, init->group, (Bytes){init->ke, init->ke_size});
    ike_chain_add(&chain, IKE_PAYLOAD_NONCE, (Bytes){init->nonce, init->nonce_size});
    ike_chain_add_notify(&chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(source));
    ike_chain_add_notify(&chain, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, BYTES_OF(destination));
    ike_chain_add_notify(&chain, IKE_NOTIFY_FRAGMENTATION_SUPPORTED, (Bytes){0});
    ike_chain_add_notify(&chain, IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS, BYTES_OF(hashes));
    ike_message_end(&chain);
}

/* NULL if the header is that of an answer to our request; else why not. */
static const char *header_problem(const InitExchange *init, const IkeHeader *header)
{
    if (header->exchange_type != IKE_SA_INIT)
        return "not an IKE_SA_INIT message";
    if (!(header->flags & IKE_FLAG_RESPONSE) || (header->flags & IKE_FLAG_INITIATOR))
        return "not a responder's response";
    if (header->spi_i != init->spi_i)
        return "another SPI";
    if (header->message_id != 0)
        return "another message ID";
    return NULL;
}

static InitVerdict drop(InitResponse *response, const char *why)
{
    response->why = why;
    return INIT_DROP;
}

static InitVerdict take_cookie(InitExchange *init, Bytes cookie, InitResponse *response)
{
    if (cookie.size == 0 || cookie.size > sizeof(init->cookie))
        return drop(response, "a cookie that is not of 1 to 64 octets");
    /* The second answer to a request that was sent twice: the cookie is under way already. */
    if (bytes_equal(cookie, (Bytes){init->cookie, init->cookie_size}))
        return drop(response, "the cookie that we have sent already");
    if (init->cookies == INIT_COOKIES_MAX)
        return drop(response, "one more cookie after several");
    init->cookies++;
    memcpy(init->cookie, cookie.data, cookie.size);
    init->cookie_size = cookie.size;
    return INIT_COOKIE;
}

static InitVerdict take_group(InitExchange *init, Bytes data, InitResponse *response)
{
    Reader reader;
    uint16_t group = 0;

    reader_init(&reader, data);
    if (reader_u16(&reader, &group) < 0 || reader_left(&reader) > 0)
        return drop(response, "INVALID_KE_PAYLOAD without a group");
    if (group == init->group)
        return drop(response, "INVALID_KE_PAYLOAD that names the group we sent");
    if (!proposals_have_group(init->offer, group))
        return drop(response, "INVALID_KE_PAYLOAD that names a group we did not offer");
    if (init->group_changes == INIT_GROUP_CHANGES_MAX)
        return drop(response, "one more INVALID_KE_PAYLOAD after several");
    init->group_changes++;
    response->group = group;
    return INIT_GROUP;
}

static InitVerdict judge(InitExchange *init, const IkeMessage *message, const Endpoint *local,
                         const Endpoint *remote, InitResponse *response)
{
    const IkePayloads *payloads = &message->payloads;
    IkeNotify notify;

    if (ike_payloads_notify(payloads, IKE_NOTIFY_COOKIE, &notify))
        return take_cookie(init, notify.data, response);
    if (ike_payloads_notify(payloads, IKE_NOTIFY_INVALID_KE_PAYLOAD, &notify))
        return take_group(init, notify.data, response);
    if (ike_payloads_error(payloads, &notify)) {
        response->error = notify.type;
        return INIT_HINT;
    }
    if (message->header.spi_r == 0)
        return drop(response, "an answer without a responder's SPI");
    if (!ike_payloads_find(payloads, IKE_PAYLOAD_SA) ||
        !ike_payloads_find(payloads, IKE_PAYLOAD_KE) ||
        !ike_payloads_find(payloads, IKE_PAYLOAD_NONCE))
        return drop(response, "an answer without SA, KE or Nr");

    response->spi_r = message->header.spi_r;
    response->nat = nat_find(message, local, remote);
    response->certreq = ike_payloads_find(payloads, IKE_PAYLOAD_CERTREQ) != NULL;
    response->fragmentation =
        ike_payloads_notify(payloads, IKE_NOTIFY_FRAGMENTATION_SUPPORTED, &notify);
    return INIT_ANSWER;
}

void init_response_judge(InitExchange *init, Bytes datagram, const Endpoint *local,
                         const Endpoint *remote, InitResponse *ret)
{
    IkeMessage message;
    IkeFault fault = {0};

    *ret = (InitResponse){.verdict = INIT_DROP};
    int r = ike_header_decode(datagram, &message.header);
    if (r != 0) {
        ret->why = ike_fault_text((IkeFaultCode)r);
        return;
    }
    /* Not ours is not worth reading. */
    ret->why = header_problem(init, &message.header);
    if (ret->why)
        return;
    r = ike_message_decode(datagram, &message, &fault);
    if (r != 0) {
        ret->why = ike_fault_text((IkeFaultCode)r);
    } else {
        ret->verdict = judge(init, &message, local, remote, ret);
    }
}

/* ---- the task ---- */

typedef struct InitTask {
    Task task;      /* first */
    size_t awaited; /* answers to the first calls */
    InitExchange exchange;
    InitResponse candidate; /* the answer that tred looks at */
} InitTask;

/* Both calls at once, which are answered in either order. */
static int init_begin_task(Task *task)
{
    const IkeSaPayload *offer = &task->sa->config->ike_offer;
    TreCall describe = {.method = TRE_DESCRIBE};
    TreCall begin = {.method = TRE_BEGIN, .group = proposals_first_group(offer)};

    steps_start(&task->sa->steps);
    ((InitTask *)task)->awaited = 2;
    int r = task_call(task, &describe);
    return r < 0 ? r : task_call(task, &begin);
}

/* Sends the request as it is now; RFC 7296 2.15 signs the last one sent. */
static int init_send(InitTask *init)
{
    IkeSa *sa = init->task.sa;
    const Endpoint *remote = transport_remote(sa->transport);
    char segw[ENDPOINT_TEXT_SIZE];
    Writer writer;
    Bytes request;

    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    init_request_encode(&init->exchange, transport_local(sa->transport), remote, &writer);
    int r = writer_finish(&writer, &request);
    if (r == 0)
        r = task_send_clear(&init->task, request);
    if (r < 0)
        return r;
    steps_log(&sa->steps, 1, "IKE_SA_INIT request", STEP_HENB_TO_SEGW,
              "%zu proposals, KE %s%s, to %s", init->exchange.offer->n_proposals,
              proposals_group_name(init->exchange.group),
              init->exchange.cookie_size > 0 ? ", COOKIE" : "", endpoint_text(remote, segw));
    return 0;
}

/* One answer more: the request is made once both are there. */
static int init_go_on(InitTask *init)
{
    if (--init->awaited > 0)
        return 0;
    init->exchange.feign_nat = init->task.sa->identity.needs_udp;
    return init_send(init);
}

static int init_described(Task *task, const TreReply *reply)
{
    IkeSa *sa = task->sa;

    int r = tre_identity_init(&sa->identity, &reply->description);
    if (r < 0)
        return r;
    steps_name(&sa->steps, sa->identity.identity, sa->identity.segw_identity);
    return init_go_on((InitTask *)task);
}

static int init_begun(Task *task, const TreReply *reply)
{
    InitTask *init = (InitTask *)task;
    IkeSa *sa = task->sa;
    const IkeSaPayload *offer = &sa->config->ike_offer;

    (void)snprintf(sa->exchange, sizeof(sa->exchange), "%s", reply->begun.exchange);
    sa->spi_i = reply->begun.spi_i;
    int r = init_begin(&init->exchange, offer, proposals_first_group(offer), reply->begun.spi_i,
                       reply->begun.nonce_i, reply->begun.ke_i);
    return r < 0 ? r : init_go_on(init);
}

static int init_take_group(Task *task, const TreReply *reply)
{
    InitTask *init = (InitTask *)task;

    int r = init_change_group(&init->exchange, init->candidate.group, reply->ke_i);
    return r < 0 ? r : init_send(init);
}

static int init_choose_group(InitTask *init)
{
    TreCall call = {.method = TRE_CHOOSE_GROUP, .group = init->candidate.group};

    steps_log(&init->task.sa->steps, 2, "IKE_SA_INIT response", STEP_SEGW_TO_HENB,
              "INVALID_KE_PAYLOAD, %s wanted", proposals_group_name(init->candidate.group));
    init->task.phase = TASK_ANSWERED;
    return task_call(&init->task, &call);
}

static bool init_agree_answered(Flight *flight, const TreReply *reply)
{
    IkeSa *sa = flight->sa;

    if (!sa->closed)
        task_replied(sa->tasks.first, reply);
    return reply->outcome == TRE_DONE;
}

/* True if no plane of tred's could carry ESP to that SeGW. */
static bool lacks_udp(const IkeSa *sa, const NatFinding *nat)
{
    return sa->identity.needs_udp && !nat->supported;
}

/* The request goes on being sent meanwhile: the answer may be a forged one. Along with it goes what
 * IKE_AUTH needs: tred refuses that of an exchange that has not agreed, and has done nothing then.
 */
static int init_agree(InitTask *init, Bytes datagram)
{
    IkeSa *sa = init->task.sa;
    const NatFinding *nat = &init->candidate.nat;
    const Datagrams *request = &sa->tasks.request;
    TreCall call = {.method = TRE_AGREE,
                    .agree = {.request = {request->items[0].data, request->items[0].size},
                              .response = datagram}};
    TreCall along[AUTH_CALLS_MAX];
    size_t n_along = lacks_udp(sa, nat) ? 0 : auth_first_calls(sa, nat, along);
    Flight *flight = flight_new(sa);

    if (!flight)
        return -EBUSY;
    init->task.phase = TASK_ANSWERED;
    return flight_start(flight, &call, init_agree_answered, along, n_along);
}

static int init_not_agreed(Task *task, const TreReply *reply)
{
    ike_sa_hint(task->sa, 0, "tred refused an IKE_SA_INIT response (%s): %s", reply->error,
                reply->text);
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

/* tred has the keys: from here on the peer's SPI is fixed. */
static int init_agreed(Task *task, const TreReply *reply)
{
    const InitResponse *answer = &((InitTask *)task)->candidate;
    IkeSa *sa = task->sa;

    sa->spi_r = answer->spi_r;
    sa->nat = answer->nat;
    (void)snprintf(sa->suite, sizeof(sa->suite), "%s", reply->suite);
    steps_log(&sa->steps, 2, "IKE_SA_INIT response", STEP_SEGW_TO_HENB, "%s, %s%s, %s", sa->suite,
              answer->certreq ? "CERTREQ" : "no CERTREQ",
              answer->fragmentation ? ", fragmentation" : "", nat_text(&sa->nat));
    if (lacks_udp(sa, &sa->nat)) {
        reason_set(&sa->reason, 0,
                   "the SeGW does not know ESP in UDP (RFC 7296 2.23), without which "
                   "tred's data plane \"user\" can't do: switch it on there, or use "
                   "a kernel with ESP");
        ike_sa_end(sa, IKE_SA_FAILED);
        return 0;
    }
    int r = task_add(sa, &auth_task);
    return r < 0 ? r : task_done(task);
}

static int init_clear(Task *task, Bytes datagram)
{
    InitTask *init = (InitTask *)task;
    IkeSa *sa = task->sa;

    init_response_judge(&init->exchange, datagram, transport_local(sa->transport),
                        transport_remote(sa->transport), &init->candidate);
    switch (init->candidate.verdict) {
    case INIT_HINT: /* anyone could have sent it (RFC 7296 2.21.1): wait on, report it if nothing
                       comes */
        ike_sa_hint(sa, init->candidate.error, "somebody there answered %s",
                    ike_notify_name(init->candidate.error));
        return 0;
    case INIT_COOKIE:
        steps_log(&sa->steps, 2, "IKE_SA_INIT response", STEP_SEGW_TO_HENB, "COOKIE asked for");
        return init_send(init);
    case INIT_GROUP:
        return init_choose_group(init);
    case INIT_ANSWER:
        return init_agree(init, datagram);
    case INIT_DROP:
    default:
        ike_sa_drop(sa, init->candidate.why);
        return 0;
    }
}

static void init_unanswered(Task *task)
{
    ike_sa_explain_silence(task->sa, "answer that could be used");
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
