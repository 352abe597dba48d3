/* Which of the datagrams that come in concern this IKE SA now, and as which event? Nothing here
 * trusts them. */
#include "ikeclient/association_internal.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_init_response(Association *a, Bytes datagram)
{
    InitResponse response;
    AssociationInput input = {.init = &response, .datagram = datagram};

    init_response_judge(&a->init, datagram, transport_local(a->transport),
                        transport_remote(a->transport), &response);
    switch (response.verdict) {
    case INIT_DROP:
        association_drop(a, response.why);
        break;
    case INIT_HINT: /* anyone could have sent it (RFC 7296 2.21.1): wait on, report it if nothing
                       comes */
        (void)snprintf(a->hint, sizeof(a->hint), "somebody there answered %s",
                       ike_notify_name(response.error));
        a->hint_error = response.error;
        log_debug("an unauthenticated %s: waiting on", ike_notify_name(response.error));
        break;
    case INIT_COOKIE:
        association_dispatch(a, EVENT_INIT_COOKIE, &input);
        break;
    case INIT_GROUP:
        association_dispatch(a, EVENT_INIT_GROUP, &input);
        break;
    case INIT_ANSWER:
        association_dispatch(a, EVENT_INIT_ANSWER, &input);
        break;
    }
}

static void on_opened(void *userdata, const TreReply *reply)
{
    PendingOpen *open = userdata;
    Association *a = open->association;
    _cleanup_(free_bytesp) uint8_t *request = open->request;
    size_t request_size = open->request_size;
    AssociationInput input = {.reply = reply};

    *open = (PendingOpen){0};
    if (reply->outcome == TRE_DONE)
        (void)sd_event_now(a->event, CLOCK_MONOTONIC, &a->last_heard);
    if (reply->outcome == TRE_GONE) {
        association_explain(a, "%s", reply->text);
        (void)association_end(a, ASSOCIATION_LOST);
    } else if (reply->outcome == TRE_REFUSED) {
        association_drop(a, reply->text); /* not from the peer, or nothing new: wait on */
    } else if (reply->opened.complete && reply->opened.response) {
        association_dispatch(a, EVENT_RESPONSE, &input);
    } else if (reply->opened.complete) {
        free(a->answered);
        a->answered = steal_pointer(request);
        a->answered_size = request_size;
        datagrams_deinit(&a->answer);
        association_dispatch(a, EVENT_REQUEST, &input);
    }
}

/* NULL if the datagram may be for us and has a use now; else why not. */
static const char *foreign(const Association *a, const IkeHeader *header)
{
    bool response = header->flags & IKE_FLAG_RESPONSE;

    if (header->spi_i != a->init.spi_i || header->spi_r != a->spi_r)
        return "SPIs of another IKE SA";
    if (header->flags & IKE_FLAG_INITIATOR)
        return "the flag of the initiator, which is us";
    if (response && (!a->request_open || header->message_id != a->request_id))
        return "a response to no request that is open";
    if (!response && a->state != STATE_ESTABLISHED && a->state != STATE_DELETING)
        return "a request before the SA is established";
    return NULL;
}

static PendingOpen *free_open(Association *a)
{
    for (size_t i = 0; i < ELEMENTS(a->opens); i++) {
        if (!a->opens[i].association)
            return &a->opens[i];
    }
    return NULL;
}

static void open_datagram(Association *a, Bytes datagram, bool response)
{
    TreCall call = {.method = TRE_UNPROTECT, .exchange = a->exchange, .datagram = datagram};
    PendingOpen *open = free_open(a);

    if (!open) {
        association_drop(a, "too many datagrams wait for tred");
        return;
    }
    *open = (PendingOpen){.association = a};
    if (!response) {
        open->request = malloc(datagram.size);
        if (open->request) {
            memcpy(open->request, datagram.data, datagram.size);
            open->request_size = datagram.size;
        }
    }
    if ((!response && !open->request) || tre_call(a->tre, &call, on_opened, open) < 0) {
        association_drop(a, "it can't be handed to tred");
        free(open->request);
        *open = (PendingOpen){0};
    }
}

void association_receive(void *userdata, Bytes datagram)
{
    Association *a = userdata;
    IkeHeader header;

    if (a->state == STATE_INIT_SENT) {
        on_init_response(a, datagram);
        return;
    }
    if (a->spi_r == 0 || a->state == STATE_CLOSED)
        return;
    int r = ike_header_decode(datagram, &header);
    const char *problem = r != 0 ? ike_fault_text((IkeFaultCode)r) : foreign(a, &header);
    if (problem) {
        association_drop(a, problem);
    } else if (a->answer.count > 0 &&
               bytes_equal(datagram, (Bytes){a->answered, a->answered_size})) {
        if (!a->answer_held)
            association_send_answer(a); /* RFC 7296 2.1: a repeated request gets the same answer */
    } else {
        open_datagram(a, datagram, header.flags & IKE_FLAG_RESPONSE);
    }
}

void association_hint(void *userdata, int error)
{
    Association *a = userdata;

    a->hint_error = 0;
    (void)snprintf(a->hint, sizeof(a->hint), "the network says: %s", strerror(error));
    log_debug("%s", a->hint);
}
