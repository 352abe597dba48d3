/* The move to another address: tred moves ESP, then the SeGW is told (RFC 4555 3.5). And what both
 * ends have beside the addresses in use: told, taken, and tried when the path is dead. */
#include "ikeclient/mobike.h"

#include "base/reason.h"
#include "ikeclient/informational.h"
#include "ikeclient/rekey_ike.h"
#include "ikeclient/udp_socket.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* ---- what the peer asks ---- */

/* NO_NATS_ALLOWED: source address, destination address, source port, destination port, as the
 * sender of the request sees them (RFC 4555 4.2.5). */
static bool fits_path(Bytes data, const MobikePath *path)
{
    const Endpoint *ends[] = {path->peer, path->local};
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
    if (path && (ike_payloads_notify(request, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, &notify) ||
                 ike_payloads_notify(request, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, &notify)))
        nat_mapping_add(path, chain);
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
    const MobikePath path = nat_mapping_path(sa, transport_remote(sa->transport));
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    ike_chain_add_notify(&chain, IKE_NOTIFY_UPDATE_SA_ADDRESSES, (Bytes){0});
    nat_mapping_add(&path, &chain);
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

    (void)nat_mapping_take(sa, payloads);
    if (!nat.supported)
        return false;
    sa->nat = nat;
    const bool keep = nat.here || sa->identity.needs_udp;
    if (transport_keep_alive(sa->transport, keep ? sa->config->keepalive : 0) < 0)
        report_line(sa->config, LOG_WARNING, "no keepalives can be sent through the NAT");
    return !sa->identity.needs_udp && (nat.here || nat.there) != before;
}

static const TaskKind nat_task;

static void note_update(const IkeSa *sa, const TaskKind *kind)
{
    char from[ENDPOINT_TEXT_SIZE], to[ENDPOINT_TEXT_SIZE];

    if (kind == &nat_task) {
        report_line(sa->config, LOG_NOTICE, "the SeGW sends to where it sees this host now");
        return;
    }
    report_line(sa->config, LOG_NOTICE, "moved  %s <-> %s  from %s to %s now", sa->steps.henb,
                sa->steps.segw, endpoint_text(transport_local(sa->transport), from),
                endpoint_text(transport_remote(sa->transport), to));
}

static int update_answered(Task *task, const TreReply *reply)
{
    IkeSa *sa = task->sa;
    IkePayloads payloads;
    IkeNotify notify;

    sa->move.untold = false;
    if (ike_payloads_decode(reply->opened.first, reply->opened.payloads, &payloads, NULL) != 0) {
        renew(sa, "the SeGW's answer to UPDATE_SA_ADDRESSES does not parse");
    } else if (ike_payloads_error(&payloads, &notify)) {
        Reason reason;
        reason_set(&reason, 0, "the SeGW refused UPDATE_SA_ADDRESSES with %s (%u)",
                   ike_notify_name(notify.type), notify.type);
        renew(sa, reason.text);
    } else {
        note_update(sa, task->kind);
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
                        : "the SeGW does not answer UPDATE_SA_ADDRESSES");
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

/* The same after no move, as a NAT between has another mapping. */
static const TaskKind nat_task = {
    .name = "UPDATE_SA_ADDRESSES of the NAT's mapping",
    .size = sizeof(Task),
    .tries_max = UINT_MAX,
    .begin = update_begin,
    .response = update_answered,
    .unanswered = update_unanswered,
};

int mobike_follow_nat(IkeSa *sa, const IkePayloads *answer)
{
    if (!nat_mapping_take(sa, answer) || sa->move.under_way)
        return 0;
    if (!nat_mapping_is_asked(sa)) {
        report_line(sa->config, LOG_NOTICE,
                    "the SeGW says each time that it sees this host elsewhere than before: it is "
                    "not asked for that any more");
        return 0;
    }
    report_line(sa->config, LOG_NOTICE,
                "the SeGW sees this host at another address or port than before, as a NAT between "
                "does; having it send there");
    return task_add(sa, &nat_task);
}

/* ---- the move ---- */

enum { MOVE_WAIT_USEC = 250000, MOVE_WAITS_MAX = 40 };

/* True if another path can take the place of the one in use. */
static bool can_move(const IkeSa *sa)
{
    return sa->mobike && sa->established && !sa->closed && !sa->heir && !sa->retired &&
           !ike_sa_is_closing(sa);
}

static void move(IkeSa *sa);
static void announce(IkeSa *sa);

static int on_wait_over(sd_event_source *source, uint64_t usec, void *userdata)
{
    IkeSa *sa = userdata;
    (void)source, (void)usec;

    if (can_move(sa)) {
        move(sa);
    } else {
        sa->move.under_way = false;
        sa->move.waits = 0;
    }
    return 0;
}

/* tred moves so many at a time. The others wait for their turn rather than authenticate anew, as
 * all connections of a host move at once. False: another turn was waited for long enough. */
static bool wait_for_turn(MobikeMove *state)
{
    IkeSa *sa = state->sa;

    if (state->waits == MOVE_WAITS_MAX)
        return false;
    state->waits++;
    if (!state->turn) {
        return sd_event_add_time_relative(sa->event, &state->turn, CLOCK_MONOTONIC, MOVE_WAIT_USEC,
                                          0, on_wait_over, sa) >= 0;
    }
    return sd_event_source_set_time_relative(state->turn, MOVE_WAIT_USEC) >= 0 &&
           sd_event_source_set_enabled(state->turn, SD_EVENT_ONESHOT) >= 0;
}

static void on_moved(void *userdata, const TreReply *reply)
{
    MobikeMove *state = userdata;
    IkeSa *sa = state->sa;

    if (!sa->closed && reply->outcome == TRE_REFUSED &&
        strcmp(reply->error, "OutOfResources") == 0 && wait_for_turn(state))
        return;
    state->under_way = false;
    state->waits = 0;
    if (sa->closed)
        return;
    if (reply->outcome != TRE_DONE) {
        renew(sa, reply->text);
        return;
    }
    sa->mapping.known = false; /* its next answer is the first on that way */
    int r = transport_float(sa->transport, reply->socket, &state->remote);
    if (r == 0)
        transport_settle(sa->transport);
    /* What is out already goes on being sent, from the new address; this one says which that is. */
    sa->move.untold = true;
    if (r == 0)
        r = task_add(sa, &update_task);
    if (r < 0) {
        ike_sa_fail(sa, r);
        return;
    }
    mobike_look(sa);
}

static void move(IkeSa *sa)
{
    const Endpoint *remote = &sa->move.remote;
    const TreCall call = {
        .method = TRE_MOVE_TRANSPORT,
        .exchange = sa->exchange,
        .remote = {endpoint_address(remote), endpoint_port(remote), sa->nat.here || sa->nat.there}};

    if (tre_call(sa->tre, &call, on_moved, &sa->move) < 0) {
        sa->move.under_way = false;
        renew(sa, "tred can't be asked to move the tunnel");
    }
}

/* Moves the SA to a new socket, and to that address of the SeGW's. */
static void move_to(IkeSa *sa, const Endpoint *remote)
{
    if (sa->move.under_way)
        return;
    sa->move.sa = sa;
    sa->move.under_way = true;
    sa->move.remote = *remote;
    move(sa);
}

void mobike_move(IkeSa *sa)
{
    const Endpoint remote = *transport_remote(sa->transport);

    move_to(sa, &remote);
}

bool mobike_has_inner(const IkeSa *sa, const Endpoint *address)
{
    const Bytes octets = endpoint_address(address);

    for (size_t i = 0; i < sa->assigned.n_addresses; i++) {
        const InnerAddress *inner = &sa->assigned.addresses[i];
        if (bytes_equal(octets, (Bytes){inner->octets, inner->size}))
            return true;
    }
    return false;
}

/* Of any connection's tunnel. By what SeGWs have assigned, and not by the interface: one without a
 * link layer may well be the way to the internet, as that of a modem or of another VPN is. */
static bool is_inner(const IkeSa *sa, const Endpoint *address)
{
    return mobike_has_inner(sa, address) ||
           (sa->handlers->is_inner && sa->handlers->is_inner(sa->userdata, address));
}

/* It is said once, however often something else changes. */
static void note_stranded(IkeSa *sa, bool stranded)
{
    if (stranded && !sa->stranded) {
        report_line(sa->config, LOG_INFO,
                    "this host has no address but a tunnel's own to reach the SeGW from: waiting "
                    "for one");
    }
    sa->stranded = stranded;
}

/* One whose predecessor has moved, and was replaced before it had said so, or was believed. */
static void tell_of_move(IkeSa *sa)
{
    if (!sa->move.untold || sa->move.under_way || task_find(sa, &update_task))
        return;
    int r = task_add(sa, &update_task);
    if (r < 0)
        ike_sa_fail(sa, r);
}

/* Another source that is inside is no way: where a host has no other address, the kernel picks one
 * of a tunnel's. */
void mobike_look(IkeSa *sa)
{
    Endpoint source;

    if (!sa->established || sa->closed || sa->heir || sa->retired || ike_sa_is_closing(sa))
        return;
    const TransportLook look = transport_look(sa->transport, &source);
    note_stranded(sa, look == TRANSPORT_ELSEWHERE && is_inner(sa, &source));
    if (sa->stranded)
        return;
    if (look == TRANSPORT_ELSEWHERE && sa->mobike) {
        mobike_move(sa);
    } else if (look == TRANSPORT_ELSEWHERE) {
        renew(sa, "this host reaches the SeGW from another address now");
    } else if (look == TRANSPORT_SAME && sa->mobike) {
        tell_of_move(sa);
        announce(sa);
    }
}

void mobike_stop(IkeSa *sa)
{
    tre_forget(sa->tre, &sa->move);
    sd_event_source_disable_unref(sa->move.turn);
    sa->move.turn = NULL;
}

/* ---- the addresses that this host has beside the one in use ---- */

void mobike_own_addresses(const IkeSa *sa, Addresses *ret)
{
    Addresses host;

    *ret = (Addresses){0};
    int r = addresses_of_host(&host);
    if (r < 0) {
        report_line(sa->config, LOG_WARNING, "this host's addresses can't be found out: %s",
                    strerror(-r));
    }
    for (size_t i = 0; r == 0 && i < host.count; i++) {
        if (!is_inner(sa, &host.list[i]) &&
            !endpoint_same_address(&host.list[i], transport_local(sa->transport)))
            addresses_add(ret, &host.list[i]);
    }
}

static int announce_begin(Task *task)
{
    IkeSa *sa = task->sa;
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    mobike_own_addresses(sa, &sa->own);
    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    addresses_write(&sa->own, &chain);
    if (sa->own.count == 0)
        ike_chain_add_notify(&chain, IKE_NOTIFY_NO_ADDITIONAL_ADDRESSES, (Bytes){0});
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r : task_seal(task, IKE_INFORMATIONAL, chain.first, payloads);
}

/* They may have changed while it was out. */
static int announce_answered(Task *task, const TreReply *reply)
{
    IkeSa *sa = task->sa;
    (void)reply;

    int r = task_done(task);
    if (r == 0 && !sa->closed)
        mobike_look(sa);
    return r;
}

static const TaskKind announce_task = {
    .name = "word of our other addresses",
    .size = sizeof(Task),
    .tries_max = UINT_MAX,
    .begin = announce_begin,
    .response = announce_answered,
    .unanswered = task_found_silence,
};

/* Tells the SeGW which addresses this host has, where it does not know them all (RFC 4555 3.6). */
static void announce(IkeSa *sa)
{
    Addresses now;

    mobike_own_addresses(sa, &now);
    if (sa->move.under_way || task_find(sa, &announce_task) || addresses_equal(&now, &sa->own))
        return;
    report_line(sa->config, LOG_INFO, "telling the SeGW that this host has %zu other addresses now",
                now.count);
    int r = task_add(sa, &announce_task);
    if (r < 0)
        ike_sa_fail(sa, r);
}

/* ---- the SeGW's ---- */

/* Another address of the SeGW's with the port that it is asked at, and the address of ours that
 * leads there; false if it is in use, or there is no way but through a tunnel of ours. */
static bool find_way(const IkeSa *sa, const Endpoint *address, Endpoint *ret_remote,
                     Endpoint *ret_source)
{
    const Endpoint *in_use = transport_remote(sa->transport);

    *ret_remote = *address;
    endpoint_set_port(ret_remote, endpoint_port(in_use));
    return !endpoint_same_address(address, in_use) && udp_source(ret_remote, ret_source) == 0 &&
           !is_inner(sa, ret_source);
}

/* The source of a packet is nobody's word: whoever is on the path can send what the SeGW has sent
 * from an address of his own (RFC 4555 5). It counts where the SeGW has named it itself, now or
 * before; else that in use does. */
void mobike_take_addresses(IkeSa *sa, const Addresses *addresses, const Endpoint *sender)
{
    const bool named = addresses_have(&sa->segws, sender) || addresses_have(addresses, sender);
    Endpoint remote, source;

    if (!can_move(sa))
        return;
    addresses_fill(&sa->segws, named ? sender : transport_remote(sa->transport), addresses);
    if (addresses_have(&sa->segws, transport_remote(sa->transport)) ||
        succession_is_under_way(sa)) /* what comes of it finds the way itself */
        return;
    for (size_t i = 0; i < sa->segws.count; i++) {
        if (find_way(sa, &sa->segws.list[i], &remote, &source)) {
            move_to(sa, &remote);
            return;
        }
    }
}

void mobike_try_others(IkeSa *sa)
{
    char text[ENDPOINT_TEXT_SIZE];
    Endpoint remote, source;

    for (size_t i = 0; can_move(sa) && i < sa->segws.count; i++) {
        if (!find_way(sa, &sa->segws.list[i], &remote, &source))
            continue;
        report_line(sa->config, LOG_DEBUG, "trying the SeGW at %s, too",
                    endpoint_text(&remote, text));
        transport_try(sa->transport, &sa->tasks.request, &remote, &source);
    }
}

void mobike_answered_from(IkeSa *sa, const Endpoint *sender)
{
    char text[ENDPOINT_TEXT_SIZE], there[ENDPOINT_TEXT_SIZE];
    Endpoint remote, source;

    if (!can_move(sa) || succession_is_under_way(sa) || !addresses_have(&sa->segws, sender) ||
        !retransmit_is_late(&sa->tasks.retransmit) || !find_way(sa, sender, &remote, &source))
        return;
    report_line(
        sa->config, LOG_NOTICE, "the SeGW does not answer at %s, and does at %s: moving there",
        endpoint_text(transport_remote(sa->transport), text), endpoint_text(&remote, there));
    move_to(sa, &remote);
}
