/* Are segments joined into the packet that they were cut from, and nothing else? */
#include "esp/offload.h"

#include "inner_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { SLOTS = 70, SLOT_SIZE = 2048, SEGMENT = 1000 };

static uint8_t slots[SLOTS][SLOT_SIZE], expected[INNER_SIZE_MAX], joined[INNER_SIZE_MAX];

static TcpPacket segment_number(uint8_t version, size_t number)
{
    return (TcpPacket){
        .version = version,
        .id = (uint16_t)(7 + number),
        .sequence = (uint32_t)(100 + number * SEGMENT),
        .flags = TCP_ACK,
        .source_port = 5000,
        .payload_size = SEGMENT,
        .payload_start = (uint8_t)(number * SEGMENT),
    };
}

static bool add(Coalescer *coalescer, const TcpPacket *tcp, size_t slot)
{
    Packet packet;
    size_t size = tcp_packet_write(tcp, slots[slot]);
    assert_int_equal(packet_parse((Bytes){slots[slot], size}, &packet), 0);
    return coalescer_add(coalescer, &packet, slots[slot]);
}

/* Collects the parts; returns the size of the whole. */
static size_t finish(Coalescer *coalescer, struct virtio_net_hdr *ret_header)
{
    size_t size = 0;
    coalescer_finish(coalescer, ret_header);
    for (size_t i = 1; i <= coalescer->n_packets; i++) {
        memcpy(joined + size, coalescer->parts[i].iov_base, coalescer->parts[i].iov_len);
        size += coalescer->parts[i].iov_len;
    }
    return size;
}

static void check_joining(uint8_t version)
{
    static Coalescer coalescer;
    memset(&coalescer, 0, sizeof(coalescer));
    for (size_t i = 0; i < 40; i++) {
        TcpPacket segment = segment_number(version, i);
        if (i == 39) {
            segment.payload_size = 300;
            segment.flags = TCP_ACK | TCP_PSH;
        }
        assert_true(add(&coalescer, &segment, i));
    }
    TcpPacket whole = segment_number(version, 0);
    whole.payload_size = 39 * SEGMENT + 300;
    whole.flags = TCP_ACK | TCP_PSH;
    struct virtio_net_hdr expected_header, header;
    size_t expected_size =
        tcp_packet_write_for_segmentation(&whole, SEGMENT, expected, &expected_header);
    assert_int_equal(finish(&coalescer, &header), expected_size);
    assert_memory_equal(joined, expected, expected_size);
    assert_memory_equal(&header, &expected_header, sizeof(header));
}

static void ipv4_segments_join_into_the_packet_that_they_were_cut_from(void **state)
{
    (void)state;
    check_joining(4);
}

static void ipv6_segments_join_into_the_packet_that_they_were_cut_from(void **state)
{
    (void)state;
    check_joining(6);
}

static void a_single_packet_passes_unchanged(void **state)
{
    (void)state;
    static Coalescer coalescer;
    TcpPacket segment = segment_number(4, 0);
    assert_true(add(&coalescer, &segment, 0));
    struct virtio_net_hdr header;
    size_t size = finish(&coalescer, &header);
    assert_int_equal(size, tcp_packet_write(&segment, expected));
    assert_memory_equal(joined, expected, size);
    const struct virtio_net_hdr none = {0};
    assert_memory_equal(&header, &none, sizeof(none));
}

/* The second packet, changed, must not join the first. */
static void check_refused(TcpPacket second)
{
    static Coalescer coalescer;
    memset(&coalescer, 0, sizeof(coalescer));
    TcpPacket first = segment_number(second.version, 0);
    assert_true(add(&coalescer, &first, 0));
    assert_false(add(&coalescer, &second, 1));
    struct virtio_net_hdr header;
    assert_int_equal(finish(&coalescer, &header), tcp_packet_write(&first, expected));
    assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
}

static void what_does_not_continue_the_stream_does_not_join(void **state)
{
    (void)state;
    TcpPacket second = segment_number(4, 1);
    second.sequence++;
    check_refused(second);
    second = segment_number(4, 1);
    second.source_port++;
    check_refused(second);
    second = segment_number(4, 1);
    second.flags = TCP_ACK | TCP_FIN;
    check_refused(second);
    second = segment_number(4, 1);
    second.payload_size++;
    check_refused(second);
    second = segment_number(4, 1);
    second.id++;
    check_refused(second);
    second = segment_number(4, 1);
    second.payload_size = 0;
    check_refused(second);
    check_refused(segment_number(4, 2));
    check_refused(segment_number(4, 0));
    check_refused(segment_number(6, 2));
}

/* Each field of the IP header that is not the packet's own, in either version. */
static void a_segment_with_another_ip_header_does_not_join(void **state)
{
    static const struct {
        uint8_t version, at, bits;
    } fields[] = {
        {4, 1, 0xb8}, /* DSCP */
        {4, 6, 0x40}, /* DF */
        {4, 8, 1},    /* TTL */
        {6, 1, 0x10}, /* traffic class */
        {6, 3, 1},    /* flow label */
        {6, 7, 1},    /* hop limit */
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(fields); i++) {
        static Coalescer coalescer;
        const TcpPacket first = segment_number(fields[i].version, 0);
        const TcpPacket second = segment_number(fields[i].version, 1);
        Packet packet;
        memset(&coalescer, 0, sizeof(coalescer));
        assert_true(add(&coalescer, &first, 0));
        const size_t size = tcp_packet_write(&second, slots[1]);
        slots[1][fields[i].at] ^= fields[i].bits;
        assert_int_equal(packet_parse((Bytes){slots[1], size}, &packet), 0);
        assert_false(coalescer_add(&coalescer, &packet, slots[1]));
        slots[1][fields[i].at] ^= fields[i].bits;
        assert_true(coalescer_add(&coalescer, &packet, slots[1]));
    }
}

static void nothing_joins_behind_a_shorter_segment_or_a_push(void **state)
{
    (void)state;
    static Coalescer coalescer;
    memset(&coalescer, 0, sizeof(coalescer));
    TcpPacket segment = segment_number(4, 0);
    assert_true(add(&coalescer, &segment, 0));
    segment = segment_number(4, 1);
    segment.flags |= TCP_PSH;
    assert_true(add(&coalescer, &segment, 1));
    segment = segment_number(4, 2);
    assert_false(add(&coalescer, &segment, 2));

    memset(&coalescer, 0, sizeof(coalescer));
    segment = segment_number(4, 0);
    assert_true(add(&coalescer, &segment, 0));
    segment = segment_number(4, 1);
    segment.payload_size = 10;
    assert_true(add(&coalescer, &segment, 1));
    segment = segment_number(4, 2);
    segment.sequence = 100 + SEGMENT + 10;
    assert_false(add(&coalescer, &segment, 2));
}

/* The host would take the joined packet's checksum for verified. */
static void a_segment_with_a_wrong_checksum_does_not_join(void **state)
{
    (void)state;
    for (size_t broken = 0; broken < 2; broken++) {
        static Coalescer coalescer;
        memset(&coalescer, 0, sizeof(coalescer));
        for (size_t i = 0; i < 2; i++) {
            Packet packet;
            TcpPacket segment = segment_number(4, i);
            size_t size = tcp_packet_write(&segment, slots[i]);
            if (i == broken)
                slots[i][size - 1] ^= 1;
            assert_int_equal(packet_parse((Bytes){slots[i], size}, &packet), 0);
            assert_int_equal(coalescer_add(&coalescer, &packet, slots[i]), i == 0);
        }
    }
}

static void a_joined_packet_never_outgrows_64_kib_or_64_parts(void **state)
{
    (void)state;
    static Coalescer coalescer;
    memset(&coalescer, 0, sizeof(coalescer));
    size_t n = 0;
    for (; n < SLOTS; n++) {
        TcpPacket segment = segment_number(4, n);
        if (!add(&coalescer, &segment, n))
            break;
    }
    assert_int_equal(n, COALESCE_PACKETS_MAX);
    struct virtio_net_hdr header;
    assert_true(finish(&coalescer, &header) <= INNER_SIZE_MAX);

    memset(&coalescer, 0, sizeof(coalescer));
    for (n = 0; n < SLOTS; n++) {
        TcpPacket segment = segment_number(4, n);
        segment.payload_size = 1500;
        segment.sequence = (uint32_t)(n * 1500);
        if (!add(&coalescer, &segment, n))
            break;
    }
    assert_int_equal(n, (INNER_SIZE_MAX - 52) / 1500);
    /* To the octet. */
    TcpPacket last = segment_number(4, n);
    last.sequence = (uint32_t)(n * 1500);
    last.payload_size = (INNER_SIZE_MAX - 52) % 1500 + 1;
    assert_false(add(&coalescer, &last, n));
    last.payload_size--;
    assert_true(add(&coalescer, &last, n));
    assert_int_equal(finish(&coalescer, &header), INNER_SIZE_MAX);
}

/* Behind the page that it ends with is one that can't be read. */
static void no_packet_is_read_beyond_its_end(void **state)
{
    enum { PAGE = 4096, UDP_SIZE = 28 };
    static const uint8_t udp[UDP_SIZE] = {0x45, 0, 0,  UDP_SIZE, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0,
                                          0,    1, 10, 0,        0, 2, 1, 1, 2,  2,  0, 8, 0,  0};
    static Coalescer coalescer;
    uint8_t *pages =
        mmap(NULL, 2L * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct virtio_net_hdr header;
    Packet packet;

    (void)state;
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
    uint8_t *octets = pages + PAGE - UDP_SIZE;
    memcpy(octets, udp, UDP_SIZE);
    assert_int_equal(packet_parse((Bytes){octets, UDP_SIZE}, &packet), 0);
    memset(&coalescer, 0, sizeof(coalescer));
    assert_true(coalescer_add(&coalescer, &packet, octets));
    assert_false(coalescer_add(&coalescer, &packet, octets));
    assert_int_equal(finish(&coalescer, &header), UDP_SIZE);
    assert_memory_equal(joined, udp, UDP_SIZE);
    assert_int_equal(munmap(pages, 2L * PAGE), 0);
}

/* Nothing can be said of a packet that others follow, but which is not itself part of a stream. */
static void nothing_joins_a_packet_that_could_not_be_joined_itself(void **state)
{
    (void)state;
    TcpPacket first = segment_number(4, 0);
    first.flags = TCP_ACK | TCP_FIN;
    static Coalescer coalescer;
    memset(&coalescer, 0, sizeof(coalescer));
    assert_true(add(&coalescer, &first, 0));
    TcpPacket second = segment_number(4, 1);
    assert_false(add(&coalescer, &second, 1));
}

static void two_packets_are_enough_to_join(void **state)
{
    static const uint8_t versions[] = {4, 6};
    (void)state;
    for (size_t i = 0; i < ELEMENTS(versions); i++) {
        static Coalescer coalescer;
        TcpPacket whole = segment_number(versions[i], 0);
        struct virtio_net_hdr expected_header, header;
        memset(&coalescer, 0, sizeof(coalescer));
        for (size_t j = 0; j < 2; j++) {
            TcpPacket segment = segment_number(versions[i], j);
            assert_true(add(&coalescer, &segment, j));
        }
        whole.payload_size = 2 * SEGMENT;
        const size_t size =
            tcp_packet_write_for_segmentation(&whole, SEGMENT, expected, &expected_header);
        assert_int_equal(finish(&coalescer, &header), size);
        assert_memory_equal(joined, expected, size);
        assert_memory_equal(&header, &expected_header, sizeof(header));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_segments_join_into_the_packet_that_they_were_cut_from),
        cmocka_unit_test(ipv6_segments_join_into_the_packet_that_they_were_cut_from),
        cmocka_unit_test(a_single_packet_passes_unchanged),
        cmocka_unit_test(what_does_not_continue_the_stream_does_not_join),
        cmocka_unit_test(a_segment_with_another_ip_header_does_not_join),
        cmocka_unit_test(nothing_joins_behind_a_shorter_segment_or_a_push),
        cmocka_unit_test(a_segment_with_a_wrong_checksum_does_not_join),
        cmocka_unit_test(a_joined_packet_never_outgrows_64_kib_or_64_parts),
        cmocka_unit_test(no_packet_is_read_beyond_its_end),
        cmocka_unit_test(nothing_joins_a_packet_that_could_not_be_joined_itself),
        cmocka_unit_test(two_packets_are_enough_to_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
