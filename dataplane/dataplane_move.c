/* Moving pairs of SAs to another transport, or another address of the SeGW. */
#include "dataplane/dataplane_internal.h"

#include <errno.h>

typedef struct Destination {
    const Transport *from;
    const Transport *to;
    SaPath path; /* its mtu is each suite's own */
    uint64_t deadline;
} Destination;

void plane_move_done(PlaneMove *move, int error, const char *why)
{
    if (error < 0 && move->error == 0) {
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
