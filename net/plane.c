/* Carries tred's orders out through the back end that was opened, and keeps what is to be reported
 * of each SA pair. */
#include "net/plane.h"

#include <errno.h>
#include <string.h>

enum { ESP_BUFFER_SIZE = 8 * 1024 * 1024 }; /* some ms of traffic at the speed of a network card */

int net_plane_fail_network(Reason *reason, int r, const char *interface)
{
    switch (r) {
    case -EEXIST:
        return reason_set(
            reason, r,
            "There is an interface %s that tred did not make. Remove it, or choose another name",
            interface);
    case -EPERM:
        return reason_set(reason, r,
                          "The network can't be configured: CAP_NET_ADMIN is missing. Start "
                          "tred-net by its unit");
    default:
        return reason_set(reason, r, "The network can't be configured: %s", strerror(-r));
    }
}

int net_plane_check_interfaces(const InterfaceNames *interfaces, Reason *reason)
{
    for (size_t i = 0; i < interfaces->n; i++) {
        int r = network_check_name(interfaces->names[i]);
        if (r < 0)
            return net_plane_fail_network(reason, r, interfaces->names[i]);
    }
    return 0;
}

int net_plane_open_networks(NetPlane *plane, const InterfaceNames *interfaces, Reason *reason)
{
    int r = 0;
    plane->interfaces = *interfaces;
    for (size_t i = 0; i < interfaces->n && r >= 0; i++) {
        r = network_new(&plane->networks[i]);
        if (r >= 0)
            r = network_clear(plane->networks[i], interfaces->names[i]);
        if (r < 0)
            net_plane_fail_network(reason, r, interfaces->names[i]);
    }
    return r;
}

void net_plane_free_networks(NetPlane *plane)
{
    for (size_t i = 0; i < DATAPLANE_INTERFACES_MAX; i++)
        network_free(steal_pointer(plane->networks[i]));
}

void net_plane_lower_interface(Network *network)
{
    if (network_is_idle(network))
        network_detach(network);
}

/* The kernel's plane where it can, else the user's. */
static int open_best(const InterfaceNames *interfaces, NetPlane **ret, Reason *reason)
{
    Reason kernel_error = {0}, user_error = {0};
    int r = NET_BACKEND_KERNEL.open(interfaces, ret, &kernel_error);
    if (r != -EOPNOTSUPP) {
        return r < 0 ? reason_set(reason, r, "%s", kernel_error.text) : r;
    }
    r = NET_BACKEND_USER.open(interfaces, ret, &user_error);
    return r < 0 ? reason_set(reason, r, "%s. %s", kernel_error.text, user_error.text) : r;
}

int net_plane_open(DataPlaneMode mode, const InterfaceNames *interfaces, NetPlane **ret,
                   Reason *reason)
{
    switch (mode) {
    case DATAPLANE_AUTO:
        return open_best(interfaces, ret, reason);
    case DATAPLANE_KERNEL:
        return NET_BACKEND_KERNEL.open(interfaces, ret, reason);
    case DATAPLANE_USER:
        return NET_BACKEND_USER.open(interfaces, ret, reason);
    default:
        return reason_set(reason, -EINVAL, "There is no such data plane");
    }
}

void net_plane_close(NetPlane *plane)
{
    if (plane)
        plane->backend->close(plane);
}

/* The pair that has this SPI, or NULL. */
static NetSa *find_sa(NetPlane *plane, uint32_t spi_in)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].spi_in == spi_in)
            return &plane->sas[i];
    }
    return NULL;
}

/* Larger than the system's limit (net.core.rmem_max), which takes CAP_NET_ADMIN; without it there
 * is more loss in bursts, and no reason to refuse. */
static void widen_buffers(int esp_fd)
{
    const int size = ESP_BUFFER_SIZE;
    (void)setsockopt(esp_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    (void)setsockopt(esp_fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
}

static int add_sa(NetPlane *plane, const SaOrder *order, int esp_fd, int *ret_tun, Reason *reason)
{
    /* ESP keys have no business here unless the kernel is to have them. */
    if ((order->encr_in != NULL) != (plane->backend->mode == DATAPLANE_KERNEL))
        return -EINVAL;
    if (order->interface >= plane->interfaces.n)
        return -EINVAL;
    if (find_sa(plane, order->spi_in))
        return -EEXIST;
    if (plane->n_sas == DATAPLANE_SAS_MAX)
        return -ENOSPC;
    if (esp_fd >= 0)
        widen_buffers(esp_fd);
    int r = plane->backend->add_sa(plane, order, ret_tun, reason);
    if (r >= 0) {
        plane->sas[plane->n_sas++] =
            (NetSa){.spi_in = order->spi_in, .interface = order->interface};
    }
    return r;
}

static int remove_sa(NetPlane *plane, uint32_t spi_in)
{
    NetSa *sa = find_sa(plane, spi_in);
    if (!sa)
        return -ENOENT;
    const NetSa gone = *sa;
    *sa = plane->sas[--plane->n_sas];
    return plane->backend->remove_sa(plane, &gone);
}

static int move_sa(NetPlane *plane, uint32_t spi_in, const SaPath *path, int esp_fd, Reason *reason)
{
    const NetSa *sa = find_sa(plane, spi_in);
    if (!sa)
        return -ENOENT;
    if (esp_fd >= 0)
        widen_buffers(esp_fd);
    int r = plane->backend->move_sa ? plane->backend->move_sa(plane, spi_in, path, reason) : 0;
    return r < 0 ? r : network_move_sa(plane->networks[sa->interface], spi_in, path, reason);
}

static int set_mtu(NetPlane *plane, uint32_t spi_in, uint32_t mtu, Reason *reason)
{
    const NetSa *sa = find_sa(plane, spi_in);
    return sa ? network_set_mtu(plane->networks[sa->interface], spi_in, mtu, reason) : -ENOENT;
}

void net_plane_carry_out(NetPlane *plane, const Order *order, int esp_fd, Answer *ret, int *ret_tun)
{
    *ret = (Answer){.type = order->type, .number = order->number};
    *ret_tun = -1;
    switch (order->type) {
    case ORDER_ADD_SA:
        ret->error = add_sa(plane, order->sa, esp_fd, ret_tun, &ret->reason);
        break;
    case ORDER_REMOVE_SA:
        ret->error = remove_sa(plane, order->id);
        break;
    case ORDER_USE_SA:
        ret->error = plane->backend->use_sa ? plane->backend->use_sa(plane, order->id) : -EBADMSG;
        break;
    case ORDER_MOVE_SA:
        ret->error = move_sa(plane, order->id, &order->path, esp_fd, &ret->reason);
        break;
    case ORDER_PATH_MTU:
        ret->error = set_mtu(plane, order->id, order->path.mtu, &ret->reason);
        break;
    case ORDER_SA_COUNTERS:
        ret->error = plane->backend->sa_counters(plane, order->id, &ret->sa);
        break;
    default:
        ret->error = -EBADMSG;
    }
}

size_t net_plane_poll(const NetPlane *plane, struct pollfd polled[NET_PLANE_POLL_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < plane->interfaces.n; i++)
        polled[n++] = (struct pollfd){.fd = network_watched(plane->networks[i]), .events = POLLIN};
    if (plane->backend->watched)
        polled[n++] = (struct pollfd){.fd = plane->backend->watched(plane), .events = POLLIN};
    return n;
}

void net_plane_report(NetPlane *plane, uint32_t spi_in, DataPlaneEventType event)
{
    NetSa *sa = find_sa(plane, spi_in);
    if (sa)
        sa->due |= (1U << event) & ~sa->said;
}

static void report_gone(uint32_t spi_in, DataPlaneEventType event, void *userdata)
{
    net_plane_report(userdata, spi_in, event);
}

void net_plane_watch(NetPlane *plane, const struct pollfd *polled, size_t n_polled)
{
    const size_t n = plane->interfaces.n;
    if (n_polled > n && polled[n].revents != 0)
        plane->backend->handle_watched(plane);
    for (size_t i = 0; i < n && i < n_polled; i++) {
        if (polled[i].revents != 0 && network_has_changed(plane->networks[i]))
            network_look(plane->networks[i], report_gone, plane);
    }
}

bool net_plane_event(NetPlane *plane, DataPlaneEvent *ret)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        NetSa *sa = &plane->sas[i];
        for (unsigned type = 0; type < DATAPLANE_EVENT_TYPES; type++) {
            unsigned bit = 1U << type;
            if (!(sa->due & bit))
                continue;
            sa->due &= ~bit;
            sa->said |= bit;
            *ret = (DataPlaneEvent){.type = type, .spi_in = sa->spi_in};
            return true;
        }
    }
    return false;
}
