/* Carries tred's orders out: which descriptors and SAs the plane has. */
#include "esp/plane_internal.h"

#include "base/monotonic.h"

#include <errno.h>

enum {
    DRAIN_BATCH = 1024, /* receive calls: more than a socket's buffer can fill */
    LEAVING_MS = 2000,  /* for what is under way to where an SA was before it moved */
};

int plane_new(Plane **ret)
{
    _cleanup_(plane_freep) Plane *plane = calloc(1, sizeof(*plane));
    if (!plane)
        return -ENOMEM;
    plane->leaving = -1;
    for (size_t i = 0; i < DATAPLANE_INTERFACES_MAX; i++)
        plane->tuns[i] = -1;
    int r = inbox_new(&plane->inbox);
    if (r >= 0)
        r = outbox_new(&plane->outbox);
    if (r < 0)
        return r;
    *ret = steal_pointer(plane);
    return 0;
}

void plane_free(Plane *plane)
{
    if (!plane)
        return;
    for (size_t i = 0; i < plane->n_sas; i++)
        sa_free(plane->sas[i]);
    for (size_t i = 0; i < plane->n_transports; i++)
        close_fdp(&plane->transports[i].fd);
    close_fdp(&plane->leaving);
    for (size_t i = 0; i < DATAPLANE_INTERFACES_MAX; i++)
        close_fdp(&plane->tuns[i]);
    inbox_free(plane->inbox);
    outbox_free(plane->outbox);
    free(plane);
}

size_t plane_sa_index(const Plane *plane, uint32_t spi_in)
{
    size_t i = 0;
    while (i < plane->n_sas && sa_spi_in(plane->sas[i]) != spi_in)
        i++;
    return i;
}

static size_t transport_index(const Plane *plane, uint32_t id)
{
    size_t i = 0;
    while (i < plane->n_transports && plane->transports[i].id != id)
        i++;
    return i;
}

static int add_sa(Plane *plane, const SaOrder *order)
{
    size_t transport = transport_index(plane, order->transport);
    if (!order->encr_in || order->interface >= DATAPLANE_INTERFACES_MAX)
        return -EINVAL;
    if (plane_sa_index(plane, order->spi_in) < plane->n_sas)
        return -EEXIST;
    if (transport == plane->n_transports)
        return -ENOENT;
    if (plane->n_sas == DATAPLANE_SAS_MAX)
        return -ENOSPC;
    int r =
        sa_new(order, plane->transports[transport].fd, plane->now_ms, &plane->sas[plane->n_sas]);
    if (r >= 0)
        plane->n_sas++;
    return r;
}

static Sa *take_sa_out(Plane *plane, size_t index)
{
    Sa *sa = plane->sas[index];
    plane->n_sas--;
    for (size_t i = index; i < plane->n_sas; i++)
        plane->sas[i] = plane->sas[i + 1];
    plane->sas[plane->n_sas] = NULL;
    return sa;
}

static void drop_sa(Plane *plane, size_t index)
{
    sa_free(take_sa_out(plane, index));
}

void plane_use_sa(Plane *plane, size_t index)
{
    Sa *sa = take_sa_out(plane, index);
    sa_use(sa);
    plane->sas[plane->n_sas++] = sa;
}

static int use_sa(Plane *plane, uint32_t spi_in)
{
    size_t index = plane_sa_index(plane, spi_in);
    if (index == plane->n_sas)
        return -ENOENT;
    plane_use_sa(plane, index);
    return 0;
}

/* What has come in for it until now waits in the socket, and is received: its peer has sent all
 * that before it let the SA go. */
static int remove_sa(Plane *plane, uint32_t spi_in)
{
    size_t index = plane_sa_index(plane, spi_in);
    if (index == plane->n_sas)
        return -ENOENT;
    const bool delivers = plane_delivers(plane, plane->sas[index]);
    int r = delivers ? plane_forward_in(plane, sa_fd(plane->sas[index]), DRAIN_BATCH) : 0;
    if (r >= 0 && delivers && plane->leaving >= 0)
        r = plane_forward_in(plane, plane->leaving, DRAIN_BATCH);
    drop_sa(plane, index);
    return r;
}

static int move_sa(Plane *plane, uint32_t spi_in, const SaPath *path)
{
    size_t index = plane_sa_index(plane, spi_in),
           transport = transport_index(plane, path->transport);
    if (index == plane->n_sas || transport == plane->n_transports)
        return -ENOENT;
    sa_move(plane->sas[index], path, plane->transports[transport].fd);
    return 0;
}

static int open_tun(Plane *plane, size_t interface, int *fd)
{
    if (interface >= DATAPLANE_INTERFACES_MAX)
        return -EINVAL;
    if (*fd < 0)
        return -EBADF;
    if (plane->tuns[interface] >= 0)
        return -EEXIST;
    plane->tuns[interface] = steal_fd(fd);
    return 0;
}

int plane_close_tun(Plane *plane, size_t interface)
{
    if (interface >= DATAPLANE_INTERFACES_MAX)
        return -EINVAL;
    if (plane->tuns[interface] < 0)
        return -ENOENT;
    (void)close(plane->tuns[interface]);
    plane->tuns[interface] = -1;
    return 0;
}

size_t plane_interface_of(const Plane *plane, int fd)
{
    for (size_t i = 0; i < DATAPLANE_INTERFACES_MAX; i++) {
        if (plane->tuns[i] == fd)
            return i;
    }
    return DATAPLANE_INTERFACES_MAX;
}

static int open_transport(Plane *plane, uint32_t id, int *fd)
{
    if (*fd < 0)
        return -EBADF;
    if (transport_index(plane, id) < plane->n_transports)
        return -EEXIST;
    if (plane->n_transports == DATAPLANE_TRANSPORTS_MAX)
        return -ENOSPC;
    plane->transports[plane->n_transports++] = (EspSocket){id, steal_fd(fd)};
    return 0;
}

static bool has_sa(const Plane *plane, uint32_t transport)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (sa_transport(plane->sas[i]) == transport)
            return true;
    }
    return false;
}

static void leave(Plane *plane, int fd)
{
    close_fdp(&plane->leaving);
    plane->leaving = fd;
    plane->leaving_until_ms = plane->now_ms + LEAVING_MS;
}

void plane_leave_if_over(Plane *plane)
{
    if (plane->leaving < 0 || (plane->n_sas > 0 && plane->now_ms < plane->leaving_until_ms))
        return;
    (void)close(plane->leaving);
    plane->leaving = -1;
}

/* One without an SA is one whose SAs have moved, or are gone one by one. */
static int close_transport(Plane *plane, uint32_t id)
{
    size_t index = transport_index(plane, id);
    if (index == plane->n_transports)
        return -ENOENT;
    if (!has_sa(plane, id)) {
        leave(plane, plane->transports[index].fd);
        plane->transports[index] = plane->transports[--plane->n_transports];
        plane_leave_if_over(plane);
        return 0;
    }
    for (size_t i = plane->n_sas; i > 0; i--) {
        if (sa_transport(plane->sas[i - 1]) == id)
            drop_sa(plane, i - 1);
    }
    (void)close(plane->transports[index].fd);
    plane->transports[index] = plane->transports[--plane->n_transports];
    return 0;
}

static int get_sa_counters(const Plane *plane, uint32_t spi_in, SaCounters *ret)
{
    size_t index = plane_sa_index(plane, spi_in);
    if (index == plane->n_sas)
        return -ENOENT;
    sa_counters(plane->sas[index], plane->now_ms, ret);
    return 0;
}

void plane_carry_out(Plane *plane, const Order *order, int fd, Answer *ret)
{
    _cleanup_(close_fdp) int owned = fd;
    plane->now_ms = monotonic_ms();
    *ret = (Answer){.type = order->type, .number = order->number};
    switch (order->type) {
    case ORDER_OPEN_TUN:
        ret->error = open_tun(plane, order->id, &owned);
        break;
    case ORDER_CLOSE_TUN:
        ret->error = plane_close_tun(plane, order->id);
        break;
    case ORDER_OPEN_TRANSPORT:
        ret->error = open_transport(plane, order->id, &owned);
        break;
    case ORDER_CLOSE_TRANSPORT:
        ret->error = close_transport(plane, order->id);
        break;
    case ORDER_ADD_SA:
        ret->error = add_sa(plane, order->sa);
        break;
    case ORDER_REMOVE_SA:
        ret->error = remove_sa(plane, order->id);
        break;
    case ORDER_USE_SA:
        ret->error = use_sa(plane, order->id);
        break;
    case ORDER_MOVE_SA:
        ret->error = move_sa(plane, order->id, &order->path);
        break;
    case ORDER_SA_COUNTERS:
        ret->error = get_sa_counters(plane, order->id, &ret->sa);
        break;
    case ORDER_PLANE_COUNTERS:
        ret->plane = plane->counters;
        ret->plane.send_failures += outbox_failures(plane->outbox);
        break;
    default:
        ret->error = -EBADMSG;
    }
}
