/* The data plane's pairs of SAs: how far each has come with tred-net and tred-esp, and what they
 * have counted. */
#include "dataplane/dataplane_internal.h"
#include "dataplane/espsize.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

enum { UDP_HEADER_SIZE = 8 };

PlaneSa *plane_sa_find(DataPlane *plane, uint32_t spi_in)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].spi_in == spi_in)
            return &plane->sas[i];
    }
    return NULL;
}

PlaneSa *plane_sa_of_cookie(DataPlane *plane, uint64_t cookie)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].cookie == cookie)
            return &plane->sas[i];
    }
    return NULL;
}

/* sum += now - before, but for how long it was idle */
static void counters_add(SaCounters *sum, const SaCounters *now, const SaCounters *before)
{
    sum->packets_in += now->packets_in - before->packets_in;
    sum->bytes_in += now->bytes_in - before->bytes_in;
    sum->packets_out += now->packets_out - before->packets_out;
    sum->bytes_out += now->bytes_out - before->bytes_out;
    sum->replays += now->replays - before->replays;
    sum->authentication_failures += now->authentication_failures - before->authentication_failures;
    sum->malformed += now->malformed - before->malformed;
    sum->selector_drops_in += now->selector_drops_in - before->selector_drops_in;
}

void plane_sa_forget(DataPlane *plane, PlaneSa *sa, int error)
{
    SaAdded added = sa->added;
    void *userdata = sa->userdata;
    free(sa->order);
    counters_add(&plane->ended, &sa->counters, &(SaCounters){0});
    *sa = plane->sas[--plane->n_sas];
    if (added)
        added(error, "", userdata);
}

/* Adding: tred-esp first, so that no packet comes out of the interface that it has no SA for; then
 * tred-net. Of the interface's first SA both are told at once, as no packet comes out of a TUN
 * before tred-esp has it: it gets that from tred-net's answer, after the SA. */

static PlaneTransport *transport_find(DataPlane *plane, const Transport *transport)
{
    for (size_t i = 0; i < plane->n_transports; i++) {
        if (plane->transports[i].transport == transport)
            return &plane->transports[i];
    }
    return NULL;
}

/* Closes the transport in tred-esp if no SA uses it. */
static void release_transport(DataPlane *plane, const Transport *transport)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].transport == transport)
            return;
    }
    PlaneTransport *unused = transport_find(plane, transport);
    if (!unused)
        return;
    order_link_give(plane->esp, &(Order){.type = ORDER_CLOSE_TRANSPORT, .id = unused->id}, -1,
                    order_link_deadline(), NULL, 0, NULL);
    *unused = plane->transports[--plane->n_transports];
}

static void remove_from_helpers(DataPlane *plane, uint32_t spi_in, const Transport *transport,
                                bool in_net)
{
    Order order = {.type = ORDER_REMOVE_SA, .id = spi_in};
    if (in_net)
        order_link_give(plane->net, &order, -1, order_link_deadline(), NULL, 0, NULL);
    if (plane->mode != DATAPLANE_USER)
        return;
    order_link_give(plane->esp, &order, -1, order_link_deadline(), NULL, 0, NULL);
    release_transport(plane, transport);
    if (plane->n_sas > 0 || !plane->tun_open)
        return;
    plane->tun_open = false;
    order_link_give(plane->esp, &(Order){.type = ORDER_CLOSE_TUN}, -1, order_link_deadline(), NULL,
                    0, NULL);
}

static void handle_last_counters(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)fd;
    DataPlane *plane = userdata;
    for (size_t i = 0; i < plane->n_leaving; i++) {
        if (plane->leaving[i].cookie != cookie)
            continue;
        if (answer->error == 0)
            counters_add(&plane->ended, &answer->sa, &plane->leaving[i].counted);
        plane->leaving[i] = plane->leaving[--plane->n_leaving];
        return;
    }
}

/* What it has counted since it was asked the last time; the order goes out before its removal. */
static void count_last(DataPlane *plane, const PlaneSa *sa)
{
    OrderLink *helper = plane->mode == DATAPLANE_USER ? plane->esp : plane->net;
    if (sa->added || plane->n_leaving == ELEMENTS(plane->leaving))
        return;
    plane->leaving[plane->n_leaving++] = (PlaneLeaving){sa->cookie, sa->counters};
    order_link_give(helper, &(Order){.type = ORDER_SA_COUNTERS, .id = sa->spi_in}, -1,
                    order_link_deadline(), handle_last_counters, sa->cookie, plane);
}

/* The pair is in tred-net if there is no order left for it. */
static void take_away(DataPlane *plane, PlaneSa *sa, int error, const char *why)
{
    uint32_t spi_in = sa->spi_in;
    const Transport *transport = sa->transport;
    bool in_net = sa->order == NULL;
    SaAdded added = sa->added;
    void *userdata = sa->userdata;
    count_last(plane, sa);
    sa->added = NULL;
    plane_sa_forget(plane, sa, error);
    remove_from_helpers(plane, spi_in, transport, in_net);
    if (added)
        added(error, why, userdata);
}

static void finish_adding(PlaneSa *sa)
{
    SaAdded added = sa->added;
    sa->added = NULL;
    if (added)
        added(0, "", sa->userdata);
}

/* The SA that an order was for, if it was carried out and the SA is still there. One whose order
 * was refused is taken away. */
static PlaneSa *sa_of_done(DataPlane *plane, const Answer *answer, uint64_t cookie)
{
    PlaneSa *sa = plane_sa_of_cookie(plane, cookie);
    if (!sa || answer->error >= 0)
        return sa;
    take_away(plane, sa, answer->error, answer->reason.text);
    return NULL;
}

static void handle_tun_open(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)fd;
    PlaneSa *sa = sa_of_done(userdata, answer, cookie);
    if (sa)
        finish_adding(sa);
}

/* The TUN of an interface that tred-net has just made; the one before, if any, is gone. */
static void hand_tun_on(DataPlane *plane, int tun, uint64_t deadline, uint64_t cookie)
{
    if (plane->n_sas == 0)
        return;
    if (plane->tun_open) {
        order_link_give(plane->esp, &(Order){.type = ORDER_CLOSE_TUN}, -1, order_link_deadline(),
                        NULL, 0, NULL);
    }
    plane->tun_open = true;
    order_link_give(plane->esp, &(Order){.type = ORDER_OPEN_TUN}, tun, deadline, handle_tun_open,
                    cookie, plane);
}

static void handle_net_added(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    DataPlane *plane = userdata;
    PlaneSa *sa = plane_sa_of_cookie(plane, cookie);
    if (plane->mode == DATAPLANE_USER && *fd >= 0)
        hand_tun_on(plane, *fd, sa ? sa->deadline : order_link_deadline(), cookie);
    sa = sa_of_done(plane, answer, cookie);
    if (!sa)
        return;
    if (plane->mode == DATAPLANE_USER && !plane->tun_open) {
        order_link_give_up(plane->net, "tred-net made an interface and kept it");
    } else if (*fd < 0) {
        finish_adding(sa);
    }
}

/* With the ESP socket, whose buffers only CAP_NET_ADMIN can widen. */
static void order_net(DataPlane *plane, PlaneSa *sa, const SaOrder *order)
{
    union { /* borrowed for encoding alone */
        const SaOrder *read;
        SaOrder *order;
    } borrowed = {order};
    order_link_give(plane->net, &(Order){.type = ORDER_ADD_SA, .sa = borrowed.order},
                    sa->transport ? sa->transport->esp_fd : -1, sa->deadline, handle_net_added,
                    sa->cookie, plane);
}

/* Unless tred-net was told already. */
static void give_to_net(DataPlane *plane, PlaneSa *sa)
{
    SaOrder *order = steal_pointer(sa->order);
    if (order)
        order_net(plane, sa, order);
    free(order);
}

static void handle_esp_added(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)fd;
    PlaneSa *sa = sa_of_done(userdata, answer, cookie);
    if (sa)
        give_to_net(userdata, sa);
}

static int set_gro(const Transport *transport, int joined)
{
    return setsockopt(transport->esp_fd, SOL_UDP, UDP_GRO, &joined, sizeof(joined)) < 0 ? -errno
                                                                                        : 0;
}

static int open_transport(DataPlane *plane, const Transport *transport, uint64_t deadline,
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
    if (r < 0)
        return r;
    *ret_id = ++plane->last_transport_id;
    plane->transports[plane->n_transports++] = (PlaneTransport){*ret_id, transport};
    order_link_give(plane->esp, &(Order){.type = ORDER_OPEN_TRANSPORT, .id = *ret_id},
                    transport->esp_fd, deadline, NULL, 0, NULL);
    return 0;
}

/* tred-esp gets the keys; the copy for tred-net has none. */
static int add_to_esp(DataPlane *plane, PlaneSa *sa, SaOrder *order)
{
    if (!order->udp_encapsulated || !sa->transport)
        return -EOPNOTSUPP;
    SaOrder *keyless = malloc(sizeof(*keyless));
    if (!keyless)
        return -ENOMEM;
    int r = open_transport(plane, sa->transport, sa->deadline, &order->transport);
    if (r < 0) {
        free(keyless);
        return r;
    }
    *keyless = *order;
    keyless->encr_in = keyless->integ_in = keyless->encr_out = keyless->integ_out = NULL;
    sa->order = keyless;
    order_link_give(plane->esp, &(Order){.type = ORDER_ADD_SA, .sa = order}, -1, sa->deadline,
                    handle_esp_added, sa->cookie, plane);
    if (plane->n_sas == 1 && !plane->tun_open)
        give_to_net(plane, sa);
    return 0;
}

/* Has the kernel take ESP off this socket itself: for it, and not for us, is what comes in there.
 */
static int divert_esp(const Transport *transport)
{
    int encapsulation = UDP_ENCAP_ESPINUDP;
    int r = set_gro(transport, 0); /* datagrams joined by GRO would be decapsulated as one */
    if (r >= 0 && setsockopt(transport->esp_fd, SOL_UDP, UDP_ENCAP, &encapsulation,
                             sizeof(encapsulation)) < 0)
        r = -errno;
    return r;
}

static int add_to_kernel(DataPlane *plane, PlaneSa *sa, const SaOrder *order)
{
    if (order->udp_encapsulated && !sa->transport)
        return -EINVAL;
    int r = order->udp_encapsulated ? divert_esp(sa->transport) : 0;
    if (r >= 0)
        order_net(plane, sa, order);
    return r;
}

/* What the route to the SeGW says: the outer address of ours, and the interface's MTU. */
static int look_up_path(SaOrder *order)
{
    if (order->local.ss_family == AF_UNSPEC)
        order->local.ss_family = order->remote.ss_family;
    int r = transport_source(&order->local, &order->remote);
    int room = r < 0 ? r : transport_payload_max(&order->remote);
    if (room < 0)
        return room;
    if (!order->udp_encapsulated)
        room += UDP_HEADER_SIZE;
    size_t mtu = esp_inner_max(&order->suite, (size_t)room);
    order->mtu = mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
    return 0;
}

static int begin_adding(DataPlane *plane, const SaOrder *given, PlaneSa *sa)
{
    SaOrder order = *given;
    int r = look_up_path(&order);
    if (r < 0)
        return r;
    if (sa->transport)
        transport_widen(sa->transport);
    return plane->mode == DATAPLANE_USER ? add_to_esp(plane, sa, &order)
                                         : add_to_kernel(plane, sa, &order);
}

int dataplane_add_sa(DataPlane *plane, const SaOrder *order, const Transport *transport,
                     SaAdded added, void *userdata)
{
    if (plane->state != PLANE_OPEN)
        return -ENOTCONN;
    if (plane->mode == DATAPLANE_NONE) {
        added(0, "", userdata);
        return 0;
    }
    if (plane_sa_find(plane, order->spi_in))
        return -EEXIST;
    if (plane->n_sas == DATAPLANE_SAS_MAX)
        return -ENOSPC;
    PlaneSa *sa = &plane->sas[plane->n_sas++];
    *sa = (PlaneSa){
        .spi_in = order->spi_in,
        .cookie = ++plane->last_cookie,
        .transport = transport,
        .deadline = order_link_deadline(),
        .added = added,
        .userdata = userdata,
    };
    int r = begin_adding(plane, order, sa);
    if (r < 0) { /* nobody has heard of it yet */
        plane->n_sas--;
        if (plane->mode == DATAPLANE_USER)
            release_transport(plane, transport);
    }
    return r;
}

int dataplane_remove_sa(DataPlane *plane, uint32_t spi_in)
{
    PlaneSa *sa = plane_sa_find(plane, spi_in);
    if (!sa)
        return -ENOENT;
    take_away(plane, sa, -ECANCELED, "");
    return 0;
}

/* Counting */

static void counting_answered(DataPlane *plane)
{
    if (--plane->n_counting > 0)
        return;
    DataPlaneCounted counted = plane->counted;
    counted(plane->counted_userdata);
}

static void handle_sa_counters(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)fd;
    DataPlane *plane = userdata;
    PlaneSa *sa = plane_sa_of_cookie(plane, cookie);
    if (sa && answer->error == 0)
        sa->counters = answer->sa;
    counting_answered(plane);
}

static void handle_plane_counters(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)fd;
    (void)cookie;
    DataPlane *plane = userdata;
    plane->counters = answer->plane;
    counting_answered(plane);
}

int dataplane_count(DataPlane *plane, DataPlaneCounted counted, void *userdata)
{
    if (plane->state != PLANE_OPEN)
        return -ENOTCONN;
    if (plane->n_counting > 0)
        return -EBUSY;
    plane->counted = counted;
    plane->counted_userdata = userdata;
    uint64_t deadline = order_link_deadline();
    OrderLink *helper = plane->mode == DATAPLANE_USER ? plane->esp : plane->net;
    plane->n_counting = plane->n_sas + (plane->mode == DATAPLANE_USER);
    if (plane->n_counting == 0) {
        counted(userdata);
        return 0;
    }
    for (size_t i = 0; i < plane->n_sas; i++) {
        order_link_give(helper, &(Order){.type = ORDER_SA_COUNTERS, .id = plane->sas[i].spi_in}, -1,
                        deadline, handle_sa_counters, plane->sas[i].cookie, plane);
    }
    /* The kernel counts these for the whole host, in /proc/net/xfrm_stat. */
    if (plane->mode == DATAPLANE_USER) {
        order_link_give(helper, &(Order){.type = ORDER_PLANE_COUNTERS}, -1, deadline,
                        handle_plane_counters, 0, plane);
    }
    return 0;
}

void dataplane_totals(const DataPlane *plane, SaCounters *ret)
{
    *ret = plane->ended;
    for (size_t i = 0; i < plane->n_sas; i++)
        counters_add(ret, &plane->sas[i].counters, &(SaCounters){0});
}

int dataplane_sa_counters(const DataPlane *plane, uint32_t spi_in, SaCounters *ret)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].spi_in != spi_in)
            continue;
        *ret = plane->sas[i].counters;
        return 0;
    }
    return -ENOENT;
}

void dataplane_counters(const DataPlane *plane, DataPlaneCounters *ret)
{
    *ret = plane->counters;
}
