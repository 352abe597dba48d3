/* Where the data plane's ESP packets go: the sockets that tred-esp or the kernel has for them, the
 * way to the SeGW and what fits through it, and changing either. */
#include "dataplane/dataplane_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>

enum { UDP_HEADER_SIZE = 8 };

static PlaneTransport *transport_find(DataPlane *plane, const Transport *transport)
{
    for (size_t i = 0; i < plane->n_transports; i++) {
        if (plane->transports[i].transport == transport)
            return &plane->transports[i];
    }
    return NULL;
}

void plane_transport_release(DataPlane *plane, const Transport *transport)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].transport == transport)
            return;
    }
    PlaneTransport *unused = transport_find(plane, transport);
    if (!unused)
        return;
    order_link_tell(plane->esp, &(Order){.type = ORDER_CLOSE_TRANSPORT, .id = unused->id});
    *unused = plane->transports[--plane->n_transports];
}

static int set_gro(const Transport *transport, int joined)
{
    return setsockopt(transport->esp_fd, SOL_UDP, UDP_GRO, &joined, sizeof(joined)) < 0 ? -errno
                                                                                        : 0;
}

int plane_transport_open(DataPlane *plane, const Transport *transport, uint64_t deadline,
                         uint32_t *ret_id)
{
    const PlaneTransport *known = transport_find(plane, transport);
    if (known) {
        *ret_id = known->id;
        return 0;
    }
    if (plane->n_transports == DATAPLANE_TRANSPORTS_MAX)
        return -ENOSPC;
    int r = set_gro(transport, 1); /* several datagrams in one read */
    if (r >= 0)
        r = transport_show_ecn(transport);
    if (r < 0)
        return r;
    *ret_id = ++plane->last_transport_id;
    plane->transports[plane->n_transports++] = (PlaneTransport){*ret_id, transport};
    order_link_give(plane->esp, &(Order){.type = ORDER_OPEN_TRANSPORT, .id = *ret_id},
                    transport->esp_fd, deadline, NULL, 0, NULL);
    return 0;
}

int plane_transport_divert(const Transport *transport)
{
    int encapsulation = UDP_ENCAP_ESPINUDP;
    int r = set_gro(transport, 0); /* datagrams joined by GRO would be decapsulated as one */
    if (r >= 0 && setsockopt(transport->esp_fd, SOL_UDP, UDP_ENCAP, &encapsulation,
                             sizeof(encapsulation)) < 0)
        r = -errno;
    return r;
}

int plane_path_complete(SaPath *path, const EspSuite *suite)
{
    if (path->local.ss_family == AF_UNSPEC)
        path->local.ss_family = path->remote.ss_family;
    int r = transport_source(&path->local, &path->remote);
    int room = r < 0 ? r : transport_payload_max(&path->remote);
    if (room < 0)
        return room;
    if (!path->udp_encapsulated)
        room += UDP_HEADER_SIZE;
    size_t mtu = esp_inner_max(suite, (size_t)room);
    path->mtu = mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
    return 0;
}

/* ---- the path MTU, as long as there are pairs of SAs ---- */

/* Until it has been seen, what is larger goes in fragments outside. */
enum { LOOK_US = 5 * 1000 * 1000 };

/* Those of which tred-net has been told, and is not being told. */
static void look_at(DataPlane *plane, PlaneSa *sa)
{
    SaPath path = sa->path;
    if (sa->order || sa->added || sa->move || plane_path_complete(&path, &sa->suite) < 0 ||
        path.mtu == sa->path.mtu)
        return;
    sa->path.mtu = path.mtu;
    order_link_tell(plane->net,
                    &(Order){.type = ORDER_PATH_MTU, .id = sa->spi_in, .path = {.mtu = path.mtu}});
}

static int handle_look(sd_event_source *source, uint64_t usec, void *userdata)
{
    DataPlane *plane = userdata;
    (void)source;
    (void)usec;
    for (size_t i = 0; i < plane->n_sas && plane->state == PLANE_OPEN; i++)
        look_at(plane, &plane->sas[i]);
    plane->pmtu_timer = sd_event_source_disable_unref(plane->pmtu_timer);
    plane_pmtu_follow(plane);
    return 0;
}

void plane_pmtu_follow(DataPlane *plane)
{
    if (plane->pmtu_timer || plane->n_sas == 0)
        return;
    (void)sd_event_add_time_relative(plane->options->event, &plane->pmtu_timer, CLOCK_MONOTONIC,
                                     LOOK_US, LOOK_US / 5, handle_look, plane);
}

/* ---- moving pairs of SAs to another transport, or another address of the SeGW ---- */

typedef struct Destination {
    const Transport *from;
    const Transport *to;
    SaPath path; /* its mtu is each suite's own */
    uint64_t deadline;
} Destination;

void plane_move_done(PlaneMove *move, int error, const char *why)
{
    if (move->error == 0) {
        move->error = error;
        reason_set(&move->why, 0, "%s", why);
    }
    if (--move->pending > 0)
        return;
    move->moved(move->error, move->why.text, move->userdata);
    free(move);
}

/* The first error decides for the pair; its other answer is not waited for. */
static void handle_moved(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)fd;
    PlaneSa *sa = plane_sa_of_cookie(userdata, cookie);
    if (!sa || !sa->move)
        return;
    if (answer->error >= 0 && --sa->n_moving > 0)
        return;
    plane_move_done(steal_pointer(sa->move), answer->error, answer->reason.text);
}

static void order_move(DataPlane *plane, OrderLink *helper, PlaneSa *sa, const SaPath *path,
                       int esp_fd, uint64_t deadline)
{
    sa->n_moving++;
    order_link_give(helper, &(Order){.type = ORDER_MOVE_SA, .id = sa->spi_in, .path = *path},
                    esp_fd, deadline, handle_moved, sa->cookie, plane);
}

/* What tred-net is still to be told of a pair it is told with the new path; else after it. */
static void move_sa(DataPlane *plane, PlaneSa *sa, const Destination *destination)
{
    SaPath path = destination->path;
    sa->transport = destination->to;
    sa->n_moving = 0;
    (void)plane_path_complete(&path, &sa->suite); /* it was found for the others */
    sa->path = path;
    if (plane->mode == DATAPLANE_USER)
        order_move(plane, plane->esp, sa, &path, -1, destination->deadline);
    if (sa->order) {
        sa->order->local = path.local;
        sa->order->remote = path.remote;
        sa->order->mtu = path.mtu;
    } else {
        order_move(plane, plane->net, sa, &path, destination->to->esp_fd, destination->deadline);
    }
}

static int check_pairs(const DataPlane *plane, const Transport *from, size_t *ret_count)
{
    *ret_count = 0;
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].transport != from)
            continue;
        if (plane->sas[i].move)
            return -EBUSY;
        ++*ret_count;
    }
    return 0;
}

static int prepare(DataPlane *plane, Destination *destination)
{
    EspSuite any = {0};
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].transport == destination->from)
            any = plane->sas[i].suite;
    }
    int r = plane_path_complete(&destination->path, &any);
    if (r < 0)
        return r;
    transport_widen(destination->to);
    if (plane->mode == DATAPLANE_USER) {
        return plane_transport_open(plane, destination->to, destination->deadline,
                                    &destination->path.transport);
    }
    return destination->path.udp_encapsulated ? plane_transport_divert(destination->to) : 0;
}

int dataplane_move_sas(DataPlane *plane, const Transport *from, const Transport *to,
                       const struct sockaddr_storage *remote, bool udp_encapsulated, SasMoved moved,
                       void *userdata)
{
    size_t count = 0;
    if (plane->state != PLANE_OPEN)
        return -ENOTCONN;
    int r = check_pairs(plane, from, &count);
    if (r < 0)
        return r;
    if (count == 0) {
        moved(0, "", userdata);
        return 0;
    }
    if (plane->mode == DATAPLANE_USER && !udp_encapsulated)
        return -EOPNOTSUPP;
    Destination destination = {
        .from = from,
        .to = to,
        .path = {.local = to->local, .remote = *remote, .udp_encapsulated = udp_encapsulated},
        .deadline = order_link_deadline(),
    };
    r = prepare(plane, &destination);
    if (r < 0)
        return r;
    PlaneMove *move = malloc(sizeof(*move));
    if (!move) {
        if (plane->mode == DATAPLANE_USER)
            plane_transport_release(plane, to);
        return -ENOMEM;
    }
    *move = (PlaneMove){.pending = count, .moved = moved, .userdata = userdata};
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].transport != from || plane->sas[i].move)
            continue;
        plane->sas[i].move = move;
        move_sa(plane, &plane->sas[i], &destination);
    }
    if (plane->mode == DATAPLANE_USER)
        plane_transport_release(plane, from);
    return 0;
}
