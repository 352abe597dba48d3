/* Inner packets, octet by octet, and SAs with keys that everybody knows. */
#include "inner_fixture.h"

#include "esp/offload.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { TCP_SIZE = 32 };

static void write_ip(Writer *writer, const TcpPacket *packet, size_t upper_size)
{
    if (packet->version == 4) {
        writer_u32(writer, 0x45000000 | (uint32_t)packet->traffic_class << 16 |
                               (uint32_t)(20 + upper_size));
        writer_u16(writer, packet->id);
        writer_u16(writer, 0x4000);
        writer_u32(writer, 0x40060000);
        writer_u32(writer, 0x0a000001);
        writer_u32(writer, 0x0a000002);
        uint64_t sum = checksum_add(0, (Bytes){writer->data, 20});
        writer_patch_u16(writer, 10, (uint16_t)~checksum_fold(sum));
        return;
    }
    writer_u32(writer, 0x60000000 | (uint32_t)packet->traffic_class << 20);
    writer_u16(writer, (uint16_t)upper_size);
    writer_u16(writer, 0x0640);
    for (unsigned i = 1; i <= 2; i++) {
        writer_u16(writer, 0xfd00);
        writer_zeros(writer, 13);
        writer_u8(writer, (uint8_t)i);
    }
}

static void write_tcp(Writer *writer, const TcpPacket *packet)
{
    writer_u16(writer, packet->source_port);
    writer_u16(writer, 80);
    writer_u32(writer, packet->sequence);
    writer_u32(writer, 77);
    writer_u16(writer, (uint16_t)(0x8000 | packet->flags));
    writer_u16(writer, 1000);
    writer_u32(writer, 0);
    writer_u32(writer, 0x0101080a);
    writer_u64(writer, 0x0000111100002222);
    for (size_t i = 0; i < packet->payload_size; i++)
        writer_u8(writer, (uint8_t)(packet->payload_start + i));
}

static uint64_t pseudo_sum(const uint8_t *ip, uint8_t version, size_t upper_size)
{
    size_t address_size = version == 4 ? 4 : 16, at = version == 4 ? 12 : 8;
    return checksum_add_pseudo(0, (Bytes){ip + at, address_size},
                               (Bytes){ip + at + address_size, address_size}, 6,
                               (uint32_t)upper_size);
}

/* Returns the size; *ret_tcp is where TCP begins. The checksum is that of the pseudo-header. */
static size_t write_unfinished(const TcpPacket *packet, uint8_t *buffer, size_t *ret_tcp)
{
    Writer writer;
    Bytes written = {0};
    size_t upper_size = TCP_SIZE + packet->payload_size;
    writer_init(&writer, buffer, INNER_SIZE_MAX);
    write_ip(&writer, packet, upper_size);
    *ret_tcp = writer.size;
    write_tcp(&writer, packet);
    writer_patch_u16(&writer, *ret_tcp + 16,
                     checksum_fold(pseudo_sum(buffer, packet->version, upper_size)));
    assert_int_equal(writer_finish(&writer, &written), 0);
    return written.size;
}

size_t tcp_packet_write(const TcpPacket *packet, uint8_t *buffer)
{
    size_t tcp = 0, size = write_unfinished(packet, buffer, &tcp);
    uint16_t checksum =
        (uint16_t)~checksum_fold(checksum_add(0, (Bytes){buffer + tcp, size - tcp}));
    buffer[tcp + 16] = (uint8_t)(checksum >> 8);
    buffer[tcp + 17] = (uint8_t)checksum;
    return size;
}

size_t tcp_packet_write_for_segmentation(const TcpPacket *packet, uint16_t segment_size,
                                         uint8_t *buffer, struct virtio_net_hdr *ret_header)
{
    size_t tcp = 0, size = write_unfinished(packet, buffer, &tcp);
    *ret_header = (struct virtio_net_hdr){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = packet->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
        .hdr_len = (uint16_t)(tcp + TCP_SIZE),
        .gso_size = segment_size,
        .csum_start = (uint16_t)tcp,
        .csum_offset = 16,
    };
    return size;
}

static Secret *counting_secret(size_t size)
{
    Secret *secret = NULL;
    if (size == 0)
        return NULL;
    assert_int_equal(secret_new(size, &secret), 0);
    for (size_t i = 0; i < size; i++)
        secret->data[i] = (uint8_t)i;
    return secret;
}

static void select_all(IkeTs *ts)
{
    *ts = (IkeTs){.n_selectors = 2};
    ts->selectors[0] = (IkeSelector){.type = IKE_TS_IPV4_ADDR_RANGE, .end_port = UINT16_MAX};
    ts->selectors[1] = (IkeSelector){.type = IKE_TS_IPV6_ADDR_RANGE, .end_port = UINT16_MAX};
    memset(ts->selectors[0].end, 0xff, 4);
    memset(ts->selectors[1].end, 0xff, 16);
}

SaOrder *sa_order_new(uint16_t encr, uint16_t key_bits, uint16_t integ, bool esn)
{
    SaOrder *order = calloc(1, sizeof(*order));
    assert_non_null(order);
    order->spi_in = 0x1234abcd;
    order->spi_out = 0x1234abcd;
    order->transport = 1;
    assert_int_equal(esp_suite_from_ids(encr, key_bits, integ, IKE_GROUP_NONE, esn, &order->suite),
                     0);
    size_t encr_size = order->suite.cipher->key_size + order->suite.cipher->salt_size;
    size_t integ_size = order->suite.integ ? order->suite.integ->key_size : 0;
    order->encr_in = counting_secret(encr_size);
    order->encr_out = counting_secret(encr_size);
    order->integ_in = counting_secret(integ_size);
    order->integ_out = counting_secret(integ_size);
    select_all(&order->ts_local);
    select_all(&order->ts_remote);
    struct sockaddr_in remote = {.sin_family = AF_INET, .sin_port = htons(4500)};
    remote.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(&order->remote, &remote, sizeof(remote));
    order->local = order->remote;
    order->udp_encapsulated = true;
    order->mtu = 1438;
    order->n_addresses = 1;
    order->addresses[0] = (InnerAddress){4, 32, {10, 0, 0, 1}};
    return order;
}

void sa_order_free(SaOrder *sa)
{
    if (sa)
        order_deinit(&(Order){.sa = sa});
}
