/* The queue of tasks: sealing, sending, sending again, and handing on what comes back; calls that
 * go along with others; and the answer to the peer's request: sealed, kept, and sent once or again.
 */
#include "ikeclient/task.h"

#include "base/reason.h"

#include <errno.h>
#include <stdlib.h>

static void free_task(IkeSa *sa, Task *task)
{
    tre_forget(sa->tre, task);
    for (size_t i = 0; i < ELEMENTS(sa->flights); i++) { /* no answer goes to it any more */
        if (sa->flights[i].task == task)
            sa->flights[i].task = NULL;
    }
    free(task);
}

static int begin_first(IkeSa *sa)
{
    Task *task = sa->tasks.first;

    if (!task || task->phase != TASK_WAITING || sa->closed)
        return 0;
    task->phase = TASK_PREPARING;
    return task->kind->begin(task);
}

int task_add(IkeSa *sa, const TaskKind *kind)
{
    Task **place = &sa->tasks.first;
    Task *task = calloc(1, kind->size);

    if (!task)
        return -ENOMEM;
    task->sa = sa;
    task->kind = kind;
    while (*place)
        place = &(*place)->next;
    *place = task;
    return begin_first(sa);
}

Task *task_find(const IkeSa *sa, const TaskKind *kind)
{
    for (Task *task = sa->tasks.first; task; task = task->next) {
        if (task->kind == kind)
            return task;
    }
    return NULL;
}

void tasks_drop_waiting(IkeSa *sa)
{
    Task *first = sa->tasks.first;

    while (first && first->next) {
        Task *waiting = first->next;
        first->next = waiting->next;
        free_task(sa, waiting);
    }
}

/* The response is there, and is the right one: the request is not sent again. */
static void task_answered(Task *task)
{
    IkeSa *sa = task->sa;

    retransmit_stop(&sa->tasks.retransmit);
    transport_end_tries(sa->transport);
    sa->tasks.open = false;
    task->phase = TASK_ANSWERED;
}

int task_done(Task *task)
{
    IkeSa *sa = task->sa;

    task_answered(task);
    sa->tasks.first = task->next;
    free_task(sa, task);
    int r = begin_first(sa);
    if (r == 0 && !sa->tasks.first && sa->tasks.idle)
        sa->tasks.idle(sa);
    return r;
}

/* ---- tred's answers ---- */

/* Ends the SA where a handler failed. */
static void check(IkeSa *sa, int r)
{
    if (r < 0)
        ike_sa_fail(sa, r);
}

/* True if tred did what it was asked for; else the SA has ended. */
static bool accepted(IkeSa *sa, const TreReply *reply)
{
    if (reply->outcome == TRE_GONE) {
        reason_set(&sa->reason, 0, "%s", reply->text);
        ike_sa_end(sa, IKE_SA_LOST);
    } else if (reply->outcome == TRE_REFUSED) {
        reason_set(&sa->reason, 0, "tred refused (%s): %s", reply->error, reply->text);
        ike_sa_end(sa, IKE_SA_FAILED);
    }
    return reply->outcome == TRE_DONE;
}

void task_replied(Task *task, const TreReply *reply)
{
    IkeSa *sa = task->sa;
    TaskStep refused = task->kind->refused[reply->method];

    if (sa->closed)
        return;
    if (reply->outcome == TRE_REFUSED && refused) {
        check(sa, refused(task, reply));
    } else if (accepted(sa, reply) && task->kind->done[reply->method]) {
        check(sa, task->kind->done[reply->method](task, reply));
    }
}

static void on_reply(void *userdata, const TreReply *reply)
{
    task_replied(userdata, reply);
}

int task_call(Task *task, TreCall *call)
{
    IkeSa *sa = task->sa;

    if (!call->exchange && sa->exchange[0] != 0)
        call->exchange = sa->exchange;
    return tre_call(sa->tre, call, on_reply, task);
}

/* ---- the request ---- */

/* Sends what is in `request`, and watches for the response. */
static int send_request(Task *task, uint32_t message_id)
{
    IkeSa *sa = task->sa;
    unsigned tries = (unsigned)sa->config->retransmit_tries;
    RetransmitSchedule schedule = {sa->config->retransmit_timeout,
                                   tries < task->kind->tries_max ? tries : task->kind->tries_max,
                                   ike_sa_request_limit_ms(sa)};

    int r = retransmit_start(&sa->tasks.retransmit, schedule);
    if (r < 0)
        return r;
    task->phase = TASK_SENT;
    sa->tasks.open = true;
    sa->tasks.message_id = message_id;
    transport_send_all(sa->transport, &sa->tasks.request);
    return 0;
}

int task_send_clear(Task *task, Bytes message)
{
    int r = datagrams_set(&task->sa->tasks.request, &message, 1);
    return r < 0 ? r : send_request(task, 0);
}

static void on_sealed(void *userdata, const TreReply *reply)
{
    Task *task = userdata;
    IkeSa *sa = task->sa;

    if (sa->closed || !accepted(sa, reply))
        return;
    int r = datagrams_set(&sa->tasks.request, reply->sealed.datagrams, reply->sealed.count);
    if (r == 0)
        r = send_request(task, reply->sealed.message_id);
    if (r == 0 && task->kind->sent)
        task->kind->sent(task);
    check(sa, r);
}

int task_seal(Task *task, uint8_t exchange_type, uint8_t first, Bytes payloads)
{
    IkeSa *sa = task->sa;
    TreCall call = {.method = TRE_PROTECT,
                    .exchange = sa->exchange,
                    .protect = {.exchange_type = exchange_type,
                                .first = first,
                                .payloads = payloads,
                                .max_datagram = transport_max_message(sa->transport,
                                                                      sa->config->fragment_size)}};

    return tre_call(sa->tre, &call, on_sealed, task);
}

/* ---- the response ---- */

bool tasks_await(const IkeSa *sa, uint32_t message_id)
{
    return sa->tasks.open && sa->tasks.message_id == message_id;
}

bool tasks_response(IkeSa *sa, const TreReply *opened)
{
    Task *task = sa->tasks.first;

    /* Of a response that came twice, both were handed to tred. */
    if (sa->closed || !task || !tasks_await(sa, opened->opened.message_id))
        return false;
    task_answered(task);
    check(sa, task->kind->response(task, opened));
    return true;
}

static void on_retransmit(void *userdata, bool gave_up)
{
    IkeSa *sa = userdata;

    if (!gave_up) {
        report_line(sa->config, LOG_DEBUG, "no answer yet: sending the %s again",
                    sa->tasks.first->kind->name);
        transport_send_all(sa->transport, &sa->tasks.request);
        if (retransmit_is_late(&sa->tasks.retransmit) && sa->tasks.late)
            sa->tasks.late(sa);
        return;
    }
    sa->tasks.open = false;
    sa->silent = true;
    sa->tasks.first->kind->unanswered(sa->tasks.first);
}

/* ---- the queue ---- */

void tasks_init(IkeSa *sa)
{
    retransmit_init(&sa->tasks.retransmit, sa->event, on_retransmit, sa);
}

void tasks_deinit(IkeSa *sa)
{
    while (sa->tasks.first) {
        Task *task = sa->tasks.first;
        sa->tasks.first = task->next;
        free_task(sa, task);
    }
    retransmit_deinit(&sa->tasks.retransmit);
    datagrams_deinit(&sa->tasks.request);
}

/* ---- calls to tred that go out at once ---- */

Flight *flight_new(IkeSa *sa)
{
    for (size_t i = 0; i < ELEMENTS(sa->flights); i++) {
        Flight *flight = &sa->flights[i];
        if (flight->sa)
            continue;
        *flight = (Flight){.sa = sa};
        return flight;
    }
    return NULL;
}

void flight_free(Flight *flight)
{
    if (!flight->sa)
        return;
    tre_forget(flight->sa->tre, flight);
    free(flight->request);
    *flight = (Flight){0};
}

static void flight_landed(Flight *flight)
{
    if (--flight->n_calls == 0)
        flight_free(flight);
}

/* What the lead has led to is the first task now. */
static void on_lead(void *userdata, const TreReply *reply)
{
    Flight *flight = userdata;
    IkeSa *sa = flight->sa;

    if (flight->handler(flight, reply) && !sa->closed)
        flight->task = sa->tasks.first;
    flight_landed(flight);
}

static void on_along(void *userdata, const TreReply *reply)
{
    Flight *flight = userdata;
    Task *task = flight->task;

    flight_landed(flight);
    if (task)
        task_replied(task, reply);
}

static int call(Flight *flight, const TreCall *made, TreHandler handler)
{
    TreCall copy = *made;

    copy.exchange = flight->sa->exchange;
    int r = tre_call(flight->sa->tre, &copy, handler, flight);
    if (r == 0)
        flight->n_calls++;
    return r;
}

int flight_start(Flight *flight, const TreCall *lead, FlightHandler handler, const TreCall *along,
                 size_t n_along)
{
    flight->handler = handler;
    int r = call(flight, lead, on_lead);
    for (size_t i = 0; r == 0 && i < n_along; i++)
        r = call(flight, &along[i], on_along);
    if (r < 0)
        flight_free(flight);
    return r;
}

/* ---- the answer to the peer's request ---- */

enum { STRANGE_ANSWERS_MAX = 8 };

void peer_queue_take(IkeSa *sa, uint8_t *datagram, size_t size, const Endpoint *sender)
{
    PeerQueue *peer = &sa->peer;

    peer->n_strange = 0;
    free(peer->answered);
    peer->answered = datagram;
    peer->answered_size = size;
    peer->sender = *sender;
    peer->request = (PeerRequest){0};
    datagrams_deinit(&peer->answer);
}

/* RFC 7383 2.6.1: of a request in fragments that comes again the first one counts, however it is
 * cut now: whoever has no answer may think that his datagrams were too large. Nobody vouches for
 * it, and anybody who has seen the request's header can make one. */
static bool is_first_fragment_of(Bytes datagram, const IkeHeader *request)
{
    const IkePayload *payload;
    IkeFragment fragment;
    IkeMessage message;

    if (ike_message_decode(datagram, &message, NULL) != 0 ||
        message.header.flags & IKE_FLAG_RESPONSE || message.header.spi_i != request->spi_i ||
        message.header.spi_r != request->spi_r ||
        message.header.message_id != request->message_id ||
        message.header.exchange_type != request->exchange_type)
        return false;
    payload = ike_payloads_find(&message.payloads, IKE_PAYLOAD_SKF);
    return payload && ike_fragment_decode(payload->body, &fragment) == 0 && fragment.number == 1;
}

/* The answer goes to where the request comes from (RFC 7296 2.11), also where that has changed, as
 * a NAT before the SeGW may have rebound. But whoever has seen the request can send it again, from
 * any address that he likes: it is no more than a few times that the answer goes elsewhere than
 * before. */
bool peer_queue_repeats(IkeSa *sa, Bytes datagram, const Endpoint *sender)
{
    PeerQueue *peer = &sa->peer;
    const Bytes request = {peer->answered, peer->answered_size};
    const bool answered = peer->answer.count > 0;
    IkeHeader header;

    if ((!answered && !peer->create.pending) || ike_header_decode(request, &header) != 0)
        return false;
    const bool recut = !bytes_equal(datagram, request);
    if (recut && !is_first_fragment_of(datagram, &header))
        return false;
    const bool strange = recut || !endpoint_equals(sender, &peer->sender);
    if (!answered || peer->answer_held || (strange && peer->n_strange == STRANGE_ANSWERS_MAX))
        return true;
    peer->n_strange += strange;
    transport_send_all_to(sa->transport, &peer->answer, recut ? &peer->sender : sender);
    return true;
}

int peer_queue_seal(IkeSa *sa, uint8_t exchange_type, uint8_t first, Bytes payloads,
                    TreHandler handler)
{
    const TreCall call = {.method = TRE_PROTECT,
                          .exchange = sa->exchange,
                          .protect = {.exchange_type = exchange_type,
                                      .response = true,
                                      .first = first,
                                      .payloads = payloads,
                                      .max_datagram = transport_max_message(
                                          sa->transport, sa->config->fragment_size)}};

    return tre_call(sa->tre, &call, handler, &sa->peer);
}

int peer_queue_keep(IkeSa *sa, const TreReply *sealed)
{
    sa->peer.answer_held = true;
    return datagrams_set(&sa->peer.answer, sealed->sealed.datagrams, sealed->sealed.count);
}

void peer_queue_send(IkeSa *sa)
{
    sa->peer.answer_held = false;
    transport_send_all_to(sa->transport, &sa->peer.answer, &sa->peer.sender);
    sa->peer.sent(sa);
}

void peer_queue_unsealed(IkeSa *sa, const TreReply *reply)
{
    reason_set(&sa->reason, 0, "tred did not seal our answer: %s", reply->text);
    ike_sa_end(sa, IKE_SA_LOST);
}

void peer_queue_sealed(void *userdata, const TreReply *reply)
{
    PeerQueue *peer = userdata;
    IkeSa *sa = peer->sa;

    if (sa->closed)
        return;
    if (reply->outcome != TRE_DONE) {
        peer_queue_unsealed(sa, reply);
        return;
    }
    int r = peer_queue_keep(sa, reply);
    if (r < 0) {
        ike_sa_fail(sa, r);
    } else if (!peer->hold_delete || !peer->request.deletes_ike) {
        peer_queue_send(sa);
    }
}

void peer_queue_hold_delete(IkeSa *sa, bool hold)
{
    sa->peer.hold_delete = hold;
    if (!hold && sa->peer.answer_held && sa->peer.request.deletes_ike && !sa->closed)
        peer_queue_send(sa);
}

void peer_queue_init(IkeSa *sa)
{
    sa->peer.sa = sa;
}

void peer_queue_deinit(IkeSa *sa)
{
    tre_forget(sa->tre, &sa->peer);
    free(sa->peer.answered);
    datagrams_deinit(&sa->peer.answer);
}
