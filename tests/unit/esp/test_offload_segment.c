/* Are the host's big packets cut into the ones that it would have sent itself? */
#include "esp/offload.h"

#include "inner_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint8_t whole[INNER_SIZE_MAX], found[INNER_SIZE_MAX], expected[INNER_SIZE_MAX];

static void begin(Segmenter *segmenter, Packet *packet, const struct virtio_net_hdr *header,
                  size_t size)
{
    assert_int_equal(packet_parse((Bytes){whole, size}, packet), 0);
    assert_int_equal(segmenter_init(segmenter, header, packet), 0);
}

/* A segment must be, octet for octet, the packet that a host without offload makes. */
static void check_segments(uint8_t version, size_t payload_size, uint16_t segment_size)
{
    TcpPacket big = {
        .version = version,
        .id = 0xfffe,
        .sequence = 0xfffffff0,
        .flags = TCP_ACK | TCP_PSH | TCP_FIN,
        .source_port = 5000,
        .payload_size = payload_size,
    };
    struct virtio_net_hdr header;
    Packet packet;
    Segmenter segmenter;
    size_t size = tcp_packet_write_for_segmentation(&big, segment_size, whole, &header);
    begin(&segmenter, &packet, &header, size);
    for (size_t sent = 0; sent < payload_size; sent += segment_size) {
        bool last = sent + segment_size >= payload_size;
        TcpPacket segment = big;
        segment.id = (uint16_t)(big.id + sent / segment_size);
        segment.sequence = big.sequence + (uint32_t)sent;
        segment.flags = last ? big.flags : TCP_ACK;
        segment.payload_size = last ? payload_size - sent : segment_size;
        segment.payload_start = (uint8_t)sent;
        size_t expected_size = tcp_packet_write(&segment, expected);
        assert_int_equal(segmenter_next_size(&segmenter), expected_size);
        segmenter_write(&segmenter, found);
        assert_memory_equal(found, expected, expected_size);
    }
    assert_int_equal(segmenter_next_size(&segmenter), 0);
}

static void ipv4_segments_are_what_a_host_without_offload_sends(void **state)
{
    (void)state;
    check_segments(4, 60000, 1386);
    check_segments(4, 2772, 1386);
    check_segments(4, 1387, 1386);
    check_segments(4, 10, 1386);
    check_segments(4, 7, 1);
}

static void ipv6_segments_are_what_a_host_without_offload_sends(void **state)
{
    (void)state;
    check_segments(6, 60000, 1366);
    check_segments(6, 1367, 1366);
}

static void a_packet_that_fits_passes_with_its_checksum_completed(void **state)
{
    (void)state;
    TcpPacket small = {.version = 4, .sequence = 1, .flags = TCP_ACK, .payload_size = 101};
    struct virtio_net_hdr header;
    Packet packet;
    Segmenter segmenter;
    size_t size = tcp_packet_write_for_segmentation(&small, 0, whole, &header);
    header.gso_type = VIRTIO_NET_HDR_GSO_NONE;
    begin(&segmenter, &packet, &header, size);
    assert_int_equal(segmenter_next_size(&segmenter), size);
    segmenter_write(&segmenter, found);
    assert_int_equal(tcp_packet_write(&small, expected), size);
    assert_memory_equal(found, expected, size);
    assert_int_equal(segmenter_next_size(&segmenter), 0);
}

static void a_packet_with_its_checksum_done_passes_unchanged(void **state)
{
    (void)state;
    TcpPacket small = {.version = 6, .sequence = 1, .flags = TCP_ACK, .payload_size = 3};
    size_t size = tcp_packet_write(&small, whole);
    struct virtio_net_hdr header = {0};
    Packet packet;
    Segmenter segmenter;
    begin(&segmenter, &packet, &header, size);
    segmenter_write(&segmenter, found);
    assert_memory_equal(found, whole, size);
}

static void a_header_that_does_not_fit_the_packet_is_refused(void **state)
{
    (void)state;
    TcpPacket small = {.version = 4, .sequence = 1, .flags = TCP_ACK, .payload_size = 50};
    struct virtio_net_hdr good, bad;
    size_t size = tcp_packet_write_for_segmentation(&small, 20, whole, &good);
    Packet packet;
    Segmenter segmenter;
    assert_int_equal(packet_parse((Bytes){whole, size}, &packet), 0);
    bad = good;
    bad.csum_start = (uint16_t)(size - 17);
    assert_int_equal(segmenter_init(&segmenter, &bad, &packet), -EBADMSG);
    bad.gso_type = VIRTIO_NET_HDR_GSO_NONE;
    assert_int_equal(segmenter_init(&segmenter, &bad, &packet), -EBADMSG);
    bad.csum_start--; /* its last two octets */
    assert_int_equal(segmenter_init(&segmenter, &bad, &packet), 0);
    bad = good;
    bad.gso_size = 0;
    assert_int_equal(segmenter_init(&segmenter, &bad, &packet), -EBADMSG);
    bad = good;
    bad.gso_type = VIRTIO_NET_HDR_GSO_UDP;
    assert_int_equal(segmenter_init(&segmenter, &bad, &packet), -EBADMSG);
    whole[9] = 17; /* UDP */
    assert_int_equal(packet_parse((Bytes){whole, size}, &packet), 0);
    assert_int_equal(segmenter_init(&segmenter, &good, &packet), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_segments_are_what_a_host_without_offload_sends),
        cmocka_unit_test(ipv6_segments_are_what_a_host_without_offload_sends),
        cmocka_unit_test(a_packet_that_fits_passes_with_its_checksum_completed),
        cmocka_unit_test(a_packet_with_its_checksum_done_passes_unchanged),
        cmocka_unit_test(a_header_that_does_not_fit_the_packet_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
