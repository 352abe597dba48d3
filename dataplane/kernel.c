/* How does the kernel's own ESP look from tred? XFRM states and policies, and an XFRM interface. */
#include "dataplane/backend.h"

#include "dataplane/esp.h"
#include "dataplane/network.h"
#include "dataplane/xfrm_policies.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <time.h>

enum { UDP_HEADER_SIZE = 8, IPV6_MTU_MIN = 1280 };

typedef struct KernelSa {
    uint32_t spi_in;
    uint32_t spi_out;
    struct sockaddr_storage local;
    struct sockaddr_storage remote;
    time_t added;
    bool soft_reported; /* each of the two states of a pair has its own lifetime */
    bool hard_reported;
} KernelSa;

typedef struct KernelPlane {
    DataPlane base; /* first */
    Netlink *xfrm;
    Netlink *route;
    struct mnl_socket *expiries;
    sd_event_source *io;
    Network *network;
    XfrmPolicies *policies;
    size_t n_sas;
    KernelSa sas[DATAPLANE_SAS_MAX];
} KernelPlane;

static KernelPlane *kernel_plane(DataPlane *plane)
{
    return (KernelPlane *)plane;
}

static int kernel_remove_sa(DataPlane *base, uint32_t spi_in);

static void kernel_close(DataPlane *base)
{
    KernelPlane *plane = kernel_plane(base);
    while (plane->n_sas > 0)
        (void)kernel_remove_sa(base, plane->sas[plane->n_sas - 1].spi_in);
    sd_event_source_disable_unref(plane->io);
    if (plane->expiries)
        (void)mnl_socket_close(plane->expiries);
    xfrm_policies_free(plane->policies);
    if (plane->network)
        network_detach(plane->network);
    network_free(plane->network);
    netlink_free(plane->xfrm);
    netlink_free(plane->route);
    free(plane);
}

static KernelSa *sa_find(KernelPlane *plane, uint32_t spi)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].spi_in == spi || plane->sas[i].spi_out == spi)
            return &plane->sas[i];
    }
    return NULL;
}

static int handle_expiry(const struct nlmsghdr *header, void *userdata)
{
    KernelPlane *plane = userdata;
    if (header->nlmsg_type != XFRM_MSG_EXPIRE)
        return MNL_CB_OK;
    const struct xfrm_user_expire *expire = mnl_nlmsg_get_payload(header);
    KernelSa *sa = sa_find(plane, ntohl(expire->state.id.spi));
    if (!sa || sa->hard_reported || (!expire->hard && sa->soft_reported))
        return MNL_CB_OK;
    DataPlaneEvent event = {
        .type = expire->hard ? DATAPLANE_HARD_LIFETIME : DATAPLANE_SOFT_LIFETIME,
        .spi_in = sa->spi_in,
    };
    sa->soft_reported = true;
    sa->hard_reported = expire->hard;
    if (plane->base.callback)
        plane->base.callback(&event, plane->base.userdata);
    return MNL_CB_OK;
}

static int handle_expiries(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    (void)source;
    (void)fd;
    (void)revents;
    KernelPlane *plane = userdata;
    _Alignas(struct nlmsghdr) uint8_t buffer[NETLINK_MESSAGE_MAX];
    ssize_t size = mnl_socket_recvfrom(plane->expiries, buffer, sizeof(buffer));
    if (size > 0) /* an overrun loses events; the hard limit itself is the kernel's */
        (void)mnl_cb_run(buffer, (size_t)size, 0, 0, handle_expiry, plane);
    return 0;
}

static int watch_expiries(KernelPlane *plane)
{
    plane->expiries = mnl_socket_open2(NETLINK_XFRM, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!plane->expiries)
        return -errno;
    int group = XFRMNLGRP_EXPIRE;
    if (mnl_socket_bind(plane->expiries, 0, MNL_SOCKET_AUTOPID) < 0 ||
        mnl_socket_setsockopt(plane->expiries, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
        return -errno;
    return sd_event_add_io(plane->base.event, &plane->io, mnl_socket_get_fd(plane->expiries),
                           EPOLLIN, handle_expiries, plane);
}

/* A state that nobody sends to, put in and taken out: the one sure way to know. */
static int try_state(KernelPlane *plane)
{
    _cleanup_(secret_freep) Secret *key = NULL;
    SaConfig config = {.spi_in = XFRM_IF_ID};
    struct sockaddr_in loopback = {.sin_family = AF_INET};
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(&config.local, &loopback, sizeof(loopback));
    config.remote = config.local;
    if (esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, IKE_GROUP_NONE, true,
                           &config.suite) != 0)
        return -EOPNOTSUPP;
    int r = secret_new(config.suite.cipher->key_size + config.suite.cipher->salt_size, &key);
    if (r < 0)
        return r;
    config.in.encr = key;
    r = xfrm_state_add(plane->xfrm, XFRM_INBOUND, &config);
    return r < 0 ? r : xfrm_state_delete(plane->xfrm, &config.local, config.spi_in);
}

/* Clears what was left, and finds out whether states and interface can be made here. */
static int prepare(KernelPlane *plane)
{
    const char *name = plane->base.interface;
    int r = network_new(&plane->network);
    if (r >= 0)
        r = netlink_new(NETLINK_ROUTE, &plane->route);
    if (r >= 0)
        r = netlink_new(NETLINK_XFRM, &plane->xfrm);
    if (r >= 0)
        r = network_clear(plane->network, name);
    if (r >= 0)
        r = xfrm_clear(plane->xfrm);
    if (r >= 0)
        r = try_state(plane);
    if (r >= 0)
        r = xfrm_interface_add(plane->route, name);
    if (r >= 0)
        r = network_attach(plane->network, name, IPV6_MTU_MIN);
    if (r >= 0)
        network_detach(plane->network);
    if (r >= 0)
        r = xfrm_policies_new(plane->xfrm, &plane->policies);
    return r < 0 ? r : watch_expiries(plane);
}

static int kernel_open(const DataPlaneOptions *options, DataPlane **ret, char *error)
{
    KernelPlane *plane = calloc(1, sizeof(*plane));
    if (!plane)
        return dataplane_fail(error, -ENOMEM, "Out of memory.");
    _cleanup_(dataplane_closep) DataPlane *owner = &plane->base;
    dataplane_init(owner, &DATAPLANE_BACKEND_KERNEL, options);
    int r = prepare(plane);
    if (r == -EPROTONOSUPPORT || r == -ENOSYS || r == -EOPNOTSUPP || r == -ENOENT) {
        return dataplane_fail(error, -EOPNOTSUPP,
                              "This kernel lacks ESP, AES-GCM or the XFRM interface: %s. Load the "
                              "modules esp4, esp6 and "
                              "xfrm_interface, or set mode = user.",
                              strerror(-r));
    }
    if (r < 0)
        return dataplane_fail_network(error, r, options->interface);
    *ret = steal_pointer(owner);
    return 0;
}

/* Has the kernel take ESP off this socket itself: for it, and not for us, is what comes in there.
 */
static int divert_esp(const Transport *transport)
{
    int joined = 0, encapsulation = UDP_ENCAP_ESPINUDP;
    /* Datagrams joined by GRO would be decapsulated as one. */
    if (setsockopt(transport->esp_fd, IPPROTO_UDP, UDP_GRO, &joined, sizeof(joined)) < 0 ||
        setsockopt(transport->esp_fd, IPPROTO_UDP, UDP_ENCAP, &encapsulation,
                   sizeof(encapsulation)) < 0)
        return -errno;
    return 0;
}

static int raise_interface(KernelPlane *plane, const SaConfig *config)
{
    int room = transport_payload_max(&config->remote);
    if (room < 0)
        return room;
    if (!config->udp_encapsulated)
        room += UDP_HEADER_SIZE;
    uint32_t mtu = (uint32_t)esp_inner_max(&config->suite, (size_t)room);
    if (plane->n_sas > 0)
        return network_limit_mtu(plane->network, mtu);
    int r = xfrm_interface_add(plane->route, plane->base.interface);
    return r < 0 ? r : network_attach(plane->network, plane->base.interface, mtu);
}

static int add_states(KernelPlane *plane, const SaConfig *config)
{
    int r = xfrm_state_add(plane->xfrm, XFRM_INBOUND, config);
    if (r < 0)
        return r;
    r = xfrm_state_add(plane->xfrm, XFRM_OUTBOUND, config);
    if (r < 0)
        (void)xfrm_state_delete(plane->xfrm, &config->local, config->spi_in);
    return r;
}

static int add_network(KernelPlane *plane, const SaConfig *config, const InnerAddress *addresses,
                       size_t n_addresses)
{
    int r = xfrm_policies_add(plane->policies, config);
    if (r >= 0) {
        r = network_add_sa(plane->network, config->spi_in, config->ts_remote, addresses,
                           n_addresses, &config->remote);
    }
    return r;
}

static int kernel_add_sa(DataPlane *base, const SaConfig *given, const InnerAddress *addresses,
                         size_t n_addresses)
{
    KernelPlane *plane = kernel_plane(base);
    SaConfig config = *given;
    if (config.udp_encapsulated && !config.transport)
        return -EINVAL;
    if (plane->n_sas == DATAPLANE_SAS_MAX)
        return -ENOSPC;
    if (sa_find(plane, config.spi_in))
        return -EEXIST;
    int r = transport_source(&config.local, &config.remote);
    if (r >= 0 && config.udp_encapsulated)
        r = divert_esp(config.transport);
    if (r >= 0)
        r = raise_interface(plane, &config);
    if (r >= 0)
        r = add_states(plane, &config);
    if (r < 0) {
        if (plane->n_sas == 0)
            network_detach(plane->network);
        return r;
    }
    /* From here on it is undone as any pair of SAs is. */
    plane->sas[plane->n_sas++] = (KernelSa){
        .spi_in = config.spi_in,
        .spi_out = config.spi_out,
        .local = config.local,
        .remote = config.remote,
        .added = time(NULL),
    };
    r = add_network(plane, &config, addresses, n_addresses);
    if (r < 0)
        (void)kernel_remove_sa(base, config.spi_in);
    return r;
}

static int kernel_remove_sa(DataPlane *base, uint32_t spi_in)
{
    KernelPlane *plane = kernel_plane(base);
    KernelSa *sa = sa_find(plane, spi_in);
    if (!sa)
        return -ENOENT;
    xfrm_policies_remove(plane->policies, spi_in);
    network_remove_sa(plane->network, spi_in);
    /* One that reached its hard lifetime is gone already. */
    (void)xfrm_state_delete(plane->xfrm, &sa->local, sa->spi_in);
    (void)xfrm_state_delete(plane->xfrm, &sa->remote, sa->spi_out);
    *sa = plane->sas[--plane->n_sas];
    if (plane->n_sas == 0)
        network_detach(plane->network);
    return 0;
}

static uint64_t idle_ms(const KernelSa *sa, const XfrmStateInfo *info)
{
    time_t since = info->last_used ? (time_t)info->last_used : sa->added, now = time(NULL);
    return now > since ? (uint64_t)(now - since) * 1000 : 0;
}

static int kernel_sa_counters(DataPlane *base, uint32_t spi_in, SaCounters *ret)
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

/* The kernel counts these for the whole host, in /proc/net/xfrm_stat. */
static int kernel_counters(DataPlane *base, DataPlaneCounters *ret)
{
    (void)base;
    *ret = (DataPlaneCounters){};
    return 0;
}

const DataPlaneBackend DATAPLANE_BACKEND_KERNEL = {
    .name = "kernel",
    .keeps_keys = true,
    .open = kernel_open,
    .close = kernel_close,
    .add_sa = kernel_add_sa,
    .remove_sa = kernel_remove_sa,
    .sa_counters = kernel_sa_counters,
    .counters = kernel_counters,
};
