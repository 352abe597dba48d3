/* How does the user-space plane look from tred? It makes TUN, sockets and network configuration,
 * and leaves the packets to tred-esp. */
#include "dataplane/backend.h"

#include "base/log.h"
#include "dataplane/channel.h"
#include "dataplane/esp.h"
#include "dataplane/helper.h"
#include "dataplane/network.h"
#include "dataplane/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

/* A pair of SAs in the helper, and the transport that it uses there. */
typedef struct UserSa {
    uint32_t spi_in;
    const Transport *transport;
} UserSa;

typedef struct UserTransport {
    uint32_t id;
    const Transport *transport;
} UserTransport;

typedef struct UserPlane {
    DataPlane base; /* first */
    Network *network;
    Helper *helper;
    bool tun_open;
    uint32_t last_transport_id;
    size_t n_transports;
    UserTransport transports[DATAPLANE_TRANSPORTS_MAX];
    size_t n_sas;
    UserSa sas[DATAPLANE_SAS_MAX];
} UserPlane;

static UserPlane *user_plane(DataPlane *plane)
{
    return (UserPlane *)plane;
}

static void user_close(DataPlane *base)
{
    UserPlane *plane = user_plane(base);
    helper_free(plane->helper);
    if (plane->network)
        network_detach(plane->network);
    network_free(plane->network);
    free(plane);
}

static void handle_event(const DataPlaneEvent *event, void *userdata)
{
    UserPlane *plane = userdata;
    if (plane->base.callback)
        plane->base.callback(event, plane->base.userdata);
}

/* The device node may be there without a driver behind it: only opening it tells. */
static int tun_probe(char *error)
{
    _cleanup_(close_fdp) int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        return 0;
    if (errno == EACCES || errno == EPERM) {
        return dataplane_fail(error, -errno,
                              "No permission to open %s. Start tred by its unit, and let user tred "
                              "open it (usually everybody may).",
                              TUN_DEVICE);
    }
    return dataplane_fail(error, -errno,
                          "%s can't be opened: %s. Load the module tun, or have a kernel that has "
                          "it.",
                          TUN_DEVICE, strerror(errno));
}

static int user_open(const DataPlaneOptions *options, DataPlane **ret, char *error)
{
    UserPlane *plane = calloc(1, sizeof(*plane));
    if (!plane)
        return dataplane_fail(error, -ENOMEM, "Out of memory.");
    _cleanup_(dataplane_closep) DataPlane *owner = &plane->base;
    dataplane_init(owner, &DATAPLANE_BACKEND_USER, options);
    int r = network_new(&plane->network);
    if (r >= 0)
        r = network_clear(plane->network, options->interface);
    if (r < 0)
        return dataplane_fail_network(error, r, options->interface);
    r = tun_probe(error);
    if (r < 0)
        return r;
    r = helper_new(options->helper, options->event, handle_event, plane, &plane->helper);
    if (r < 0)
        return dataplane_fail(error, r, "%s can't be started: %s.", options->helper, strerror(-r));
    *ret = steal_pointer(owner);
    return 0;
}

/* The interface lives by the helper's descriptor: it goes when the helper goes, however that
 * happens. */
static int open_tun(UserPlane *plane, uint32_t mtu)
{
    _cleanup_(close_fdp) int tun = -1;
    int r = tun_open(plane->base.interface, &tun);
    if (r >= 0)
        r = network_attach(plane->network, plane->base.interface, mtu);
    if (r >= 0)
        r = helper_call(plane->helper, &(Order){.type = ORDER_OPEN_TUN}, tun, NULL);
    if (r >= 0)
        plane->tun_open = true;
    return r;
}

static void close_tun(UserPlane *plane)
{
    if (!plane->tun_open)
        return;
    (void)helper_call(plane->helper, &(Order){.type = ORDER_CLOSE_TUN}, -1, NULL);
    network_detach(plane->network);
    plane->tun_open = false;
}

static UserTransport *transport_find(UserPlane *plane, const Transport *transport)
{
    for (size_t i = 0; i < plane->n_transports; i++) {
        if (plane->transports[i].transport == transport)
            return &plane->transports[i];
    }
    return NULL;
}

static int open_transport(UserPlane *plane, const Transport *transport, uint32_t *ret_id)
{
    UserTransport *known = transport_find(plane, transport);
    if (known) {
        *ret_id = known->id;
        return 0;
    }
    if (plane->n_transports == DATAPLANE_TRANSPORTS_MAX)
        return -ENOSPC;
    /* Joined datagrams come in in one system call. */
    const int joined = 1;
    if (setsockopt(transport->esp_fd, IPPROTO_UDP, UDP_GRO, &joined, sizeof(joined)) < 0)
        return -errno;
    Order order = {.type = ORDER_OPEN_TRANSPORT, .id = ++plane->last_transport_id};
    int r = helper_call(plane->helper, &order, transport->esp_fd, NULL);
    if (r < 0)
        return r;
    plane->transports[plane->n_transports++] = (UserTransport){order.id, transport};
    *ret_id = order.id;
    return 0;
}

/* Closes the transport in the helper if no SA uses it. */
static void release_transport(UserPlane *plane, const Transport *transport)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].transport == transport)
            return;
    }
    UserTransport *unused = transport_find(plane, transport);
    if (!unused)
        return;
    Order order = {.type = ORDER_CLOSE_TRANSPORT, .id = unused->id};
    (void)helper_call(plane->helper, &order, -1, NULL);
    *unused = plane->transports[--plane->n_transports];
}

static int add_to_helper(UserPlane *plane, const SaConfig *config)
{
    union { /* the order borrows the keys for encoding alone */
        const Secret *read;
        Secret *secret;
    } encr_in = {config->in.encr}, integ_in = {config->in.integ}, encr_out = {config->out.encr},
      integ_out = {config->out.integ};
    SaOrder sa = {
        .spi_in = config->spi_in,
        .spi_out = config->spi_out,
        .suite = config->suite,
        .encr_in = encr_in.secret,
        .integ_in = integ_in.secret,
        .encr_out = encr_out.secret,
        .integ_out = integ_out.secret,
        .ts_local = *config->ts_local,
        .ts_remote = *config->ts_remote,
        .remote = config->remote,
        .soft = config->soft,
        .hard = config->hard,
    };
    int r = open_transport(plane, config->transport, &sa.transport);
    if (r >= 0)
        r = helper_call(plane->helper, &(Order){.type = ORDER_ADD_SA, .sa = &sa}, -1, NULL);
    return r;
}

static int user_remove_sa(DataPlane *base, uint32_t spi_in)
{
    UserPlane *plane = user_plane(base);
    size_t i = 0;
    while (i < plane->n_sas && plane->sas[i].spi_in != spi_in)
        i++;
    if (i == plane->n_sas)
        return -ENOENT;
    const Transport *transport = plane->sas[i].transport;
    plane->sas[i] = plane->sas[--plane->n_sas];
    int r = helper_call(plane->helper, &(Order){.type = ORDER_REMOVE_SA, .id = spi_in}, -1, NULL);
    release_transport(plane, transport);
    network_remove_sa(plane->network, spi_in);
    if (plane->n_sas == 0)
        close_tun(plane);
    return r;
}

/* The inner packet whose ESP packet just fits the path. */
static int inner_mtu(const SaConfig *config)
{
    int room = transport_payload_max(&config->remote);
    return room < 0 ? room : (int)esp_inner_max(&config->suite, (size_t)room);
}

static int user_add_sa(DataPlane *base, const SaConfig *config, const InnerAddress *addresses,
                       size_t n_addresses)
{
    UserPlane *plane = user_plane(base);
    if (!config->udp_encapsulated || !config->transport)
        return -EOPNOTSUPP;
    if (plane->n_sas == DATAPLANE_SAS_MAX)
        return -ENOSPC;
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].spi_in == config->spi_in)
            return -EEXIST;
    }
    int mtu = inner_mtu(config);
    if (mtu < 0)
        return mtu;
    int r = plane->tun_open ? network_limit_mtu(plane->network, (uint32_t)mtu)
                            : open_tun(plane, (uint32_t)mtu);
    if (r >= 0)
        r = add_to_helper(plane, config);
    /* From here on it is undone as any pair of SAs is. */
    plane->sas[plane->n_sas++] = (UserSa){config->spi_in, config->transport};
    if (r >= 0) {
        r = network_add_sa(plane->network, config->spi_in, config->ts_remote, addresses,
                           n_addresses, &config->remote);
    }
    if (r < 0)
        (void)user_remove_sa(base, config->spi_in);
    return r;
}

static int user_sa_counters(DataPlane *base, uint32_t spi_in, SaCounters *ret)
{
    Answer answer;
    Order order = {.type = ORDER_SA_COUNTERS, .id = spi_in};
    int r = helper_call(user_plane(base)->helper, &order, -1, &answer);
    if (r >= 0)
        *ret = answer.sa;
    return r;
}

static int user_counters(DataPlane *base, DataPlaneCounters *ret)
{
    Answer answer;
    Order order = {.type = ORDER_PLANE_COUNTERS};
    int r = helper_call(user_plane(base)->helper, &order, -1, &answer);
    if (r >= 0)
        *ret = answer.plane;
    return r;
}

const DataPlaneBackend DATAPLANE_BACKEND_USER = {
    .name = "user",
    .keeps_keys = true,
    .open = user_open,
    .close = user_close,
    .add_sa = user_add_sa,
    .remove_sa = user_remove_sa,
    .sa_counters = user_sa_counters,
    .counters = user_counters,
};
