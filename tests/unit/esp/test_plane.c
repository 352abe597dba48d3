/* Does the plane carry orders out, and move packets between the interface's side and the peer's?
 * The TUN is played by a socket pair, which keeps packets apart as a TUN does. */
#include "esp/plane.h"

#include "dataplane/transport.h"
#include "inner_fixture.h"
#include "no_random.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { HEADER_SIZE = sizeof(struct virtio_net_hdr), FRAME_MAX = 70000 };

/* The clock may be put forward. */
static uint64_t monotonic_later_ms;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    const int r = __real_clock_gettime(clock, ret);
    ret->tv_sec += (time_t)(monotonic_later_ms / 1000);
    return r;
}

/* Which allocation fails, from now on; 1: the next; 0: none. */
static unsigned memory_fails_at;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
    return memory_fails_at > 0 && --memory_fails_at == 0 ? NULL : __real_calloc(n, size);
}

/* Two planes that are each other's peer over the loopback. */
typedef struct End {
    Plane *plane;
    Transport transport;
    int host; /* the other side of its TUN */
} End;

typedef struct Lab {
    End a, b;
} Lab;

static int give(Plane *plane, const Order *order, int fd)
{
    Answer answer;
    plane_carry_out(plane, order, fd, &answer);
    assert_int_equal(answer.type, order->type);
    return answer.error;
}

static void end_init(End *end)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_storage storage = {0};
    memcpy(&storage, &local, sizeof(local));
    int tun[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, tun), 0);
    end->host = tun[0];
    assert_int_equal(plane_new(&end->plane), 0);
    assert_int_equal(transport_init(&end->transport, &storage), 0);
    const int joined = 1;
    assert_int_equal(setsockopt(end->transport.esp_fd, SOL_UDP, UDP_GRO, &joined, sizeof(joined)),
                     0);
    assert_int_equal(give(end->plane, &(Order){.type = ORDER_OPEN_TUN}, tun[1]), 0);
    assert_int_equal(give(end->plane, &(Order){.type = ORDER_OPEN_TRANSPORT, .id = 1},
                          fcntl(end->transport.esp_fd, F_DUPFD_CLOEXEC, 3)),
                     0);
}

static void end_deinit(End *end)
{
    plane_free(end->plane);
    transport_deinit(&end->transport);
    (void)close(end->host);
}

static void add_sa(const End *end, const End *peer, uint32_t spi)
{
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    sa->spi_in = sa->spi_out = spi;
    sa->remote = peer->transport.local;
    assert_int_equal(give(end->plane, &(Order){.type = ORDER_ADD_SA, .sa = sa}, -1), 0);
}

static void add_sa_by(const End *end, const End *peer, uint32_t spi, uint8_t interface)
{
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    sa->spi_in = sa->spi_out = spi;
    sa->remote = peer->transport.local;
    sa->interface = interface;
    assert_int_equal(give(end->plane, &(Order){.type = ORDER_ADD_SA, .sa = sa}, -1), 0);
}

static int setup_lab(void **state)
{
    Lab *lab = calloc(1, sizeof(*lab));
    assert_non_null(lab);
    end_init(&lab->a);
    end_init(&lab->b);
    *state = lab;
    return 0;
}

static int teardown_lab(void **state)
{
    Lab *lab = *state;
    end_deinit(&lab->a);
    end_deinit(&lab->b);
    free(lab);
    return 0;
}

static void forward(const End *end)
{
    struct pollfd polled[PLANE_POLL_MAX];
    size_t n = plane_poll(end->plane, polled);
    assert_true(poll(polled, (nfds_t)n, 1000) > 0);
    assert_int_equal(plane_forward(end->plane, polled, n), 0);
}

/* The host sends a packet; with segment_size 0 a whole one, else one to be segmented. */
static void host_sends(const End *end, const TcpPacket *tcp, uint16_t segment_size)
{
    static uint8_t frame[FRAME_MAX];
    struct virtio_net_hdr header = {0};
    size_t size = segment_size ? tcp_packet_write_for_segmentation(tcp, segment_size,
                                                                   frame + HEADER_SIZE, &header)
                               : tcp_packet_write(tcp, frame + HEADER_SIZE);
    memcpy(frame, &header, HEADER_SIZE);
    assert_int_equal(send(end->host, frame, HEADER_SIZE + size, 0), HEADER_SIZE + size);
}

/* The host must receive just this packet. */
static void host_receives(const End *end, const TcpPacket *tcp, uint16_t segment_size)
{
    static uint8_t frame[FRAME_MAX], expected[FRAME_MAX];
    struct virtio_net_hdr header = {0};
    size_t size = segment_size
                      ? tcp_packet_write_for_segmentation(tcp, segment_size, expected, &header)
                      : tcp_packet_write(tcp, expected);
    assert_int_equal(recv(end->host, frame, sizeof(frame), 0), HEADER_SIZE + size);
    assert_memory_equal(frame, &header, HEADER_SIZE);
    assert_memory_equal(frame + HEADER_SIZE, expected, size);
}

static void host_receives_nothing(const End *end)
{
    uint8_t octet;
    assert_int_equal(recv(end->host, &octet, 1, 0), -1);
}

static SaCounters counters_of(const End *end, uint32_t spi)
{
    Answer answer;
    plane_carry_out(end->plane, &(Order){.type = ORDER_SA_COUNTERS, .id = spi}, -1, &answer);
    assert_int_equal(answer.error, 0);
    return answer.sa;
}

static DataPlaneCounters plane_counters_of(const End *end)
{
    Answer answer;
    plane_carry_out(end->plane, &(Order){.type = ORDER_PLANE_COUNTERS}, -1, &answer);
    return answer.plane;
}

static void a_packet_crosses_from_host_to_host(void **state)
{
    Lab *lab = *state;
    TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 333};
    add_sa(&lab->a, &lab->b, 0x1001);
    add_sa(&lab->b, &lab->a, 0x1001);
    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    forward(&lab->b);
    host_receives(&lab->b, &tcp, 0);
    assert_int_equal(counters_of(&lab->a, 0x1001).packets_out, 1);
    assert_int_equal(counters_of(&lab->b, 0x1001).packets_in, 1);
}

static void a_big_packet_crosses_in_segments_and_is_joined_again(void **state)
{
    Lab *lab = *state;
    for (uint8_t version = 4; version <= 6; version += 2) {
        TcpPacket tcp = {
            .version = version,
            .flags = TCP_ACK | TCP_PSH,
            .payload_size = 30000,
        };
        if (version == 4) {
            add_sa(&lab->a, &lab->b, 0x1001);
            add_sa(&lab->b, &lab->a, 0x1001);
        }
        host_sends(&lab->a, &tcp, 1300);
        forward(&lab->a);
        forward(&lab->b);
        host_receives(&lab->b, &tcp, 1300);
    }
    assert_int_equal(counters_of(&lab->b, 0x1001).packets_in, 2 * (30000 / 1300 + 1));
}

/* A pair of SAs that copies DSCP and ECN as told. */
static void add_marking_sas(const Lab *lab, bool copy_dscp, bool ecn)
{
    const End *ends[] = {&lab->a, &lab->b};
    for (size_t i = 0; i < 2; i++) {
        _cleanup_(sa_order_freep) SaOrder *sa =
            sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
        sa->spi_in = sa->spi_out = 0x1001;
        sa->remote = ends[1 - i]->transport.local;
        sa->copy_dscp = copy_dscp;
        sa->ecn = ecn;
        assert_int_equal(give(ends[i]->plane, &(Order){.type = ORDER_ADD_SA, .sa = sa}, -1), 0);
        assert_int_equal(transport_show_ecn(&ends[i]->transport), 0);
    }
}

typedef struct Datagram {
    uint8_t octets[2048];
    size_t size;
    uint8_t traffic_class;
} Datagram;

/* What `end` would read next from its ESP socket. */
static Datagram take_datagram(const End *end)
{
    Datagram datagram = {0};
    struct iovec part = {datagram.octets, sizeof(datagram.octets)};
    _Alignas(struct cmsghdr) uint8_t controls[CMSG_SPACE(sizeof(int)) * 2];
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = controls,
                             .msg_controllen = sizeof(controls)};
    ssize_t size = recvmsg(end->transport.esp_fd, &message, 0);
    assert_true(size > 0);
    datagram.size = (size_t)size;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(&message); control;
         control = CMSG_NXTHDR(&message, control)) {
        if (control->cmsg_type == IP_TOS)
            datagram.traffic_class = *CMSG_DATA(control);
    }
    return datagram;
}

/* Sends it on to `end`, as a router on the way has marked it. */
static void send_marked(const End *from, const End *to, const Datagram *datagram, int class)
{
    int fd = from->transport.esp_fd;
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_TOS, &class, sizeof(class)), 0);
    assert_int_equal(sendto(fd, datagram->octets, datagram->size, 0,
                            (const struct sockaddr *)&to->transport.local,
                            address_size(&to->transport.local)),
                     datagram->size);
}

static void the_esp_packet_shows_what_is_to_be_copied_of_dscp_and_ecn(void **state)
{
    Lab *lab = *state;
    static const uint8_t inner[] = {0, 0xb8, 0xba, 0x01, 0x03, 0x29};
    for (unsigned copied = 0; copied < 4; copied++) {
        add_marking_sas(lab, copied & 1, copied & 2);
        for (size_t i = 0; i < ELEMENTS(inner); i++) {
            for (uint8_t version = 4; version <= 6; version += 2) {
                TcpPacket tcp = {.version = version, .traffic_class = inner[i], .payload_size = 9};
                host_sends(&lab->a, &tcp, 0);
                forward(&lab->a);
                uint8_t expected =
                    (uint8_t)(inner[i] & ((copied & 1 ? 0xfc : 0) | (copied & 2 ? 3 : 0)));
                assert_int_equal(take_datagram(&lab->b).traffic_class, expected);
            }
        }
        assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_REMOVE_SA, .id = 0x1001}, -1),
                         0);
        assert_int_equal(give(lab->b.plane, &(Order){.type = ORDER_REMOVE_SA, .id = 0x1001}, -1),
                         0);
    }
}

static void packets_of_two_classes_leave_in_their_order_each_with_its_own(void **state)
{
    Lab *lab = *state;
    add_marking_sas(lab, true, true);
    for (uint8_t i = 0; i < 4; i++)
        host_sends(
            &lab->a,
            &(TcpPacket){.version = 4, .traffic_class = (uint8_t)(i / 2 * 0xb8), .payload_size = 9},
            0);
    const int separate = 0;
    assert_int_equal(
        setsockopt(lab->b.transport.esp_fd, SOL_UDP, UDP_GRO, &separate, sizeof(separate)), 0);
    forward(&lab->a);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(take_datagram(&lab->b).traffic_class, i / 2 * 0xb8);
}

static void what_a_router_marks_outside_is_marked_inside(void **state)
{
    Lab *lab = *state;
    add_marking_sas(lab, true, true);
    for (uint8_t version = 4; version <= 6; version += 2) {
        TcpPacket tcp = {.version = version, .traffic_class = 0xba, .payload_size = 99};
        host_sends(&lab->a, &tcp, 0);
        forward(&lab->a);
        Datagram datagram = take_datagram(&lab->b);
        send_marked(&lab->a, &lab->b, &datagram, 0x03); /* and took the DSCP away */
        forward(&lab->b);
        tcp.traffic_class = 0xbb;
        host_receives(&lab->b, &tcp, 0);
    }
    assert_int_equal(counters_of(&lab->b, 0x1001).ecn_drops_in, 0);
}

static void what_must_not_be_marked_and_was_is_dropped_and_counted(void **state)
{
    Lab *lab = *state;
    add_marking_sas(lab, true, true);
    TcpPacket tcp = {.version = 4, .traffic_class = 0xb8, .payload_size = 99};
    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    Datagram datagram = take_datagram(&lab->b);
    send_marked(&lab->a, &lab->b, &datagram, 0xbb);
    forward(&lab->b);
    host_receives_nothing(&lab->b);
    assert_int_equal(counters_of(&lab->b, 0x1001).ecn_drops_in, 1);
    assert_int_equal(counters_of(&lab->b, 0x1001).packets_in, 0);
}

static void without_ecn_a_mark_outside_says_nothing(void **state)
{
    Lab *lab = *state;
    add_marking_sas(lab, true, false);
    for (uint8_t ecn = 0; ecn < 4; ecn++) {
        TcpPacket tcp = {.version = 4, .traffic_class = ecn, .payload_size = 99};
        host_sends(&lab->a, &tcp, 0);
        forward(&lab->a);
        Datagram datagram = take_datagram(&lab->b);
        send_marked(&lab->a, &lab->b, &datagram, 0x03);
        forward(&lab->b);
        host_receives(&lab->b, &tcp, 0);
    }
}

static void the_newest_sa_sends_and_every_sa_receives(void **state)
{
    Lab *lab = *state;
    TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    add_sa(&lab->a, &lab->b, 0x1001);
    add_sa(&lab->b, &lab->a, 0x1001);
    add_sa(&lab->b, &lab->a, 0x2002);
    host_sends(&lab->a, &tcp, 0); /* a has not rekeyed yet */
    host_sends(&lab->b, &tcp, 0); /* b has; a must not lose it */
    forward(&lab->a);
    forward(&lab->b);
    host_receives(&lab->b, &tcp, 0);
    assert_int_equal(counters_of(&lab->b, 0x1001).packets_in, 1);
    assert_int_equal(counters_of(&lab->b, 0x2002).packets_out, 1);
    forward(&lab->a);
    assert_int_equal(plane_counters_of(&lab->a).unknown_spi, 1);

    add_sa(&lab->a, &lab->b, 0x2002);
    host_sends(&lab->b, &tcp, 0);
    forward(&lab->b);
    forward(&lab->a);
    host_receives(&lab->a, &tcp, 0);
    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    assert_int_equal(counters_of(&lab->a, 0x2002).packets_out, 1);
    assert_int_equal(give(lab->b.plane, &(Order){.type = ORDER_REMOVE_SA, .id = 0x1001}, -1), 0);
    host_receives(&lab->b, &tcp, 0);
}

static void add_with(const End *end, const End *peer, uint32_t spi, bool standby, uint64_t packets)
{
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    sa->spi_in = sa->spi_out = spi;
    sa->remote = peer->transport.local;
    sa->standby = standby;
    sa->hard.packets = packets;
    assert_int_equal(give(end->plane, &(Order){.type = ORDER_ADD_SA, .sa = sa}, -1), 0);
}

/* The SA by which a packet of a's host has left. */
static void host_sends_by(const Lab *lab, uint32_t spi)
{
    const TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    const uint64_t before = counters_of(&lab->a, spi).packets_out;
    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    assert_int_equal(counters_of(&lab->a, spi).packets_out, before + 1);
}

/* Of two pairs the one for fewer addresses; among those for as many, the newest (RFC 4301 4.4.1).
 */
static void the_narrowest_selectors_send_whichever_pair_is_newer(void **state)
{
    const Lab *lab = *state;
    _cleanup_(sa_order_freep) SaOrder *narrow =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    narrow->spi_in = narrow->spi_out = 0x1001;
    narrow->remote = lab->b.transport.local;
    narrow->ts_remote.n_selectors = 1; /* 0.0.0.0 to 127.255.255.255 */
    narrow->ts_remote.selectors[0].end[0] = 127;
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_ADD_SA, .sa = narrow}, -1), 0);
    add_sa(&lab->a, &lab->b, 0x2002);
    host_sends_by(lab, 0x1001);
    narrow->spi_in = narrow->spi_out = 0x3003;
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_ADD_SA, .sa = narrow}, -1), 0);
    add_sa(&lab->a, &lab->b, 0x4004);
    host_sends_by(lab, 0x3003);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_REMOVE_SA, .id = 0x3003}, -1), 0);
    host_sends_by(lab, 0x1001);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_REMOVE_SA, .id = 0x1001}, -1), 0);
    host_sends_by(lab, 0x4004);
}

/* RFC 7296 2.8: whoever answers a rekey may not send by the new SA yet, but has to receive. */
static void an_sa_in_standby_receives_and_sends_from_when_it_is_used(void **state)
{
    Lab *lab = *state;
    add_sa(&lab->a, &lab->b, 0x1001);
    add_with(&lab->a, &lab->b, 0x2002, true, 0);
    host_sends_by(lab, 0x1001);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_USE_SA, .id = 0x2002}, -1), 0);
    host_sends_by(lab, 0x2002);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_USE_SA, .id = 0x2002}, -1), 0);
    host_sends_by(lab, 0x2002);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_USE_SA, .id = 0x1001}, -1), 0);
    host_sends_by(lab, 0x1001);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_USE_SA, .id = 9}, -1), -ENOENT);
}

/* b's host sends, and a's receives. */
static void peer_sends(const Lab *lab)
{
    const TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    host_sends(&lab->b, &tcp, 0);
    forward(&lab->b);
    forward(&lab->a);
    host_receives(&lab->a, &tcp, 0);
}

/* RFC 7296 2.8: it may send once it has received. A peer that has rekeyed may have forgotten the
 * old SA already, and its Delete may be on its way yet. */
static void an_sa_in_standby_sends_once_its_peer_has_sent_by_it(void **state)
{
    Lab *lab = *state;
    add_sa(&lab->a, &lab->b, 0x1001);
    add_with(&lab->a, &lab->b, 0x2002, true, 0);
    add_sa(&lab->b, &lab->a, 0x1001);
    peer_sends(lab);
    host_sends_by(lab, 0x1001);
    add_sa(&lab->b, &lab->a, 0x2002);
    peer_sends(lab);
    host_sends_by(lab, 0x2002);
}

/* Also where the old one was told to send after the new one had come. */
static void what_its_peer_has_sent_by_counts_as_told_to_send_last(void **state)
{
    Lab *lab = *state;
    add_sa(&lab->a, &lab->b, 0x1001);
    add_with(&lab->a, &lab->b, 0x2002, true, 0);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_USE_SA, .id = 0x1001}, -1), 0);
    add_sa(&lab->b, &lab->a, 0x2002);
    peer_sends(lab);
    host_sends_by(lab, 0x2002);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_USE_SA, .id = 0x1001}, -1), 0);
    peer_sends(lab);
    host_sends_by(lab, 0x1001);
}

/* Anybody can write the SPI of an SA, and send again what was sent. */
static void an_sa_in_standby_does_not_send_for_a_packet_that_is_not_let_in(void **state)
{
    Lab *lab = *state;
    add_sa(&lab->a, &lab->b, 0x1001);
    add_with(&lab->a, &lab->b, 0x2002, true, 0);
    add_sa(&lab->b, &lab->a, 0x2002);
    host_sends(&lab->b, &(TcpPacket){.version = 4, .flags = TCP_ACK, .payload_size = 10}, 0);
    forward(&lab->b);
    Datagram datagram = take_datagram(&lab->a);
    datagram.octets[datagram.size - 1] ^= 1;
    send_marked(&lab->b, &lab->a, &datagram, 0);
    forward(&lab->a);
    assert_int_equal(counters_of(&lab->a, 0x2002).authentication_failures, 1);
    host_sends_by(lab, 0x1001);
}

static void an_sa_in_standby_sends_when_the_one_before_is_gone_or_at_its_end(void **state)
{
    Lab *lab = *state;
    add_sa(&lab->a, &lab->b, 0x1001);
    add_with(&lab->a, &lab->b, 0x3003, true, 2);
    add_with(&lab->a, &lab->b, 0x2002, true, 1);
    add_with(&lab->a, &lab->b, 0x4004, false, 1);
    host_sends_by(lab, 0x4004); /* which reaches its hard lifetime */
    host_sends_by(lab, 0x1001);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_REMOVE_SA, .id = 0x1001}, -1), 0);
    host_sends_by(lab, 0x3003);
    host_sends_by(lab, 0x3003);
    host_sends_by(lab, 0x2002);
}

/* RFC 4303 3.3.3, 3.4.2 */
static void what_an_sa_at_its_end_does_not_take_is_counted(void **state)
{
    Lab *lab = *state;
    const TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    add_with(&lab->a, &lab->b, 0x1001, false, 1);
    add_sa(&lab->b, &lab->a, 0x1001);
    host_sends_by(lab, 0x1001);
    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    assert_int_equal(plane_counters_of(&lab->a).no_sa_out, 1);
    host_sends(&lab->b, &tcp, 0);
    forward(&lab->b);
    forward(&lab->a);
    host_receives_nothing(&lab->a);
    assert_int_equal(plane_counters_of(&lab->a).unknown_spi, 1);
}

enum { BEST_EFFORT = 0, AF41 = 34, EF = 46, DSCP_LAST = 63, DSCP_AT = 2 };

static uint64_t bit_of(unsigned dscp)
{
    return UINT64_C(1) << dscp;
}

/* A pair for these DSCPs, for all addresses or for half of them. */
typedef struct DscpPair {
    uint32_t spi;
    uint64_t dscps;
    uint32_t transport; /* 0: the first one */
    bool narrow, standby;
    uint64_t packets; /* hard lifetime */
} DscpPair;

static void add_for_dscps(const Lab *lab, const DscpPair *pair)
{
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    sa->spi_in = sa->spi_out = pair->spi;
    sa->remote = lab->b.transport.local;
    sa->dscps = pair->dscps;
    if (pair->transport != 0)
        sa->transport = pair->transport;
    sa->standby = pair->standby;
    sa->hard.packets = pair->packets;
    if (pair->narrow) {
        sa->ts_remote.n_selectors = 1; /* 0.0.0.0 to 127.255.255.255 */
        sa->ts_remote.selectors[0].end[0] = 127;
    }
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_ADD_SA, .sa = sa}, -1), 0);
}

/* A packet with that DSCP, of either IP version, leaves a's host by that SA. */
static void dscp_leaves_by(const Lab *lab, unsigned version, unsigned dscp, uint32_t spi)
{
    const TcpPacket tcp = {.version = (uint8_t)version,
                           .flags = TCP_ACK,
                           .traffic_class = (uint8_t)(dscp << DSCP_AT | 2 /* ECT(0) */),
                           .payload_size = 10};
    const uint64_t before = counters_of(&lab->a, spi).packets_out;
    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    assert_int_equal(counters_of(&lab->a, spi).packets_out, before + 1);
}

/* RFC 4301 4.1: the sender chooses among SAs by DSCP. */
static void
a_packet_leaves_by_the_pair_that_is_named_for_its_dscp_and_others_by_the_other(void **state)
{
    const Lab *lab = *state;
    add_for_dscps(lab, &(DscpPair){.spi = 0x1001, .dscps = bit_of(EF) | bit_of(DSCP_LAST)});
    add_sa(&lab->a, &lab->b, 0x2002);
    add_for_dscps(lab, &(DscpPair){.spi = 0x3003, .dscps = bit_of(AF41) | bit_of(BEST_EFFORT + 1)});
    for (unsigned version = 4; version <= 6; version += 2) {
        dscp_leaves_by(lab, version, EF, 0x1001);
        dscp_leaves_by(lab, version, DSCP_LAST, 0x1001);
        dscp_leaves_by(lab, version, AF41, 0x3003);
        dscp_leaves_by(lab, version, BEST_EFFORT + 1, 0x3003);
        dscp_leaves_by(lab, version, BEST_EFFORT, 0x2002);
        dscp_leaves_by(lab, version, EF - 1, 0x2002);
        dscp_leaves_by(lab, version, EF + 1, 0x2002);
    }
}

static void a_pair_is_named_for_best_effort_as_for_any_other_dscp(void **state)
{
    const Lab *lab = *state;
    add_for_dscps(lab, &(DscpPair){.spi = 0x1001, .dscps = bit_of(BEST_EFFORT)});
    add_sa(&lab->a, &lab->b, 0x2002);
    dscp_leaves_by(lab, 4, BEST_EFFORT, 0x1001);
    dscp_leaves_by(lab, 4, EF, 0x2002);
}

/* The DSCP first, then the narrowest selectors; those that don't take the packet in never. */
static void of_pairs_that_take_a_packet_in_its_dscp_chooses_before_narrower_selectors(void **state)
{
    const Lab *lab = *state;
    add_for_dscps(lab, &(DscpPair){.spi = 0x1001, .dscps = bit_of(EF)});
    add_for_dscps(lab, &(DscpPair){.spi = 0x2002, .narrow = true});
    dscp_leaves_by(lab, 4, EF, 0x1001);
    dscp_leaves_by(lab, 4, AF41, 0x2002);
    add_for_dscps(lab, &(DscpPair){.spi = 0x3003, .dscps = bit_of(EF), .narrow = true});
    add_for_dscps(lab, &(DscpPair){.spi = 0x4004, .dscps = bit_of(EF)});
    dscp_leaves_by(lab, 4, EF, 0x3003);
    dscp_leaves_by(lab, 6, EF, 0x4004); /* whose addresses the narrow ones do not have */
}

/* A pair is named for some of what its selectors take in, and for nothing else. */
static void no_dscp_takes_a_packet_out_by_a_pair_whose_selectors_do_not(void **state)
{
    const Lab *lab = *state;
    const TcpPacket tcp = {
        .version = 6, .flags = TCP_ACK, .traffic_class = EF << DSCP_AT, .payload_size = 10};
    const uint64_t before = plane_counters_of(&lab->a).no_sa_out;
    add_for_dscps(lab, &(DscpPair){.spi = 0x1001, .dscps = bit_of(EF), .narrow = true});
    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    assert_int_equal(counters_of(&lab->a, 0x1001).packets_out, 0);
    assert_int_equal(plane_counters_of(&lab->a).no_sa_out, before + 1);
    add_sa(&lab->a, &lab->b, 0x2002);
    dscp_leaves_by(lab, 6, EF, 0x2002);
    assert_int_equal(counters_of(&lab->a, 0x1001).packets_out, 0);
}

/* DSCP is no selector: what is protected by both goes by whichever is left (RFC 4301 4.4.1.1). */
static void
what_a_pair_was_named_for_goes_by_the_other_when_it_is_gone_and_the_other_way_round(void **state)
{
    const Lab *lab = *state;
    add_sa(&lab->a, &lab->b, 0x1001);
    add_for_dscps(lab, &(DscpPair){.spi = 0x2002, .dscps = bit_of(EF)});
    dscp_leaves_by(lab, 4, EF, 0x2002);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_REMOVE_SA, .id = 0x2002}, -1), 0);
    dscp_leaves_by(lab, 4, EF, 0x1001);
    add_for_dscps(lab, &(DscpPair){.spi = 0x3003, .dscps = bit_of(EF), .packets = 1});
    dscp_leaves_by(lab, 4, EF, 0x3003); /* which reaches its hard lifetime */
    dscp_leaves_by(lab, 4, EF, 0x1001);
    add_for_dscps(lab, &(DscpPair){.spi = 0x4004, .dscps = bit_of(EF)});
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_REMOVE_SA, .id = 0x1001}, -1), 0);
    dscp_leaves_by(lab, 4, AF41, 0x4004);
}

/* A rekeying of the pair that is named changes nothing for the other one (RFC 7296 2.8). */
static void a_pair_that_replaces_a_named_one_in_standby_sends_what_that_one_did(void **state)
{
    const Lab *lab = *state;
    add_for_dscps(lab, &(DscpPair){.spi = 0x1001, .dscps = bit_of(EF)});
    add_sa(&lab->a, &lab->b, 0x2002);
    add_for_dscps(lab, &(DscpPair){.spi = 0x3003, .dscps = bit_of(EF), .standby = true});
    dscp_leaves_by(lab, 4, EF, 0x1001);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_USE_SA, .id = 0x3003}, -1), 0);
    dscp_leaves_by(lab, 4, EF, 0x3003);
    dscp_leaves_by(lab, 4, AF41, 0x2002);
    add_for_dscps(lab, &(DscpPair){.spi = 0x4004, .dscps = bit_of(EF), .standby = true});
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_REMOVE_SA, .id = 0x3003}, -1), 0);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_REMOVE_SA, .id = 0x1001}, -1), 0);
    dscp_leaves_by(lab, 4, EF, 0x4004);
}

/* RFC 4301 4.4.1.1: DSCP is no selector, and whoever receives does not look. */
static void any_dscp_comes_in_by_any_pair(void **state)
{
    const Lab *lab = *state;
    const TcpPacket tcp = {
        .version = 4, .flags = TCP_ACK, .traffic_class = AF41 << DSCP_AT, .payload_size = 10};
    add_for_dscps(lab, &(DscpPair){.spi = 0x1001, .dscps = bit_of(EF)});
    add_sa(&lab->b, &lab->a, 0x1001);
    host_sends(&lab->b, &tcp, 0);
    forward(&lab->b);
    forward(&lab->a);
    host_receives(&lab->a, &tcp, 0);
}

/* Another socket of the end's; what is sent to it, or from it, must be given its address. */
static void open_second(End *end, Transport *second)
{
    const int joined = 1;
    struct sockaddr_storage local = end->transport.local;
    ((struct sockaddr_in *)&local)->sin_port = 0;
    assert_int_equal(transport_init(second, &local), 0);
    assert_int_equal(setsockopt(second->esp_fd, SOL_UDP, UDP_GRO, &joined, sizeof(joined)), 0);
    assert_int_equal(give(end->plane, &(Order){.type = ORDER_OPEN_TRANSPORT, .id = 2},
                          fcntl(second->esp_fd, F_DUPFD_CLOEXEC, 3)),
                     0);
}

/* DSCPs choose among the SAs of one IKE SA: they take nothing to a SeGW that the narrower selectors
 * of another one's SA keep it from. */
static void no_dscp_takes_a_packet_out_by_another_ike_sa(void **state)
{
    Lab *lab = *state;
    _cleanup_(transport_deinit) Transport second;
    open_second(&lab->a, &second);
    add_sa(&lab->a, &lab->b, 0x1001);
    add_for_dscps(lab, &(DscpPair){.spi = 0x2002, .dscps = bit_of(EF)});
    dscp_leaves_by(lab, 4, EF, 0x2002);
    add_for_dscps(lab, &(DscpPair){.spi = 0x3003, .transport = 2, .narrow = true});
    dscp_leaves_by(lab, 4, EF, 0x3003);
    dscp_leaves_by(lab, 6, EF, 0x2002); /* whose addresses that one does not have */
    add_for_dscps(lab, &(DscpPair){.spi = 0x4004, .transport = 2, .dscps = bit_of(EF)});
    dscp_leaves_by(lab, 4, EF, 0x4004);
    dscp_leaves_by(lab, 4, AF41, 0x3003);
}

static int move_to(const End *end, uint32_t spi, uint32_t transport,
                   const struct sockaddr_storage *remote)
{
    Order order = {
        .type = ORDER_MOVE_SA,
        .id = spi,
        .path = {.transport = transport, .remote = *remote, .udp_encapsulated = true},
    };
    return give(end->plane, &order, -1);
}

static void cross(const End *from, const End *to)
{
    const TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    host_sends(from, &tcp, 0);
    forward(from);
    forward(to);
    host_receives(to, &tcp, 0);
}

/* RFC 4555 3.5. b knows of it later: what it has sent to the old address until then arrives. */
static void a_moved_sa_goes_on_from_its_new_socket_and_receives_at_both(void **state)
{
    Lab *lab = *state;
    const TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    _cleanup_(transport_deinit) Transport second;
    struct sockaddr_in6 from = {0}; /* of either family */
    socklen_t size = sizeof(from);
    uint8_t datagram[FRAME_MAX];
    add_sa(&lab->a, &lab->b, 0x1001);
    add_sa(&lab->b, &lab->a, 0x1001);
    cross(&lab->a, &lab->b);
    cross(&lab->b, &lab->a);
    open_second(&lab->a, &second);
    host_sends(&lab->b, &tcp, 0);
    forward(&lab->b);
    assert_int_equal(move_to(&lab->a, 0x1001, 2, &lab->b.transport.local), 0);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_CLOSE_TRANSPORT, .id = 1}, -1), 0);
    forward(&lab->a);
    host_receives(&lab->a, &tcp, 0);

    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    assert_true(recvfrom(lab->b.transport.esp_fd, datagram, sizeof(datagram), MSG_PEEK,
                         (struct sockaddr *)&from, &size) > 0);
    assert_memory_equal(&from, &second.local, sizeof(struct sockaddr_in));
    forward(&lab->b);
    host_receives(&lab->b, &tcp, 0);
    cross(&lab->b, &lab->a); /* still to where a was */
    assert_int_equal(move_to(&lab->b, 0x1001, 1, &second.local), 0);
    host_sends(&lab->b, &tcp, 0);
    forward(&lab->b);
    assert_true(recv(second.esp_fd, datagram, sizeof(datagram), MSG_PEEK | MSG_DONTWAIT) > 0);
    forward(&lab->a);
    host_receives(&lab->a, &tcp, 0);
    cross(&lab->a, &lab->b);
    assert_int_equal(counters_of(&lab->a, 0x1001).replays, 0);
    assert_int_equal(counters_of(&lab->a, 0x1001).packets_in, 4);
    assert_int_equal(counters_of(&lab->a, 0x1001).packets_out, 3);
    assert_int_equal(counters_of(&lab->b, 0x1001).packets_in, 3);
}

static void what_was_received_before_a_move_is_a_replay_after_it(void **state)
{
    Lab *lab = *state;
    const TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    _cleanup_(transport_deinit) Transport second;
    static uint8_t datagram[FRAME_MAX];
    add_sa(&lab->a, &lab->b, 0x1001);
    add_sa(&lab->b, &lab->a, 0x1001);
    host_sends(&lab->b, &tcp, 0);
    forward(&lab->b);
    const ssize_t size =
        recv(lab->a.transport.esp_fd, datagram, sizeof(datagram), MSG_PEEK | MSG_DONTWAIT);
    assert_true(size > 0);
    forward(&lab->a);
    host_receives(&lab->a, &tcp, 0);
    open_second(&lab->a, &second);
    assert_int_equal(move_to(&lab->a, 0x1001, 2, &lab->b.transport.local), 0);
    assert_int_equal(sendto(lab->b.transport.esp_fd, datagram, (size_t)size, 0,
                            (struct sockaddr *)&second.local, address_size(&second.local)),
                     size);
    forward(&lab->a);
    host_receives_nothing(&lab->a);
    assert_int_equal(counters_of(&lab->a, 0x1001).replays, 1);
}

static void a_socket_that_was_left_is_closed_after_a_while(void **state)
{
    Lab *lab = *state;
    _cleanup_(transport_deinit) Transport second;
    const int old = fcntl(lab->a.transport.esp_fd, F_DUPFD_CLOEXEC, 100);
    struct pollfd polled[PLANE_POLL_MAX];
    add_sa(&lab->a, &lab->b, 0x1001);
    open_second(&lab->a, &second);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_OPEN_TRANSPORT, .id = 3}, old), 0);
    assert_int_equal(move_to(&lab->a, 0x1001, 2, &lab->b.transport.local), 0);
    assert_int_equal(plane_timeout(lab->a.plane), -1);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_CLOSE_TRANSPORT, .id = 3}, -1), 0);
    assert_int_equal(plane_poll(lab->a.plane, polled),
                     3); /* the TUN, 2, and the one that is left */
    assert_in_range(plane_timeout(lab->a.plane), 1000, 2000);
    monotonic_later_ms = 2000;
    assert_int_equal(plane_forward(lab->a.plane, polled, 0), 0);
    monotonic_later_ms = 0;
    assert_int_equal(plane_poll(lab->a.plane, polled), 2);
    assert_int_equal(plane_timeout(lab->a.plane), -1);
    assert_int_equal(fcntl(old, F_GETFD), -1);
}

static void what_had_come_in_for_an_sa_is_received_when_it_is_removed(void **state)
{
    enum { PACKETS = 200 };
    Lab *lab = *state;
    const TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    add_sa(&lab->a, &lab->b, 0x1001);
    add_sa(&lab->a, &lab->b, 0x2002);
    add_sa(&lab->b, &lab->a, 0x1001);
    transport_widen(&lab->a.transport);
    for (unsigned i = 0; i < PACKETS; i++) {
        host_sends(&lab->b, &tcp, 0);
        forward(&lab->b);
    }
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_REMOVE_SA, .id = 0x1001}, -1), 0);
    for (unsigned i = 0; i < PACKETS; i++)
        host_receives(&lab->a, &tcp, 0);
    assert_int_equal(plane_counters_of(&lab->a).unknown_spi, 0);
}

static void a_move_to_nowhere_is_refused(void **state)
{
    Lab *lab = *state;
    add_sa(&lab->a, &lab->b, 0x1001);
    assert_int_equal(move_to(&lab->a, 0x1001, 9, &lab->b.transport.local), -ENOENT);
    assert_int_equal(move_to(&lab->a, 0x1002, 1, &lab->b.transport.local), -ENOENT);
}

/* The peer rekeys twice, and each time lets the SA before go: nobody need say that the first new
 * one sends. */
static void an_sa_in_standby_that_sends_goes_on_when_another_one_comes(void **state)
{
    Lab *lab = *state;
    add_sa(&lab->a, &lab->b, 0x1001);
    for (uint32_t spi = 0x1002; spi < 0x1006; spi++) {
        add_with(&lab->a, &lab->b, spi, true, 0);
        host_sends_by(lab, spi - 1);
        assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_REMOVE_SA, .id = spi - 1}, -1),
                         0);
        host_sends_by(lab, spi);
    }
}

static void without_an_sa_nothing_leaves_and_it_is_counted(void **state)
{
    Lab *lab = *state;
    TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    assert_int_equal(plane_counters_of(&lab->a).no_sa_out, 1);
}

static void rubbish_from_the_network_reaches_no_host(void **state)
{
    Lab *lab = *state;
    add_sa(&lab->a, &lab->b, 0x1001);
    const uint8_t keepalive[] = {0xff}, unknown[] = {1, 2, 3, 4, 5, 6, 7, 8},
                  forged[40] = {0, 0, 0x10, 0x01, 0, 0, 0, 1};
    const Bytes datagrams[] = {
        BYTES_OF(keepalive),
        BYTES_OF(unknown),
        BYTES_OF(forged),
        {forged, 8},
    };
    for (size_t i = 0; i < ELEMENTS(datagrams); i++)
        assert_int_equal(sendto(lab->b.transport.esp_fd, datagrams[i].data, datagrams[i].size, 0,
                                (struct sockaddr *)&lab->a.transport.local,
                                address_size(&lab->a.transport.local)),
                         datagrams[i].size);
    forward(&lab->a);
    host_receives_nothing(&lab->a);
    assert_int_equal(plane_counters_of(&lab->a).unknown_spi, 1);
    assert_int_equal(counters_of(&lab->a, 0x1001).authentication_failures, 1);
    assert_int_equal(counters_of(&lab->a, 0x1001).malformed, 1);
}

static void orders_that_make_no_sense_are_refused(void **state)
{
    Lab *lab = *state;
    Plane *plane = lab->a.plane;
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    sa->spi_in = 7;
    Order add = {.type = ORDER_ADD_SA, .sa = sa};
    assert_int_equal(give(plane, &add, -1), 0);
    assert_int_equal(give(plane, &add, -1), -EEXIST);
    sa->spi_in = 8;
    sa->transport = 2;
    assert_int_equal(give(plane, &add, -1), -ENOENT);
    assert_int_equal(give(plane, &(Order){.type = ORDER_REMOVE_SA, .id = 9}, -1), -ENOENT);
    assert_int_equal(give(plane, &(Order){.type = ORDER_SA_COUNTERS, .id = 9}, -1), -ENOENT);
    assert_int_equal(give(plane, &(Order){.type = ORDER_OPEN_TUN}, -1), -EBADF);
    assert_int_equal(give(plane, &(Order){.type = ORDER_OPEN_TRANSPORT, .id = 5}, -1), -EBADF);
    int tun = fcntl(lab->a.transport.esp_fd, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(give(plane, &(Order){.type = ORDER_OPEN_TUN}, tun), -EEXIST);
    assert_int_equal(fcntl(tun, F_GETFD), -1);
    int fd = fcntl(lab->a.transport.esp_fd, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(give(plane, &(Order){.type = ORDER_OPEN_TRANSPORT, .id = 1}, fd), -EEXIST);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* what is not taken is closed */
    assert_int_equal(give(plane, &(Order){.type = ORDER_CLOSE_TRANSPORT, .id = 5}, -1), -ENOENT);
}

static void there_is_room_for_so_many_transports_and_none_more(void **state)
{
    Lab *lab = *state;
    for (uint32_t id = 2; id <= DATAPLANE_TRANSPORTS_MAX + 1; id++) { /* the end has one */
        int fd = fcntl(lab->a.transport.esp_fd, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_OPEN_TRANSPORT, .id = id}, fd),
                         id > DATAPLANE_TRANSPORTS_MAX ? -ENOSPC : 0);
    }
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_CLOSE_TRANSPORT, .id = 2}, -1), 0);
    int fd = fcntl(lab->a.transport.esp_fd, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_OPEN_TRANSPORT, .id = 9}, fd), 0);
}

/* The end as it is by another of its interfaces, whose TUN's other side is the caller's to close.
 */
static End open_interface(const End *end, uint32_t interface)
{
    End other = *end;
    int tun[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, tun), 0);
    other.host = tun[0];
    assert_int_equal(give(end->plane, &(Order){.type = ORDER_OPEN_TUN, .id = interface}, tun[1]),
                     0);
    return other;
}

/* The selectors are the same, and one flow goes on by the other interface: what comes by one TUN
 * leaves by its SA, however new another is, and what comes in goes to its SA's TUN. */
static void each_interface_sends_and_receives_by_its_own_sas_alone(void **state)
{
    Lab *lab = *state;
    const End a = open_interface(&lab->a, 3), b = open_interface(&lab->b, 3);
    const TcpPacket first = {.version = 4, .flags = TCP_ACK, .payload_size = 500},
                    second = {.version = 4, .sequence = 500, .flags = TCP_ACK, .payload_size = 500};
    add_sa_by(&lab->a, &lab->b, 0x1001, 0);
    add_sa_by(&lab->b, &lab->a, 0x1001, 0);
    add_sa_by(&lab->a, &lab->b, 0x2002, 3);
    add_sa_by(&lab->b, &lab->a, 0x2002, 3);
    host_sends(&lab->a, &first, 0);
    host_sends(&a, &second, 0);
    forward(&lab->a);
    assert_int_equal(counters_of(&lab->a, 0x1001).packets_out, 1);
    assert_int_equal(counters_of(&lab->a, 0x2002).packets_out, 1);
    forward(&lab->b);
    host_receives(&lab->b, &first, 0);
    host_receives(&b, &second, 0);
    host_receives_nothing(&lab->b);
    host_receives_nothing(&b);
    assert_int_equal(close(a.host) + close(b.host), 0);
}

static void a_packet_of_an_interface_without_an_sa_goes_by_no_other(void **state)
{
    Lab *lab = *state;
    const End a = open_interface(&lab->a, 1);
    add_sa(&lab->a, &lab->b, 0x1001);
    host_sends(&a, &(TcpPacket){.version = 4, .payload_size = 9}, 0);
    forward(&lab->a);
    assert_int_equal(counters_of(&lab->a, 0x1001).packets_out, 0);
    assert_int_equal(plane_counters_of(&lab->a).no_sa_out, 1);
    assert_int_equal(close(a.host), 0);
}

static void an_interface_that_is_closed_leaves_the_other_and_its_socket_unread(void **state)
{
    Lab *lab = *state;
    const End a = open_interface(&lab->a, 1);
    struct pollfd polled[PLANE_POLL_MAX];
    TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 333};
    add_sa_by(&lab->a, &lab->b, 0x1001, 1);
    assert_int_equal(plane_poll(lab->a.plane, polled), 3); /* two TUNs, and the socket */
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_CLOSE_TUN, .id = 1}, -1), 0);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_CLOSE_TUN, .id = 1}, -1), -ENOENT);
    assert_int_equal(plane_poll(lab->a.plane, polled), 1); /* what comes in waits */
    assert_int_equal(recv(a.host, polled, 1, 0), 0);
    add_sa(&lab->a, &lab->b, 0x2002);
    add_sa(&lab->b, &lab->a, 0x2002);
    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    forward(&lab->b);
    host_receives(&lab->b, &tcp, 0);
    assert_int_equal(close(a.host), 0);
}

static void an_interface_beyond_those_there_may_be_is_refused(void **state)
{
    Lab *lab = *state;
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    sa->interface = DATAPLANE_INTERFACES_MAX;
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_ADD_SA, .sa = sa}, -1), -EINVAL);
    Order order = {.type = ORDER_OPEN_TUN, .id = DATAPLANE_INTERFACES_MAX};
    int tun = fcntl(lab->a.transport.esp_fd, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(give(lab->a.plane, &order, tun), -EINVAL);
    assert_int_equal(fcntl(tun, F_GETFD), -1);
    order.type = ORDER_CLOSE_TUN;
    assert_int_equal(give(lab->a.plane, &order, -1), -EINVAL);
}

static void sas_are_limited_and_go_with_their_transport(void **state)
{
    Lab *lab = *state;
    for (uint32_t i = 0; i < DATAPLANE_SAS_MAX; i++)
        add_sa(&lab->a, &lab->b, 300 + i);
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    Order add = {.type = ORDER_ADD_SA, .sa = sa};
    assert_int_equal(give(lab->a.plane, &add, -1), -ENOSPC);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_CLOSE_TRANSPORT, .id = 1}, -1), 0);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_SA_COUNTERS, .id = 300}, -1),
                     -ENOENT);
}

static void a_reached_lifetime_is_reported_once(void **state)
{
    Lab *lab = *state;
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    sa->hard.packets = 1;
    sa->remote = lab->b.transport.local;
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_ADD_SA, .sa = sa}, -1), 0);
    DataPlaneEvent event;
    assert_false(plane_event(lab->a.plane, &event));
    TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    assert_true(plane_event(lab->a.plane, &event));
    assert_int_equal(event.type, DATAPLANE_HARD_LIFETIME);
    assert_int_equal(event.spi_in, sa->spi_in);
    assert_false(plane_event(lab->a.plane, &event));
    assert_int_equal(plane_timeout(lab->a.plane), -1);
}

/* An hour's lifetime is not waited for by looking each second. */
static void nobody_wakes_up_before_a_lifetime_ends(void **state)
{
    Lab *lab = *state;
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    DataPlaneEvent event;
    sa->soft.seconds = 3600;
    sa->remote = lab->b.transport.local;
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_ADD_SA, .sa = sa}, -1), 0);
    assert_in_range(plane_timeout(lab->a.plane), 3590 * 1000, 3600 * 1000);
    monotonic_later_ms = 3600 * 1000;
    assert_int_equal(plane_timeout(lab->a.plane), 0);
    monotonic_later_ms += 5000; /* it is overdue */
    assert_int_equal(plane_timeout(lab->a.plane), 0);
    assert_int_equal(plane_forward(lab->a.plane, NULL, 0), 0);
    assert_true(plane_event(lab->a.plane, &event));
    assert_int_equal(plane_timeout(lab->a.plane), -1);
    monotonic_later_ms = 0;
}

static void what_the_host_does_not_take_is_counted(void **state)
{
    Lab *lab = *state;
    const TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    add_sa(&lab->a, &lab->b, 0x1001);
    add_sa(&lab->b, &lab->a, 0x1001);
    cross(&lab->a, &lab->b);
    assert_int_equal(plane_counters_of(&lab->b).delivery_failures, 0);
    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    assert_int_equal(shutdown(lab->b.host, SHUT_RD), 0);
    (void)signal(SIGPIPE, SIG_IGN);
    forward(&lab->b);
    assert_int_equal(plane_counters_of(&lab->b).delivery_failures, 1);
}

static void what_has_nothing_to_read_is_not_read(void **state)
{
    Lab *lab = *state;
    const TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    struct pollfd polled[PLANE_POLL_MAX];
    add_sa(&lab->a, &lab->b, 0x1001);
    host_sends(&lab->a, &tcp, 0);
    const size_t n = plane_poll(lab->a.plane, polled);
    assert_int_equal(plane_forward(lab->a.plane, polled, n), 0); /* nobody has looked yet */
    assert_int_equal(counters_of(&lab->a, 0x1001).packets_out, 0);
    forward(&lab->a);
    assert_int_equal(counters_of(&lab->a, 0x1001).packets_out, 1);
}

/* An IV that is no random number would be one to guess. */
static void a_packet_that_can_not_be_sealed_ends_the_plane(void **state)
{
    Lab *lab = *state;
    const TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_CBC, 128, IKE_INTEG_HMAC_SHA2_256_128, true);
    struct pollfd polled[PLANE_POLL_MAX];
    sa->remote = lab->b.transport.local;
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_ADD_SA, .sa = sa}, -1), 0);
    host_sends(&lab->a, &tcp, 0);
    const size_t n = plane_poll(lab->a.plane, polled);
    assert_true(poll(polled, (nfds_t)n, 1000) > 0);
    no_random_begin(1, 0);
    assert_int_equal(plane_forward(lab->a.plane, polled, n), -EIO);
    assert_true(no_random_end());
}

/* b does not know that a has moved, and what it sent is still on its way when the SA goes. */
static void what_had_come_to_a_socket_that_was_left_is_received_too(void **state)
{
    Lab *lab = *state;
    const TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 10};
    _cleanup_(transport_deinit) Transport second;
    struct pollfd polled[PLANE_POLL_MAX];
    add_sa(&lab->a, &lab->b, 0x1001);
    add_sa(&lab->b, &lab->a, 0x1001);
    open_second(&lab->a, &second);
    host_sends(&lab->b, &tcp, 0);
    forward(&lab->b);
    assert_int_equal(move_to(&lab->a, 0x1001, 2, &lab->b.transport.local), 0);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_CLOSE_TRANSPORT, .id = 1}, -1), 0);
    assert_int_equal(plane_poll(lab->a.plane, polled), 3); /* the TUN, both sockets */
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_REMOVE_SA, .id = 0x1001}, -1), 0);
    host_receives(&lab->a, &tcp, 0);
    /* Without an SA there is nothing left to come. */
    assert_int_equal(plane_forward(lab->a.plane, NULL, 0), 0);
    assert_int_equal(plane_poll(lab->a.plane, polled), 1);
}

static void a_socket_that_was_left_is_not_read_without_a_tun(void **state)
{
    Lab *lab = *state;
    _cleanup_(transport_deinit) Transport second;
    struct pollfd polled[PLANE_POLL_MAX];
    add_sa(&lab->a, &lab->b, 0x1001);
    open_second(&lab->a, &second);
    assert_int_equal(move_to(&lab->a, 0x1001, 2, &lab->b.transport.local), 0);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_CLOSE_TRANSPORT, .id = 1}, -1), 0);
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_CLOSE_TUN}, -1), 0);
    assert_int_equal(plane_poll(lab->a.plane, polled), 0);
}

/* Plane, inbox and outbox; SA, and each of its directions. */
static void
without_memory_there_is_no_plane_and_no_sa_and_the_next_order_is_carried_out(void **state)
{
    Lab *lab = *state;
    for (unsigned i = 1; i <= 3; i++) {
        Plane *plane = NULL;
        memory_fails_at = i;
        assert_int_equal(plane_new(&plane), -ENOMEM);
        assert_null(plane);
    }
    plane_free(NULL);
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    for (unsigned i = 1; i <= 3; i++) {
        memory_fails_at = i;
        assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_ADD_SA, .sa = sa}, -1), -ENOMEM);
        assert_int_equal(memory_fails_at, 0);
    }
    assert_int_equal(give(lab->a.plane, &(Order){.type = ORDER_ADD_SA, .sa = sa}, -1), 0);
}

/* What is behind it is the host's next one. */
static void a_packet_of_no_octets_is_counted_and_the_next_one_goes(void **state)
{
    Lab *lab = *state;
    const TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 333};
    const uint8_t none[HEADER_SIZE] = {0};
    add_sa(&lab->a, &lab->b, 0x1001);
    add_sa(&lab->b, &lab->a, 0x1001);
    assert_int_equal(send(lab->a.host, none, sizeof(none), 0), sizeof(none));
    host_sends(&lab->a, &tcp, 0);
    forward(&lab->a);
    assert_int_equal(plane_counters_of(&lab->a).no_sa_out, 1);
    forward(&lab->b);
    host_receives(&lab->b, &tcp, 0);
}

static int setup(void **state)
{
    (void)state;
    return secrets_init();
}

#define plane_test(function) cmocka_unit_test_setup_teardown(function, setup_lab, teardown_lab)

int main(void)
{
    const struct CMUnitTest tests[] = {
        plane_test(a_packet_crosses_from_host_to_host),
        plane_test(a_big_packet_crosses_in_segments_and_is_joined_again),
        plane_test(there_is_room_for_so_many_transports_and_none_more),
        plane_test(each_interface_sends_and_receives_by_its_own_sas_alone),
        plane_test(a_packet_of_an_interface_without_an_sa_goes_by_no_other),
        plane_test(an_interface_that_is_closed_leaves_the_other_and_its_socket_unread),
        plane_test(an_interface_beyond_those_there_may_be_is_refused),
        plane_test(the_esp_packet_shows_what_is_to_be_copied_of_dscp_and_ecn),
        plane_test(packets_of_two_classes_leave_in_their_order_each_with_its_own),
        plane_test(what_a_router_marks_outside_is_marked_inside),
        plane_test(what_must_not_be_marked_and_was_is_dropped_and_counted),
        plane_test(without_ecn_a_mark_outside_says_nothing),
        plane_test(the_newest_sa_sends_and_every_sa_receives),
        plane_test(the_narrowest_selectors_send_whichever_pair_is_newer),
        plane_test(a_packet_leaves_by_the_pair_that_is_named_for_its_dscp_and_others_by_the_other),
        plane_test(a_pair_is_named_for_best_effort_as_for_any_other_dscp),
        plane_test(of_pairs_that_take_a_packet_in_its_dscp_chooses_before_narrower_selectors),
        plane_test(no_dscp_takes_a_packet_out_by_another_ike_sa),
        plane_test(
            what_a_pair_was_named_for_goes_by_the_other_when_it_is_gone_and_the_other_way_round),
        plane_test(no_dscp_takes_a_packet_out_by_a_pair_whose_selectors_do_not),
        plane_test(a_pair_that_replaces_a_named_one_in_standby_sends_what_that_one_did),
        plane_test(any_dscp_comes_in_by_any_pair),
        plane_test(an_sa_in_standby_receives_and_sends_from_when_it_is_used),
        plane_test(an_sa_in_standby_sends_once_its_peer_has_sent_by_it),
        plane_test(what_its_peer_has_sent_by_counts_as_told_to_send_last),
        plane_test(an_sa_in_standby_does_not_send_for_a_packet_that_is_not_let_in),
        plane_test(an_sa_in_standby_sends_when_the_one_before_is_gone_or_at_its_end),
        plane_test(what_an_sa_at_its_end_does_not_take_is_counted),
        plane_test(a_moved_sa_goes_on_from_its_new_socket_and_receives_at_both),
        plane_test(what_was_received_before_a_move_is_a_replay_after_it),
        plane_test(a_socket_that_was_left_is_closed_after_a_while),
        plane_test(what_had_come_in_for_an_sa_is_received_when_it_is_removed),
        plane_test(a_move_to_nowhere_is_refused),
        plane_test(an_sa_in_standby_that_sends_goes_on_when_another_one_comes),
        plane_test(without_an_sa_nothing_leaves_and_it_is_counted),
        plane_test(rubbish_from_the_network_reaches_no_host),
        plane_test(orders_that_make_no_sense_are_refused),
        plane_test(sas_are_limited_and_go_with_their_transport),
        plane_test(nobody_wakes_up_before_a_lifetime_ends),
        plane_test(a_reached_lifetime_is_reported_once),
        plane_test(what_the_host_does_not_take_is_counted),
        plane_test(a_packet_of_no_octets_is_counted_and_the_next_one_goes),
        plane_test(without_memory_there_is_no_plane_and_no_sa_and_the_next_order_is_carried_out),
        plane_test(what_has_nothing_to_read_is_not_read),
        plane_test(a_packet_that_can_not_be_sealed_ends_the_plane),
        plane_test(what_had_come_to_a_socket_that_was_left_is_received_too),
        plane_test(a_socket_that_was_left_is_not_read_without_a_tun),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
