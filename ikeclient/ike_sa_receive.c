/* What comes in for an IKE SA, before anybody has vouched for it: whether it is for us and has a
 * use now, tred's opening of it, and who is handed what that says. */
#include "ikeclient/ike_sa_internal.h"

#include "ikeclient/mobike.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the SeGW asks is answered where it asks from (RFC 7296 2.11), and all else goes where it
 * went: who may be behind a NAT should not follow (2.23), and with MOBIKE nobody may (RFC 4555
 * 3.8). But it may be gone from there, which its ESP would hide as it goes on coming: whether it is
 * is asked, once for each change: where strangers' hints have taken the turn, when it next asks. */
static void note_sender(IkeSa *sa, const Endpoint *sender)
{
    char from[ENDPOINT_TEXT_SIZE], to[ENDPOINT_TEXT_SIZE];
    const Endpoint *remote = transport_remote(sa->transport);

    if (endpoint_equals(sender, &sa->heard_at))
        return;
    if (!sa->established || endpoint_equals(sender, remote) ||
        ike_sa_hint(sa, "the SeGW asks from %s, and is asked at %s", endpoint_text(sender, from),
                    endpoint_text(remote, to)))
        sa->heard_at = *sender;
}

/* True if it was the response to what is out. */
static bool on_opened(Flight *flight, const TreReply *reply)
{
    IkeSa *sa = flight->sa;

    if (reply->outcome == TRE_DONE)
        (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &sa->last_heard);
    if (sa->closed)
        return false;
    if (reply->outcome == TRE_GONE) {
        reason_set(&sa->reason, 0, "%s", reply->text);
        ike_sa_end(sa, IKE_SA_LOST);
    } else if (reply->outcome == TRE_REFUSED) {
        ike_sa_drop(sa, reply->text); /* not from the peer, or nothing new: wait on */
    } else if (reply->opened.complete && reply->opened.response) {
        if (tasks_await(sa, reply->opened.message_id))
            mobike_answered_from(sa, &flight->sender);
        return tasks_response(sa, reply);
    } else if (reply->opened.complete) {
        peer_request_received(sa, reply, steal_pointer(flight->request), flight->request_size,
                              &flight->sender);
        if (!sa->closed)
            note_sender(sa, &flight->sender);
    }
    return false;
}

/* NULL if the datagram may be for us and has a use now; else why not. */
static const char *foreign(const IkeSa *sa, const IkeHeader *header)
{
    bool response = header->flags & IKE_FLAG_RESPONSE;

    if (header->spi_r != sa->spi_r)
        return "SPIs of another IKE SA";
    if (!(header->flags & IKE_FLAG_INITIATOR) == sa->responder)
        return "the flag of the initiator is not the peer's";
    if (response && !tasks_await(sa, header->message_id))
        return "a response to no request that is open";
    if (!response && !sa->established && !ike_sa_is_closing(sa))
        return "a request before the SA is established";
    return NULL;
}

static int keep_request(Flight *flight, Bytes datagram)
{
    flight->request = malloc(datagram.size);
    if (!flight->request)
        return -ENOMEM;
    memcpy(flight->request, datagram.data, datagram.size);
    flight->request_size = datagram.size;
    return 0;
}

static void open_datagram(IkeSa *sa, Bytes datagram, bool response, const Endpoint *sender)
{
    const TreCall call = {.method = TRE_UNPROTECT, .datagram = datagram};
    TreCall along[TASK_ALONG_MAX];
    size_t n_along = 0;
    Flight *flight = flight_new(sa);

    if (!flight) {
        ike_sa_drop(sa, "too many datagrams wait for tred");
        return;
    }
    flight->sender = *sender;
    if (!response && keep_request(flight, datagram) < 0) {
        flight_free(flight);
        return;
    }
    if (response && sa->tasks.first->kind->along)
        n_along = sa->tasks.first->kind->along(sa->tasks.first, along);
    if (flight_start(flight, &call, on_opened, along, n_along) < 0)
        ike_sa_drop(sa, "it can't be handed to tred");
}

/* A peer that does not know the SA can't protect its answer (RFC 7296 1.5, 2.21.4): the type of the
 * error that it names; 0: there is none. */
static uint16_t clear_error(Bytes datagram, const IkeHeader *header)
{
    IkeMessage message;
    IkeNotify notify;

    if (!(header->flags & IKE_FLAG_RESPONSE) || ike_message_decode(datagram, &message, NULL) != 0 ||
        ike_payloads_find(&message.payloads, IKE_PAYLOAD_SK) ||
        ike_payloads_find(&message.payloads, IKE_PAYLOAD_SKF) ||
        !ike_payloads_error(&message.payloads, &notify))
        return 0;
    return notify.type;
}

/* True if it was such an answer, and is worth a hint. */
static bool take_clear_error(IkeSa *sa, Bytes datagram, const IkeHeader *header)
{
    const uint16_t error = clear_error(datagram, header);

    if (sa->established && error == IKE_NOTIFY_INVALID_IKE_SPI) {
        (void)ike_sa_hint(sa, "somebody there answered INVALID_IKE_SPI");
    } else if (!sa->established && !ike_sa_is_closing(sa) && error != 0) {
        (void)ike_sa_hint(sa, "somebody there answered IKE_AUTH with %s (%u) in clear: %s",
                          ike_notify_name(error), error, advice_for(error));
    } else {
        return false;
    }
    return true;
}

/* An unauthenticated notify counts for what it is worth if it seems to come from the SeGW; what
 * tred opens is the SeGW's wherever it comes from (RFC 7296 2.11, 2.23). */
static void on_sealed_datagram(IkeSa *sa, Bytes datagram, const IkeHeader *header,
                               const Endpoint *sender)
{
    bool at_segw = endpoint_same_address(sender, transport_remote(sa->transport));

    if (at_segw && take_clear_error(sa, datagram, header))
        return;
    const char *problem = foreign(sa, header);
    if (problem) {
        ike_sa_drop(sa, problem);
    } else if (!peer_queue_repeats(sa, datagram, sender)) {
        open_datagram(sa, datagram, header->flags & IKE_FLAG_RESPONSE, sender);
    }
}

/* Whoever shares the way with another leaves it what is not its own (RFC 7296 2.6). */
static bool is_of_another(IkeSa *sa, const IkeHeader *header)
{
    if (header->spi_i == sa->spi_i)
        return false;
    if (!sa->heir && !sa->predecessor)
        ike_sa_drop(sa, "SPIs of another IKE SA");
    return true;
}

bool ike_sa_receive(void *userdata, Bytes datagram, const Endpoint *sender)
{
    IkeSa *sa = userdata;
    Task *task = sa->tasks.first;
    IkeHeader header;

    if (sa->closed) /* our answer to the peer's Delete may be lost */
        return peer_queue_repeats(sa, datagram, sender);
    if (task && task->phase == TASK_SENT && task->kind->clear) {
        int r = task->kind->clear(task, datagram, sender);
        if (r < 0)
            ike_sa_fail(sa, r);
        return true;
    }
    int r = ike_header_decode(datagram, &header);
    if (r != 0) {
        ike_sa_drop(sa, ike_fault_text((IkeFaultCode)r));
    } else if (header.exchange_type == IKE_SA_INIT) {
        if (sa->init)
            init_take_late(sa, datagram, sender);
    } else if (sa->spi_r != 0) {
        if (is_of_another(sa, &header))
            return false;
        on_sealed_datagram(sa, datagram, &header, sender);
    }
    return true;
}

void ike_sa_network_error(void *userdata, int error)
{
    IkeSa *sa = userdata;
    char segw[ENDPOINT_TEXT_SIZE];

    (void)ike_sa_hint(sa, "the network says of %s: %s",
                      endpoint_text(transport_remote(sa->transport), segw), strerror(error));
}
