/* Finds the SA that a packet takes, and moves it there. */
#include "esp/plane.h"

#include "esp/esp.h"
#include "esp/io.h"
#include "esp/offload.h"
#include "esp/sa.h"

#include <errno.h>
#include <time.h>

enum {
    TUN_BATCH = 64,  /* packets read before the other direction has its turn */
    INBOX_BATCH = 4, /* receive calls, likewise */
    TIMER_MS = 1000, /* lifetimes by time are counted in seconds */
};

typedef struct EspSocket {
    uint32_t id;
    int fd;
} EspSocket;

struct Plane {
    int tun;
    size_t n_transports;
    EspSocket transports[DATAPLANE_TRANSPORTS_MAX];
    size_t n_sas;
    Sa *sas[DATAPLANE_SAS_MAX]; /* the newest, or last told to send, last */
    DataPlaneCounters counters;
    uint64_t now_ms;
    Inbox *inbox;
    Outbox *outbox;
    Coalescer coalescer;
    uint8_t packet[TUN_PACKET_MAX];
};

static uint64_t monotonic_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int plane_new(Plane **ret)
{
    _cleanup_(plane_freep) Plane *plane = calloc(1, sizeof(*plane));
    if (!plane)
        return -ENOMEM;
    plane->tun = -1;
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
    close_fdp(&plane->tun);
    inbox_free(plane->inbox);
    outbox_free(plane->outbox);
    free(plane);
}

static size_t sa_index(const Plane *plane, uint32_t spi_in)
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
    if (!order->encr_in)
        return -EINVAL;
    if (sa_index(plane, order->spi_in) < plane->n_sas)
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

static int use_sa(Plane *plane, uint32_t spi_in)
{
    size_t index = sa_index(plane, spi_in);
    if (index == plane->n_sas)
        return -ENOENT;
    Sa *sa = take_sa_out(plane, index);
    sa_use(sa);
    plane->sas[plane->n_sas++] = sa;
    return 0;
}

static int remove_sa(Plane *plane, uint32_t spi_in)
{
    size_t index = sa_index(plane, spi_in);
    if (index == plane->n_sas)
        return -ENOENT;
    drop_sa(plane, index);
    return 0;
}

static int open_tun(Plane *plane, int *fd)
{
    if (*fd < 0)
        return -EBADF;
    if (plane->tun >= 0)
        return -EEXIST;
    plane->tun = steal_fd(fd);
    return 0;
}

static int close_tun(Plane *plane)
{
    if (plane->tun < 0)
        return -ENOENT;
    (void)close(plane->tun);
    plane->tun = -1;
    return 0;
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

static int close_transport(Plane *plane, uint32_t id)
{
    size_t index = transport_index(plane, id);
    if (index == plane->n_transports)
        return -ENOENT;
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
    size_t index = sa_index(plane, spi_in);
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
        ret->error = open_tun(plane, &owned);
        break;
    case ORDER_CLOSE_TUN:
        ret->error = close_tun(plane);
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
    case ORDER_SA_COUNTERS:
        ret->error = get_sa_counters(plane, order->id, &ret->sa);
        break;
    case ORDER_PLANE_COUNTERS:
        ret->plane = plane->counters;
        ret->plane.send_failures = outbox_failures(plane->outbox);
        break;
    default:
        ret->error = -EBADMSG;
    }
}

static bool has_sa(const Plane *plane, uint32_t transport)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (sa_transport(plane->sas[i]) == transport)
            return true;
    }
    return false;
}

size_t plane_poll(const Plane *plane, struct pollfd polled[PLANE_POLL_MAX])
{
    size_t n = 0;
    if (plane->tun >= 0)
        polled[n++] = (struct pollfd){.fd = plane->tun, .events = POLLIN};
    for (size_t i = 0; i < plane->n_transports; i++) {
        /* The peer may send as soon as it has answered IKE_AUTH, which is before we have verified
         * it: what comes until then waits in the socket for the SA, and for the TUN. */
        if (plane->tun >= 0 && has_sa(plane, plane->transports[i].id))
            polled[n++] = (struct pollfd){.fd = plane->transports[i].fd, .events = POLLIN};
    }
    return n;
}

int plane_timeout(const Plane *plane)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (sa_is_timed(plane->sas[i]))
            return TIMER_MS;
    }
    return -1;
}

/* Of the SAs that the packet may take, the newest one of the best rank: after a rekey the old one
 * only receives (RFC 7296 2.8). */
static Sa *select_outbound(const Plane *plane, const Packet *packet)
{
    Sa *best = NULL;
    for (size_t i = plane->n_sas; i > 0; i--) {
        Sa *sa = plane->sas[i - 1];
        SaRank rank = sa_rank(sa, plane->now_ms);
        if ((best && rank >= sa_rank(best, plane->now_ms)) || !sa_takes(sa, packet))
            continue;
        best = sa;
        if (rank == SA_SENDS)
            break;
    }
    return best;
}

static int send_packet(Plane *plane, const struct virtio_net_hdr *header, Bytes bytes)
{
    Packet packet;
    Segmenter segmenter;
    if (packet_parse(bytes, &packet) < 0 || segmenter_init(&segmenter, header, &packet) < 0) {
        plane->counters.no_sa_out++;
        return 0;
    }
    Sa *sa = select_outbound(plane, &packet);
    if (!sa) {
        plane->counters.no_sa_out++;
        return 0;
    }
    for (size_t size; (size = segmenter_next_size(&segmenter)) > 0;) {
        size_t sealed_size = sa_sealed_size(sa, size);
        if (sealed_size > OUTBOX_PACKET_MAX) {
            plane->counters.send_failures++;
            return 0;
        }
        uint8_t *room = outbox_reserve(plane->outbox, sa_fd(sa), sealed_size);
        segmenter_write(&segmenter, room + sa_front_size(sa));
        int r = sa_seal(sa, packet.version, room, size, plane->now_ms);
        if (r < 0)
            return r;
        if (r == 0)
            outbox_commit(plane->outbox, sa_remote(sa), sealed_size);
    }
    return 0;
}

static int forward_out(Plane *plane)
{
    int r = 0;
    for (unsigned i = 0; i < TUN_BATCH && r >= 0; i++) {
        struct virtio_net_hdr header;
        int size = tun_read(plane->tun, &header, plane->packet);
        if (size == -EBADFD) { /* somebody deleted the interface; tred hears of it from tred-net */
            (void)close_tun(plane);
            break;
        }
        if (size < 0) {
            r = size == -EAGAIN || size == -EINTR ? 0 : size;
            break;
        }
        r = send_packet(plane, &header, (Bytes){plane->packet, (size_t)size});
    }
    outbox_flush(plane->outbox);
    return r;
}

static void deliver(Plane *plane)
{
    Coalescer *coalescer = &plane->coalescer;
    if (coalescer->n_packets == 0)
        return;
    struct virtio_net_hdr header;
    coalescer_finish(coalescer, &header);
    if (plane->tun < 0 ||
        tun_write(plane->tun, &header, coalescer->parts, coalescer->n_packets) < 0)
        plane->counters.delivery_failures++;
    coalescer->n_packets = 0;
}

static int receive_packet(Plane *plane, uint8_t *datagram, size_t size)
{
    uint32_t spi = 0, low = 0;
    if (esp_peek((Bytes){datagram, size}, &spi, &low) != 0)
        return 0; /* a NAT keepalive (RFC 3948 2.3), or nothing of ours */
    size_t index = sa_index(plane, spi);
    if (index == plane->n_sas) {
        plane->counters.unknown_spi++;
        return 0;
    }
    Packet packet;
    int r = sa_open(plane->sas[index], low, datagram, size, plane->now_ms, &packet);
    if (r != 0)
        return r < 0 ? r : 0;
    uint8_t *octets = datagram + (packet.bytes.data - datagram);
    if (!coalescer_add(&plane->coalescer, &packet, octets)) {
        deliver(plane);
        (void)coalescer_add(&plane->coalescer, &packet, octets);
    }
    return 0;
}

static int receive_run(Plane *plane, const InboxRun *run)
{
    int r = 0;
    for (size_t at = 0; at < run->size && r >= 0; at += run->segment_size) {
        size_t left = run->size - at;
        r = receive_packet(plane, run->data + at,
                           left < run->segment_size ? left : run->segment_size);
    }
    return r;
}

static int forward_in(Plane *plane, int fd)
{
    int r = 0;
    for (unsigned i = 0; i < INBOX_BATCH && r >= 0; i++) {
        int n = inbox_receive(plane->inbox, fd);
        if (n <
            0) /* besides -EAGAIN there are ICMP errors of earlier packets: nothing to stop for */
            return 0;
        for (unsigned j = 0; j < (unsigned)n && r >= 0; j++) {
            InboxRun run = inbox_run(plane->inbox, j);
            r = receive_run(plane, &run);
        }
        deliver(plane); /* its parts stand in the inbox */
        if (n < INBOX_RUNS_MAX)
            break;
    }
    return r;
}

int plane_forward(Plane *plane, const struct pollfd *polled, size_t n_polled)
{
    int r = 0;
    plane->now_ms = monotonic_ms();
    for (size_t i = 0; i < n_polled && r >= 0; i++) {
        if (polled[i].revents == 0)
            continue;
        r = polled[i].fd == plane->tun ? forward_out(plane) : forward_in(plane, polled[i].fd);
    }
    return r;
}

bool plane_event(Plane *plane, DataPlaneEvent *ret)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (sa_event(plane->sas[i], plane->now_ms, ret))
            return true;
    }
    return false;
}
