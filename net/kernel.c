/* The kernel's own ESP: XFRM states and policies, and XFRM interfaces. Keys pass through to the
 * kernel and are wiped with the order that brought them. */
#include "net/plane.h"
#include "net/xfrm_policies.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct KernelSa {
    uint32_t spi_in;
    uint32_t spi_out;
    uint8_t interface; /* its place */
    struct sockaddr_storage local;
    struct sockaddr_storage remote;
    time_t since; /* added, or moved: the kernel then forgets when it was last used */
    bool expired; /* one of its states reached its hard lifetime and is gone by itself */
    bool awaited; /* in standby: it sends once the peer has sent by it */
} KernelSa;

typedef struct KernelPlane {
    NetPlane base; /* first */
    Netlink *xfrm;
    Netlink *route;
    NetlinkWatch *watch; /* expiries, and who else deletes states and policies */
    bool listens;        /* to what comes in, too */
    XfrmPolicies *policies;
    size_t n_sas;
    KernelSa sas[DATAPLANE_SAS_MAX];
} KernelPlane;

static KernelPlane *kernel_plane(NetPlane *plane)
{
    return (KernelPlane *)plane;
}

static void take_away(KernelPlane *plane, KernelSa *sa);

static void kernel_close(NetPlane *base)
{
    KernelPlane *plane = kernel_plane(base);
    while (plane->n_sas > 0)
        take_away(plane, &plane->sas[plane->n_sas - 1]);
    netlink_watch_free(plane->watch);
    xfrm_policies_free(plane->policies);
    net_plane_free_networks(base);
    netlink_free(plane->xfrm);
    netlink_free(plane->route);
    free(plane);
}

static KernelSa *sa_find(KernelPlane *plane, uint32_t spi_in)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].spi_in == spi_in)
            return &plane->sas[i];
    }
    return NULL;
}

/* Each of the two states of a pair has its own lifetime. */
static KernelSa *sa_of_state(KernelPlane *plane, const struct xfrm_usersa_id *id)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        KernelSa *sa = &plane->sas[i];
        if (xfrm_names_state(id, &sa->local, sa->spi_in) ||
            xfrm_names_state(id, &sa->remote, sa->spi_out))
            return sa;
    }
    return NULL;
}

static void handle_expiry(KernelPlane *plane, const struct nlmsghdr *header)
{
    const struct xfrm_user_expire *expire = mnl_nlmsg_get_payload(header);
    const struct xfrm_usersa_id id = {.daddr = expire->state.id.daddr,
                                      .spi = expire->state.id.spi,
                                      .family = expire->state.family};
    KernelSa *sa = sa_of_state(plane, &id);
    if (!sa)
        return;
    if (expire->hard) {
        sa->expired = true;
        xfrm_policies_retire(plane->policies, sa->spi_in);
    }
    net_plane_report(&plane->base, sa->spi_in,
                     expire->hard ? DATAPLANE_HARD_LIFETIME : DATAPLANE_SOFT_LIFETIME);
}

/* A packet that a pair in standby lets in shows that the peer has it: whoever answered the rekeying
 * may send by it (RFC 7296 2.8). The kernel tells of such packets while there is such a pair, and
 * at no other time, as each is a message, and as everybody's states tell once anybody listens. */

static void listen_for_first(KernelPlane *plane)
{
    bool awaits = false;
    for (size_t i = 0; i < plane->n_sas; i++)
        awaits = awaits || plane->sas[i].awaited;
    if (awaits != plane->listens)
        (void)netlink_watch_join(plane->watch, XFRMNLGRP_AEVENTS, awaits);
    plane->listens = awaits;
}

/* Where the kernel refuses, the pair is used when it is told to be, and no earlier. */
static void await_first(KernelPlane *plane, KernelSa *sa, bool await)
{
    if (await || sa->awaited)
        (void)xfrm_state_tell(plane->xfrm, &sa->local, sa->spi_in, await);
    sa->awaited = await;
    listen_for_first(plane);
}

static int use_sa(KernelPlane *plane, uint32_t spi_in)
{
    int r = xfrm_policies_use(plane->policies, spi_in);
    KernelSa *sa = sa_find(plane, spi_in);
    if (r >= 0 && sa)
        await_first(plane, sa, false);
    return r;
}

/* XFRM_AE_CR: by a packet; our own changes are told, too. */
static void handle_packet(KernelPlane *plane, const struct nlmsghdr *header)
{
    const struct xfrm_aevent_id *id = mnl_nlmsg_get_payload(header);
    const KernelSa *sa = sa_find(plane, ntohl(id->sa_id.spi));
    if (sa && sa->awaited && xfrm_names_state(&id->sa_id, &sa->local, sa->spi_in) &&
        id->flags & XFRM_AE_CR)
        (void)use_sa(plane, sa->spi_in);
}

typedef struct Heard {
    KernelPlane *plane;
    bool deleted; /* a state or policy, by anybody */
} Heard;

static int hear(const struct nlmsghdr *header, void *userdata)
{
    Heard *heard = userdata;
    switch (header->nlmsg_type) {
    case XFRM_MSG_EXPIRE:
        handle_expiry(heard->plane, header);
        break;
    case XFRM_MSG_NEWAE:
        handle_packet(heard->plane, header);
        break;
    case XFRM_MSG_DELSA:
    case XFRM_MSG_FLUSHSA:
    case XFRM_MSG_DELPOLICY:
    case XFRM_MSG_FLUSHPOLICY:
        heard->deleted = true;
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static bool state_is_gone(KernelPlane *plane, const struct sockaddr_storage *destination,
                          uint32_t spi)
{
    XfrmStateInfo info;
    return xfrm_state_get(plane->xfrm, destination, spi, &info) == -ESRCH;
}

/* A pair of which one state expired is known to be over. */
static void look_at_all(KernelPlane *plane)
{
    const unsigned lacking = xfrm_policies_lack(plane->policies);
    for (size_t i = 0; i < plane->n_sas; i++) {
        const KernelSa *sa = &plane->sas[i];
        if (!sa->expired && (state_is_gone(plane, &sa->local, sa->spi_in) ||
                             state_is_gone(plane, &sa->remote, sa->spi_out)))
            net_plane_report(&plane->base, sa->spi_in, DATAPLANE_STATE_GONE);
        if (lacking & 1U << sa->interface)
            net_plane_report(&plane->base, sa->spi_in, DATAPLANE_POLICY_GONE);
    }
}

static int kernel_watched(const NetPlane *base)
{
    return netlink_watch_fd(((const KernelPlane *)base)->watch);
}

/* Expiries first: a state that expired is not one that somebody took away. */
static void kernel_handle_watched(NetPlane *base)
{
    Heard heard = {.plane = kernel_plane(base)};
    bool lost = netlink_watch_read(heard.plane->watch, hear, &heard);
    if (lost || heard.deleted)
        look_at_all(heard.plane);
}

static int watch_xfrm(KernelPlane *plane)
{
    static const int groups[] = {XFRMNLGRP_EXPIRE, XFRMNLGRP_SA, XFRMNLGRP_POLICY};
    return netlink_watch_new(NETLINK_XFRM, groups, ELEMENTS(groups), &plane->watch);
}

/* A state that nobody sends to, put in and taken out: the one sure way to know. */
static int try_state(KernelPlane *plane)
{
    _cleanup_(secret_freep) Secret *key = NULL;
    SaOrder order = {.spi_in = XFRM_IF_ID};
    struct sockaddr_in loopback = {.sin_family = AF_INET};
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(&order.local, &loopback, sizeof(loopback));
    order.remote = order.local;
    if (esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, IKE_GROUP_NONE, true,
                           &order.suite) != 0)
        return -EOPNOTSUPP;
    int r = secret_new(order.suite.cipher->key_size + order.suite.cipher->salt_size, &key);
    if (r < 0)
        return r;
    order.encr_in = key;
    r = xfrm_state_add(plane->xfrm, XFRM_INBOUND, &order);
    return r < 0 ? r : xfrm_state_delete(plane->xfrm, &order.local, order.spi_in);
}

/* Clears what was left, and finds out whether states can be made here. */
static int prepare(KernelPlane *plane)
{
    int r = netlink_new(NETLINK_ROUTE, &plane->route);
    if (r >= 0)
        r = netlink_new(NETLINK_XFRM, &plane->xfrm);
    if (r >= 0)
        r = xfrm_clear(plane->xfrm);
    if (r >= 0)
        r = try_state(plane);
    if (r >= 0)
        r = xfrm_policies_new(plane->xfrm, &plane->policies);
    return r < 0 ? r : watch_xfrm(plane);
}

static int raise_interface(KernelPlane *plane, size_t place, uint32_t mtu)
{
    const char *name = plane->base.interfaces.names[place];
    int r = xfrm_interface_add(plane->route, name, place);
    return r < 0 ? r : network_attach(plane->base.networks[place], name, mtu);
}

/* Whether all interfaces can be made. *ret_place is the one that can't, or the first. */
static int try_interfaces(KernelPlane *plane, size_t *ret_place)
{
    for (size_t i = 0; i < plane->base.interfaces.n; i++) {
        int r = raise_interface(plane, i, IPV6_MTU_MIN);
        network_detach(plane->base.networks[i]);
        *ret_place = i;
        if (r < 0)
            return r;
    }
    return 0;
}

static int kernel_open(const InterfaceNames *interfaces, NetPlane **ret, Reason *reason)
{
    KernelPlane *plane = calloc(1, sizeof(*plane));
    if (!plane)
        return reason_set(reason, -ENOMEM, "Out of memory");
    plane->base.backend = &NET_BACKEND_KERNEL;
    _cleanup_(net_plane_closep) NetPlane *owner = &plane->base;
    size_t place = 0;
    int r = net_plane_open_networks(&plane->base, interfaces, reason);
    if (r < 0)
        return r;
    r = prepare(plane);
    if (r >= 0)
        r = try_interfaces(plane, &place);
    if (r == -EPROTONOSUPPORT || r == -ENOSYS || r == -EOPNOTSUPP || r == -ENOENT) {
        return reason_set(reason, -EOPNOTSUPP,
                          "This kernel lacks ESP, AES-GCM or the XFRM interface: %s. Load the "
                          "modules esp4, esp6 and xfrm_interface, or set mode = user",
                          strerror(-r));
    }
    if (r < 0)
        return net_plane_fail_network(reason, r, interfaces->names[place]);
    *ret = steal_pointer(owner);
    return 0;
}

static int add_states(KernelPlane *plane, const SaOrder *order)
{
    int r = xfrm_state_add(plane->xfrm, XFRM_INBOUND, order);
    if (r < 0)
        return r;
    r = xfrm_state_add(plane->xfrm, XFRM_OUTBOUND, order);
    if (r < 0)
        (void)xfrm_state_delete(plane->xfrm, &order->local, order->spi_in);
    return r;
}

static int kernel_add_sa(NetPlane *base, const SaOrder *order, int *ret_tun, Reason *reason)
{
    (void)ret_tun; /* there is none */
    KernelPlane *plane = kernel_plane(base);
    if (order->local.ss_family == AF_UNSPEC)
        return -EINVAL;
    if (order->dscps != 0) /* tred asks for it in the user plane alone */
        return reason_set(reason, -EINVAL, "the kernel's policies can't choose by DSCP");
    const char *what = "the interface can't be made";
    Network *network = base->networks[order->interface];
    int r = network_is_idle(network) ? raise_interface(plane, order->interface, order->mtu) : 0;
    if (r >= 0) {
        what = "the kernel did not take the ESP state";
        r = add_states(plane, order);
    }
    if (r < 0) {
        reason_set(reason, r, "%s: %s", what, strerror(-r));
        net_plane_lower_interface(network);
        return r;
    }
    /* From here on it is undone as any pair of SAs is. */
    plane->sas[plane->n_sas++] = (KernelSa){
        .spi_in = order->spi_in,
        .spi_out = order->spi_out,
        .interface = order->interface,
        .local = order->local,
        .remote = order->remote,
        .since = time(NULL),
    };
    r = xfrm_policies_add(plane->policies, order);
    if (r < 0) {
        reason_set(reason, r, "the kernel did not take the ESP policies: %s", strerror(-r));
    } else {
        r = network_add_sa(network, order, reason);
    }
    if (r < 0) {
        take_away(plane, &plane->sas[plane->n_sas - 1]);
    } else if (order->standby) {
        await_first(plane, &plane->sas[plane->n_sas - 1], true);
    }
    return r;
}

static void take_away(KernelPlane *plane, KernelSa *sa)
{
    Network *network = plane->base.networks[sa->interface];
    xfrm_policies_remove(plane->policies, sa->spi_in);
    network_remove_sa(network, sa->spi_in);
    /* One that reached its hard lifetime is gone already. */
    (void)xfrm_state_delete(plane->xfrm, &sa->local, sa->spi_in);
    (void)xfrm_state_delete(plane->xfrm, &sa->remote, sa->spi_out);
    *sa = plane->sas[--plane->n_sas];
    listen_for_first(plane);
    net_plane_lower_interface(network);
}

static int kernel_remove_sa(NetPlane *base, const NetSa *removed)
{
    KernelPlane *plane = kernel_plane(base);
    KernelSa *sa = sa_find(plane, removed->spi_in);
    if (!sa)
        return -ENOENT;
    take_away(plane, sa);
    return 0;
}

static int kernel_use_sa(NetPlane *base, uint32_t spi_in)
{
    return use_sa(kernel_plane(base), spi_in);
}

/* Both of its states. While the outbound one is on its way no packet may choose it: its numbers
 * must stand still. */
static int move_states(KernelPlane *plane, KernelSa *sa, const SaPath *path)
{
    int r = xfrm_state_move(plane->xfrm, XFRM_INBOUND, &sa->local, sa->spi_in, path);
    if (r < 0)
        return r;
    sa->local = path->local;
    r = xfrm_policies_hold(plane->policies, sa->spi_in);
    if (r >= 0)
        r = xfrm_state_move(plane->xfrm, XFRM_OUTBOUND, &sa->remote, sa->spi_out, path);
    if (r >= 0)
        sa->remote = path->remote;
    return r;
}

static int kernel_move_sa(NetPlane *base, uint32_t spi_in, const SaPath *path, Reason *reason)
{
    KernelPlane *plane = kernel_plane(base);
    KernelSa *sa = sa_find(plane, spi_in);
    if (!sa)
        return -ENOENT;
    if (path->local.ss_family == AF_UNSPEC)
        return -EINVAL;
    int r = move_states(plane, sa, path);
    if (r < 0) { /* tred closes its exchange */
        net_plane_report(base, spi_in, DATAPLANE_STATE_GONE);
        return reason_set(reason, r, "the kernel did not take the moved ESP state: %s",
                          strerror(-r));
    }
    sa->since = time(NULL);
    if (sa->awaited)
        await_first(plane, sa, true);
    r = xfrm_policies_move(plane->policies, spi_in, path);
    if (r < 0)
        reason_set(reason, r, "the kernel did not take the ESP policies: %s", strerror(-r));
    return r;
}

static uint64_t idle_ms(const KernelSa *sa, const XfrmStateInfo *info)
{
    time_t since = info->last_used ? (time_t)info->last_used : sa->since, now = time(NULL);
    return now > since ? (uint64_t)(now - since) * 1000 : 0;
}

static int kernel_sa_counters(NetPlane *base, uint32_t spi_in, SaCounters *ret)
{
    KernelPlane *plane = kernel_plane(base);
    KernelSa *sa = sa_find(plane, spi_in);
    if (!sa)
        return -ENOENT;
    XfrmStateInfo in, out;
    int r = xfrm_state_get(plane->xfrm, &sa->local, sa->spi_in, &in);
    if (r >= 0)
        r = xfrm_state_get(plane->xfrm, &sa->remote, sa->spi_out, &out);
    if (r < 0)
        return r == -ESRCH ? -ENOENT : r;
    *ret = (SaCounters){
        .packets_in = in.packets,
        .bytes_in = in.bytes,
        .packets_out = out.packets,
        .bytes_out = out.bytes,
        .replays = in.replays,
        .authentication_failures = in.integrity_failures,
        .idle_in_ms = idle_ms(sa, &in),
        .idle_out_ms = idle_ms(sa, &out),
    };
    return 0;
}

const NetBackend NET_BACKEND_KERNEL = {
    .mode = DATAPLANE_KERNEL,
    .open = kernel_open,
    .close = kernel_close,
    .add_sa = kernel_add_sa,
    .remove_sa = kernel_remove_sa,
    .use_sa = kernel_use_sa,
    .move_sa = kernel_move_sa,
    .sa_counters = kernel_sa_counters,
    .watched = kernel_watched,
    .handle_watched = kernel_handle_watched,
};
