/* The data plane's pairs of SAs: how far each has come with tred-net and tred-esp, and what they
 * have counted, which whoever has their keys is asked for. */
#include "dataplane/dataplane_internal.h"

#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

/* ---- what they have counted ---- */

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
    sum->ecn_drops_in += now->ecn_drops_in - before->ecn_drops_in;
}

/* A pair is forgotten: what it has counted goes into the sum. */
static void plane_counters_keep(DataPlane *plane, const PlaneSa *sa)
{
    counters_add(&plane->ended, &sa->counters, &(SaCounters){0});
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

/* A pair is about to be removed: asks what it has counted since it was asked the last time. */
static void plane_counters_last(DataPlane *plane, const PlaneSa *sa)
{
    OrderLink *helper = plane->mode == DATAPLANE_USER ? plane->esp : plane->net;
    if (sa->added || plane->n_leaving == ELEMENTS(plane->leaving))
        return;
    plane->leaving[plane->n_leaving++] = (PlaneLeaving){sa->cookie, sa->counters};
    order_link_give(helper, &(Order){.type = ORDER_SA_COUNTERS, .id = sa->spi_in}, -1,
                    order_link_deadline(), handle_last_counters, sa->cookie, plane);
}

/* One of the answers that dataplane_count() waits for. */
static void handle_counters(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)fd;
    DataPlane *plane = userdata;
    PlaneSa *sa = plane_sa_of_cookie(plane, cookie);
    if (answer->error == 0 && answer->type == ORDER_SA_COUNTERS && sa)
        sa->counters = answer->sa;
    if (answer->error == 0 && answer->type == ORDER_PLANE_COUNTERS)
        plane->counters = answer->plane;
    if (answer->error == 0 && answer->type == ORDER_PROTECTION_COUNTERS)
        plane->protection = answer->protection;
    if (--plane->n_counting == 0)
        plane->counted(plane->counted_userdata);
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
    const bool protects = plane->options->protect && plane->mode != DATAPLANE_NONE;
    plane->n_counting = plane->n_sas + (plane->mode == DATAPLANE_USER) + protects;
    if (plane->n_counting == 0) {
        counted(userdata);
        return 0;
    }
    for (size_t i = 0; i < plane->n_sas; i++) {
        order_link_give(helper, &(Order){.type = ORDER_SA_COUNTERS, .id = plane->sas[i].spi_in}, -1,
                        deadline, handle_counters, plane->sas[i].cookie, plane);
    }
    /* The kernel counts these for the whole host, in /proc/net/xfrm_stat. */
    if (plane->mode == DATAPLANE_USER) {
        order_link_give(helper, &(Order){.type = ORDER_PLANE_COUNTERS}, -1, deadline,
                        handle_counters, 0, plane);
    }
    if (protects) {
        order_link_give(plane->net, &(Order){.type = ORDER_PROTECTION_COUNTERS}, -1, deadline,
                        handle_counters, 0, plane);
    }
    return 0;
}

static const PlaneSa *sa_find(const DataPlane *plane, uint32_t spi_in)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].spi_in == spi_in)
            return &plane->sas[i];
    }
    return NULL;
}

int dataplane_sa_counters(const DataPlane *plane, uint32_t spi_in, SaCounters *ret)
{
    const PlaneSa *sa = sa_find(plane, spi_in);
    if (!sa)
        return -ENOENT;
    *ret = sa->counters;
    return 0;
}

uint64_t dataplane_sa_soft_seconds(const DataPlane *plane, uint32_t spi_in)
{
    const PlaneSa *sa = sa_find(plane, spi_in);
    return sa ? sa->soft_seconds : 0;
}

static void plane_counters_add(DataPlaneCounters *sum, const DataPlaneCounters *more)
{
    sum->unknown_spi += more->unknown_spi;
    sum->no_sa_out += more->no_sa_out;
    sum->send_failures += more->send_failures;
    sum->delivery_failures += more->delivery_failures;
}

void plane_counters_restart(DataPlane *plane)
{
    plane_counters_add(&plane->before, &plane->counters);
    plane->counters = (DataPlaneCounters){0};
}

int dataplane_counters(const DataPlane *plane, DataPlaneCounters *ret)
{
    if (plane->mode != DATAPLANE_USER)
        return -ENODATA;
    *ret = plane->before;
    plane_counters_add(ret, &plane->counters);
    return 0;
}

void dataplane_totals(const DataPlane *plane, SaCounters *ret)
{
    *ret = plane->ended;
    for (size_t i = 0; i < plane->n_sas; i++)
        counters_add(ret, &plane->sas[i].counters, &(SaCounters){0});
}

void dataplane_protection_counters(const DataPlane *plane, ProtectionCounters *ret)
{
    *ret = plane->protection;
}

/* ---- how far each has come ---- */

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

size_t plane_interface_of(uint64_t cookie)
{
    return (size_t)(cookie % DATAPLANE_INTERFACES_MAX);
}

static uint64_t new_cookie(DataPlane *plane, size_t interface)
{
    return ++plane->last_cookie * DATAPLANE_INTERFACES_MAX + interface;
}

static size_t sas_of(const DataPlane *plane, size_t interface)
{
    size_t n = 0;
    for (size_t i = 0; i < plane->n_sas; i++)
        n += plane_interface_of(plane->sas[i].cookie) == interface;
    return n;
}

void plane_sa_forget(DataPlane *plane, PlaneSa *sa, int error)
{
    SaAdded added = sa->added;
    void *userdata = sa->userdata;
    SaUsed used = sa->used;
    void *used_userdata = sa->used_userdata;
    PlaneMove *move = sa->move;
    free(sa->order);
    plane_counters_keep(plane, sa);
    *sa = plane->sas[--plane->n_sas];
    if (added)
        added(error, "", userdata);
    if (used)
        used(error, "", used_userdata);
    if (move)
        plane_move_done(move, error, "");
}

/* Adding: tred-esp first, so that no packet comes out of the interface that it has no SA for; then
 * tred-net. Of the interface's first SA both are told at once, as no packet comes out of a TUN
 * before tred-esp has it: it gets that from tred-net's answer, after the SA. */

static void close_tun(DataPlane *plane, size_t interface)
{
    plane->tun_open[interface] = false;
    order_link_tell(plane->esp, &(Order){.type = ORDER_CLOSE_TUN, .id = (uint32_t)interface});
}

/* One that is not among the plane's any more. */
static void remove_from_helpers(DataPlane *plane, const PlaneSa *sa, bool in_net)
{
    const size_t interface = plane_interface_of(sa->cookie);
    Order order = {.type = ORDER_REMOVE_SA, .id = sa->spi_in};
    if (in_net)
        order_link_tell(plane->net, &order);
    if (plane->mode != DATAPLANE_USER)
        return;
    order_link_tell(plane->esp, &order);
    plane_transport_release(plane, sa->transport);
    if (sas_of(plane, interface) == 0 && plane->tun_open[interface])
        close_tun(plane, interface);
}

/* The pair is in tred-net if there is no order left for it. */
static void take_away(DataPlane *plane, PlaneSa *sa, int error, const char *why)
{
    const PlaneSa gone = *sa;
    bool in_net = sa->order == NULL;
    plane_counters_last(plane, sa);
    sa->added = NULL;
    plane_sa_forget(plane, sa, error);
    remove_from_helpers(plane, &gone, in_net);
    if (gone.added)
        gone.added(error, why, gone.userdata);
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
    const size_t interface = plane_interface_of(cookie);
    if (sas_of(plane, interface) == 0)
        return;
    if (plane->tun_open[interface])
        close_tun(plane, interface);
    plane->tun_open[interface] = true;
    order_link_give(plane->esp, &(Order){.type = ORDER_OPEN_TUN, .id = (uint32_t)interface}, tun,
                    deadline, handle_tun_open, cookie, plane);
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
    if (plane->mode == DATAPLANE_USER && !plane->tun_open[plane_interface_of(cookie)]) {
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

/* tred-esp gets the keys; the copy for tred-net has none. */
static int add_to_esp(DataPlane *plane, PlaneSa *sa, SaOrder *order)
{
    if (!order->udp_encapsulated || !sa->transport)
        return -EOPNOTSUPP;
    SaOrder *keyless = malloc(sizeof(*keyless));
    if (!keyless)
        return -ENOMEM;
    int r = plane_transport_open(plane, sa->transport, sa->deadline, &order->transport);
    if (r < 0) {
        free(keyless);
        return r;
    }
    *keyless = *order;
    keyless->encr_in = keyless->integ_in = keyless->encr_out = keyless->integ_out = NULL;
    sa->order = keyless;
    order_link_give(plane->esp, &(Order){.type = ORDER_ADD_SA, .sa = order}, -1, sa->deadline,
                    handle_esp_added, sa->cookie, plane);
    if (sas_of(plane, order->interface) == 1 && !plane->tun_open[order->interface])
        give_to_net(plane, sa);
    return 0;
}

static int add_to_kernel(DataPlane *plane, PlaneSa *sa, const SaOrder *order)
{
    if (order->udp_encapsulated && !sa->transport)
        return -EINVAL;
    int r = order->udp_encapsulated ? plane_transport_divert(sa->transport) : 0;
    if (r >= 0)
        order_net(plane, sa, order);
    return r;
}

static uint64_t earlier(uint64_t limit, uint64_t random)
{
    return limit - random % (limit / LIFETIME_JITTER + 1);
}

/* 0 is no limit. */
static uint64_t at_most(uint64_t limit, uint64_t most)
{
    return limit == 0 || limit > most ? most : limit;
}

void lifetime_settle(Lifetime *soft, Lifetime *hard, bool esn, uint64_t random)
{
    if (!esn) {
        soft->packets = at_most(soft->packets, LIFETIME_NUMBERS_SOFT);
        hard->packets = at_most(hard->packets, LIFETIME_NUMBERS_HARD);
    }
    soft->bytes = earlier(soft->bytes, random);
    soft->packets = earlier(soft->packets, random);
    soft->seconds = earlier(soft->seconds, random);
}

static int settle_lifetime(SaOrder *order)
{
    uint64_t random = 0;
    if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1)
        return -EIO;
    lifetime_settle(&order->soft, &order->hard, order->suite.esn, random);
    return 0;
}

static int begin_adding(DataPlane *plane, const SaOrder *given, PlaneSa *sa)
{
    SaOrder order = *given;
    order.copy_dscp = plane->options->copy_dscp;
    order.ecn = plane->options->ecn;
    SaPath path = {.local = given->local,
                   .remote = given->remote,
                   .udp_encapsulated = given->udp_encapsulated};
    int r = plane_path_complete(&path, &given->suite);
    order.local = path.local;
    order.mtu = path.mtu;
    sa->path = path;
    if (r >= 0)
        r = settle_lifetime(&order);
    sa->soft_seconds = order.soft.seconds;
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
    if (order->interface >= plane->options->interfaces.n)
        return -EINVAL;
    if (plane_sa_find(plane, order->spi_in))
        return -EEXIST;
    if (plane->n_sas == DATAPLANE_SAS_MAX)
        return -ENOSPC;
    PlaneSa *sa = &plane->sas[plane->n_sas++];
    *sa = (PlaneSa){
        .spi_in = order->spi_in,
        .cookie = new_cookie(plane, order->interface),
        .transport = transport,
        .suite = order->suite,
        .deadline = order_link_deadline(),
        .added = added,
        .userdata = userdata,
    };
    int r = begin_adding(plane, order, sa);
    if (r < 0) /* nobody has heard of it yet, nor of a transport for it */
        plane->n_sas--;
    plane_pmtu_follow(plane);
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

/* A pair that was to send and can't lacks what it sends by; the client's remedy is the same. */
static void handle_used(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)fd;
    DataPlane *plane = userdata;
    const DataPlaneCallbacks *callbacks = &plane->options->callbacks;
    PlaneSa *sa = plane_sa_of_cookie(plane, cookie);
    if (!sa)
        return;
    uint32_t spi_in = sa->spi_in;
    SaUsed used = sa->used;
    sa->used = NULL;
    if (used)
        used(answer->error, answer->reason.text, sa->used_userdata);
    if (answer->error < 0 && callbacks->event) {
        callbacks->event(&(DataPlaneEvent){.type = DATAPLANE_POLICY_GONE, .spi_in = spi_in},
                         callbacks->userdata);
    }
}

int dataplane_use_sa(DataPlane *plane, uint32_t spi_in, SaUsed used, void *userdata)
{
    if (plane->state != PLANE_OPEN)
        return -ENOTCONN;
    if (plane->mode == DATAPLANE_NONE) {
        if (used)
            used(0, "", userdata);
        return 0;
    }
    PlaneSa *sa = plane_sa_find(plane, spi_in);
    if (!sa)
        return -ENOENT;
    if (sa->used)
        return -EBUSY;
    sa->used = used;
    sa->used_userdata = userdata;
    order_link_give(plane->mode == DATAPLANE_USER ? plane->esp : plane->net,
                    &(Order){.type = ORDER_USE_SA, .id = spi_in}, -1, order_link_deadline(),
                    handle_used, sa->cookie, plane);
    return 0;
}
