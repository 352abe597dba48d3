/* What both ends have beside the addresses in use: told, taken, and tried when the path is dead. */
#include "ikeclient/mobike.h"

#include "base/log.h"
#include "ikeclient/informational.h"
#include "ikeclient/succession.h"

#include <limits.h>
#include <string.h>

static bool is_inner(const IkeSa *sa, const Endpoint *address)
{
    const Bytes octets = endpoint_address(address);

    for (size_t i = 0; i < sa->assigned.n_addresses; i++) {
        const InnerAddress *inner = &sa->assigned.addresses[i];
        if (bytes_equal(octets, (Bytes){inner->octets, inner->size}))
            return true;
    }
    return false;
}

/* ---- ours ---- */

void mobike_own_addresses(const IkeSa *sa, Addresses *ret)
{
    Addresses host;

    *ret = (Addresses){0};
    int r = addresses_of_host(&host);
    if (r < 0)
        log_warning("this host's addresses can't be found out: %s", strerror(-r));
    for (size_t i = 0; r == 0 && i < host.count; i++) {
        if (!is_inner(sa, &host.list[i]) &&
            !bytes_equal(endpoint_address(&host.list[i]),
                         endpoint_address(transport_local(sa->transport))))
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

void mobike_announce(IkeSa *sa)
{
    Addresses now;

    mobike_own_addresses(sa, &now);
    if (sa->move.under_way || task_find(sa, &announce_task) || addresses_equal(&now, &sa->own))
        return;
    log_info("telling the SeGW that this host has %zu other addresses now", now.count);
    int r = task_add(sa, &announce_task);
    if (r < 0)
        ike_sa_fail(sa, r);
}

/* ---- the SeGW's ---- */

/* True if another path can take the place of the one in use. */
static bool can_move(const IkeSa *sa)
{
    return sa->mobike && sa->established && !sa->closed && !sa->heir && !sa->retired &&
           !ike_sa_is_closing(sa);
}

/* Another address of the SeGW's with the port that it is asked at, and the address of ours that
 * leads there; false if it is in use, or there is no way but through the tunnel itself. */
static bool find_way(const IkeSa *sa, const Endpoint *address, Endpoint *ret_remote,
                     Endpoint *ret_source)
{
    const Endpoint *in_use = transport_remote(sa->transport);

    *ret_remote = *address;
    endpoint_set_port(ret_remote, endpoint_port(in_use));
    return !bytes_equal(endpoint_address(address), endpoint_address(in_use)) &&
           transport_source(ret_remote, ret_source) == 0 && !is_inner(sa, ret_source);
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
            mobike_move_to(sa, &remote);
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
        log_debug("trying the SeGW at %s, too", endpoint_text(&remote, text));
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
    log_notice("the SeGW does not answer at %s, and does at %s: moving there",
               endpoint_text(transport_remote(sa->transport), text), endpoint_text(&remote, there));
    mobike_move_to(sa, &remote);
}
