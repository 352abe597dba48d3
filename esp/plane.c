/* Finds the SA that a packet takes, and moves it there. */
#include "esp/plane_internal.h"

#include "base/monotonic.h"
#include "esp/esp.h"

#include <errno.h>
#include <limits.h>

enum {
    TUN_BATCH = 64,  /* packets read before the other direction has its turn */
    INBOX_BATCH = 4, /* receive calls, likewise */
};

bool plane_delivers(const Plane *plane, const Sa *sa)
{
    return plane->tuns[sa_interface(sa)] >= 0;
}

/* The peer may send as soon as it has answered IKE_AUTH, which is before we have verified it: what
 * comes until then waits in the socket for the SA, and for the TUN. */
static bool is_received(const Plane *plane, uint32_t transport)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (sa_transport(plane->sas[i]) == transport && plane_delivers(plane, plane->sas[i]))
            return true;
    }
    return false;
}

size_t plane_poll(const Plane *plane, struct pollfd polled[PLANE_POLL_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < DATAPLANE_INTERFACES_MAX; i++) {
        if (plane->tuns[i] >= 0)
            polled[n++] = (struct pollfd){.fd = plane->tuns[i], .events = POLLIN};
    }
    const bool is_open = n > 0;
    for (size_t i = 0; i < plane->n_transports; i++) {
        if (is_received(plane, plane->transports[i].id))
            polled[n++] = (struct pollfd){.fd = plane->transports[i].fd, .events = POLLIN};
    }
    if (is_open && plane->leaving >= 0)
        polled[n++] = (struct pollfd){.fd = plane->leaving, .events = POLLIN};
    return n;
}

int plane_timeout(const Plane *plane)
{
    uint64_t next_ms = plane->leaving >= 0 ? plane->leaving_until_ms : UINT64_MAX;
    uint64_t now_ms = monotonic_ms();
    for (size_t i = 0; i < plane->n_sas; i++) {
        uint64_t due_ms = sa_next_event_ms(plane->sas[i]);
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    if (next_ms == UINT64_MAX)
        return -1;
    next_ms = next_ms > now_ms ? next_ms : now_ms;
    const uint64_t left_ms = next_ms - now_ms;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

/* Of those in standby the oldest comes first: where it sends already, as the one before it is gone,
 * a later one is to replace it, and waits for its turn. Of all others the newest. */
static bool comes_before(const Plane *plane, const Sa *sa, const Sa *newer)
{
    SaRank rank = sa_rank(sa, plane->now_ms), other = sa_rank(newer, plane->now_ms);
    return rank < other || (rank == other && rank == SA_STANDBY);
}

/* How well an SA serves a packet. */
typedef struct Fitness {
    int narrowness; /* of the selectors; -1: they don't take it in */
    SaDscp dscp;
} Fitness;

static bool fits_as_well(Fitness a, Fitness b)
{
    return a.dscp == b.dscp && a.narrowness == b.narrowness;
}

static bool fits_better(Fitness a, Fitness b)
{
    return a.dscp < b.dscp || (a.dscp == b.dscp && a.narrowness > b.narrowness);
}

/* Of the interface's SAs whose selectors take the packet in the one with the narrowest, as in an
 * SPD that is ordered so (RFC 4301 4.4.1); of several that have them, after a rekey, the old one
 * only receives (RFC 7296 2.8). With `beside` it is chosen among those of the same IKE SA, and the
 * packet's DSCP chooses first (RFC 4301 4.1). */
static Sa *select_by(const Plane *plane, size_t interface, const Packet *packet, const Sa *beside)
{
    Fitness best_fitness = {0};
    Sa *best = NULL;
    for (size_t i = plane->n_sas; i > 0; i--) {
        Sa *sa = plane->sas[i - 1];
        if (sa_interface(sa) != interface || (beside && sa_transport(sa) != sa_transport(beside)))
            continue;
        Fitness fitness = {.narrowness = sa_narrowness(sa, packet),
                           .dscp = beside ? sa_dscp(sa, packet, plane->now_ms) : SA_DSCP_ANY};
        if (fitness.narrowness < 0)
            continue;
        if (!best || fits_better(fitness, best_fitness) ||
            (fits_as_well(fitness, best_fitness) && comes_before(plane, sa, best))) {
            best = sa;
            best_fitness = fitness;
        }
    }
    return best;
}

/* The selectors say to which SeGW it goes, and its DSCP by which of that one's SAs: it takes no
 * packet to another. */
static Sa *select_outbound(const Plane *plane, size_t interface, const Packet *packet)
{
    const Sa *narrowest = select_by(plane, interface, packet, NULL);

    return narrowest ? select_by(plane, interface, packet, narrowest) : NULL;
}

static int send_packet(Plane *plane, size_t interface, const struct virtio_net_hdr *header,
                       Bytes bytes)
{
    Packet packet;
    Segmenter segmenter;
    if (packet_parse(bytes, &packet) < 0 || segmenter_init(&segmenter, header, &packet) < 0) {
        plane->counters.no_sa_out++;
        return 0;
    }
    Sa *sa = select_outbound(plane, interface, &packet);
    if (!sa) {
        plane->counters.no_sa_out++;
        return 0;
    }
    const uint8_t traffic_class = sa_outer_class(sa, &packet);
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
        if (r == SA_E_EXPIRED) {
            plane->counters.no_sa_out++;
            return 0;
        }
        outbox_commit(plane->outbox, sa_remote(sa), traffic_class, sealed_size);
    }
    return 0;
}

static int forward_out(Plane *plane, size_t interface)
{
    int r = 0;
    for (unsigned i = 0; i < TUN_BATCH && r >= 0; i++) {
        struct virtio_net_hdr header;
        int size = tun_read(plane->tuns[interface], &header, plane->packet);
        if (size == -EBADFD) { /* somebody deleted the interface; tred hears of it from tred-net */
            (void)plane_close_tun(plane, interface);
            break;
        }
        if (size < 0) {
            r = size == -EAGAIN || size == -EINTR ? 0 : size;
            break;
        }
        r = send_packet(plane, interface, &header, (Bytes){plane->packet, (size_t)size});
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
    const int tun = plane->tuns[plane->coalesced_for];
    if (tun < 0 || tun_write(tun, &header, coalescer->parts, coalescer->n_packets) < 0)
        plane->counters.delivery_failures++;
    coalescer->n_packets = 0;
}

static int receive_packet(Plane *plane, uint8_t *datagram, size_t size, uint8_t traffic_class)
{
    uint32_t spi = 0, low = 0;
    if (esp_peek((Bytes){datagram, size}, &spi, &low) != 0)
        return 0; /* a NAT keepalive (RFC 3948 2.3), or nothing of ours */
    size_t index = plane_sa_index(plane, spi);
    if (index == plane->n_sas) {
        plane->counters.unknown_spi++;
        return 0;
    }
    Packet packet;
    Sa *sa = plane->sas[index];
    int r = sa_open(sa, low, traffic_class, datagram, size, plane->now_ms, &packet);
    if (sa_is_awaited(sa))
        plane_use_sa(plane, index);
    if (r == SA_E_EXPIRED)
        plane->counters.unknown_spi++;
    if (r != 0)
        return r < 0 ? r : 0;
    uint8_t *octets = datagram + (packet.bytes.data - datagram);
    if (plane->coalesced_for != sa_interface(sa))
        deliver(plane);
    plane->coalesced_for = sa_interface(sa);
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
                           left < run->segment_size ? left : run->segment_size, run->traffic_class);
    }
    return r;
}

int plane_forward_in(Plane *plane, int fd, unsigned batch)
{
    int r = 0;
    for (unsigned i = 0; i < batch && r >= 0; i++) {
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
        const size_t interface = plane_interface_of(plane, polled[i].fd);
        r = interface < DATAPLANE_INTERFACES_MAX
                ? forward_out(plane, interface)
                : plane_forward_in(plane, polled[i].fd, INBOX_BATCH);
    }
    plane_leave_if_over(plane);
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
