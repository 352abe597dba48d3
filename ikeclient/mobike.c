/* The move to another address: tred moves ESP, then the SeGW is told (RFC 4555 3.5). */
#include "ikeclient/mobike.h"

#include "base/log.h"
#include "base/reason.h"
#include "ikeclient/informational.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* ---- what the peer asks ---- */

/* NO_NATS_ALLOWED: source address, destination address, source port, destination port, as the
 * sender of the request sees them (RFC 4555 4.2.5). */
static bool fits_path(Bytes data, const MobikePath *path)
{
    const Endpoint *ends[] = {path->sender, path->local};
    uint16_t ports[ELEMENTS(ends)];
    Reader reader;
    Bytes address;

    reader_init(&reader, data);
    for (size_t i = 0; i < ELEMENTS(ends); i++) {
        const Bytes expected = endpoint_address(ends[i]);
        if (reader_take(&reader, expected.size, &address) < 0 || !bytes_equal(address, expected))
            return false;
    }
    return reader_u16(&reader, &ports[0]) == 0 && reader_u16(&reader, &ports[1]) == 0 &&
           reader_left(&reader) == 0 && ports[0] == endpoint_port(ends[0]) &&
           ports[1] == endpoint_port(ends[1]);
}

void mobike_answer(const IkePayloads *request, const MobikePath *path, IkeChain *chain)
{
    IkeNotify notify;

    if (path && ike_payloads_notify(request, IKE_NOTIFY_NO_NATS_ALLOWED, &notify) &&
        !fits_path(notify.data, path))
        ike_chain_add_notify(chain, IKE_NOTIFY_UNEXPECTED_NAT_DETECTED, (Bytes){0});
    if (ike_payloads_notify(request, IKE_NOTIFY_COOKIE2, &notify))
        ike_chain_add_notify(chain, IKE_NOTIFY_COOKIE2, notify.data);
}

/* ---- UPDATE_SA_ADDRESSES ---- */

static void renew(IkeSa *sa, const char *why)
{
    sa->handlers->renew(sa->userdata, sa, why);
}

static int update_begin(Task *task)
{
    IkeSa *sa = task->sa;
    uint8_t source[NAT_HASH_SIZE], destination[NAT_HASH_SIZE];
    Endpoint seen = *transport_local(sa->transport);
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    if (sa->identity.needs_udp) /* as in IKE_SA_INIT: the peer finds a NAT */
        endpoint_set_port(&seen, 0);
    nat_hash(sa->spi_i, sa->spi_r, &seen, source);
    nat_hash(sa->spi_i, sa->spi_r, transport_remote(sa->transport), destination);
    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    ike_chain_add_notify(&chain, IKE_NOTIFY_UPDATE_SA_ADDRESSES, (Bytes){0});
    ike_chain_add_notify(&chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(source));
    ike_chain_add_notify(&chain, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, BYTES_OF(destination));
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r : task_seal(task, IKE_INFORMATIONAL, chain.first, payloads);
}

/* True if ESP has to go another way than it was told: in UDP, or not. */
static bool take_nat(IkeSa *sa, const IkePayloads *payloads)
{
    const bool before = sa->nat.here || sa->nat.there;
    const NatFinding nat =
        nat_find_in(sa->spi_i, sa->spi_r, payloads, transport_local(sa->transport),
                    transport_remote(sa->transport));

    if (!nat.supported)
        return false;
    sa->nat = nat;
    const bool keep = nat.here || sa->identity.needs_udp;
    if (transport_keep_alive(sa->transport, keep ? sa->config->keepalive : 0) < 0)
        log_warning("no keepalives can be sent through the NAT");
    return !sa->identity.needs_udp && (nat.here || nat.there) != before;
}

static int update_answered(Task *task, const TreReply *reply)
{
    char text[ENDPOINT_TEXT_SIZE], there[ENDPOINT_TEXT_SIZE];
    IkeSa *sa = task->sa;
    IkePayloads payloads;
    IkeNotify notify;

    if (ike_payloads_decode(reply->opened.first, reply->opened.payloads, &payloads, NULL) != 0) {
        renew(sa, "the SeGW's answer to UPDATE_SA_ADDRESSES does not parse");
    } else if (ike_payloads_error(&payloads, &notify)) {
        Reason reason;
        reason_set(&reason, 0, "the SeGW refused our new address with %s (%u)",
                   ike_notify_name(notify.type), notify.type);
        renew(sa, reason.text);
    } else {
        log_notice("moved  %s <-> %s  from %s to %s now", sa->steps.henb, sa->steps.segw,
                   endpoint_text(transport_local(sa->transport), text),
                   endpoint_text(transport_remote(sa->transport), there));
        if (take_nat(sa, &payloads))
            mobike_move(sa);
        sa->handlers->changed(sa->userdata, sa);
    }
    return task_done(task);
}

static void update_unanswered(Task *task)
{
    IkeSa *sa = task->sa;
    bool stopping = ike_sa_is_closing(sa);

    reason_set(&sa->reason, 0,
               stopping ? "stopped; the SeGW is silent"
                        : "the SeGW does not answer from this host's new address");
    ike_sa_end(sa, stopping ? IKE_SA_STOPPED : IKE_SA_LOST);
}

static const TaskKind update_task = {
    .name = "UPDATE_SA_ADDRESSES",
    .size = sizeof(Task),
    .tries_max = UINT_MAX,
    .begin = update_begin,
    .response = update_answered,
    .unanswered = update_unanswered,
};

/* ---- the move ---- */

static void on_moved(void *userdata, const TreReply *reply)
{
    MobikeMove *state = userdata;
    IkeSa *sa = state->sa;

    state->under_way = false;
    if (sa->closed)
        return;
    if (reply->outcome != TRE_DONE) {
        renew(sa, reply->text);
        return;
    }
    int r = transport_float(sa->transport, reply->socket, &state->remote);
    if (r == 0)
        transport_settle(sa->transport);
    /* What is out already goes on being sent, from the new address; this one says which that is. */
    if (r == 0)
        r = task_add(sa, &update_task);
    if (r < 0) {
        ike_sa_fail(sa, r);
        return;
    }
    mobike_look(sa);
}

void mobike_move_to(IkeSa *sa, const Endpoint *remote)
{
    const TreCall call = {
        .method = TRE_MOVE_TRANSPORT,
        .exchange = sa->exchange,
        .remote = {endpoint_address(remote), endpoint_port(remote), sa->nat.here || sa->nat.there}};

    if (sa->move.under_way)
        return;
    sa->move = (MobikeMove){.sa = sa, .under_way = true, .remote = *remote};
    if (tre_call(sa->tre, &call, on_moved, &sa->move) < 0) {
        sa->move.under_way = false;
        renew(sa, "tred can't be asked to move the tunnel");
    }
}

void mobike_move(IkeSa *sa)
{
    const Endpoint remote = *transport_remote(sa->transport);

    mobike_move_to(sa, &remote);
}

void mobike_look(IkeSa *sa)
{
    if (!sa->established || sa->closed || sa->heir || sa->retired || ike_sa_is_closing(sa))
        return;
    const TransportLook look = transport_look(sa->transport);
    if (look == TRANSPORT_ELSEWHERE && sa->mobike) {
        mobike_move(sa);
    } else if (look == TRANSPORT_ELSEWHERE) {
        renew(sa, "this host reaches the SeGW from another address now");
    } else if (look == TRANSPORT_SAME && sa->mobike) {
        mobike_announce(sa);
    }
}

void mobike_stop(IkeSa *sa)
{
    tre_forget(sa->tre, &sa->move);
}
