/* Does this segment continue the one before, and what does the packet made of both look like? */
#include "esp/coalesce.h"

#include "esp/checksum.h"
#include "esp/tcp.h"

#include <netinet/in.h>
#include <stddef.h>

enum { IPV6_TRAFFIC_CLASS_AND_LABEL = 4, IPV6_NEXT_HEADER = 6, IP_PACKET_MAX = 65535 };

static bool checksum_is_right(const Packet *packet)
{
    Bytes covered = bytes_slice(packet->bytes, packet->header_size, SIZE_MAX);
    uint64_t sum = checksum_add_pseudo(0, packet->source, packet->destination, IPPROTO_TCP,
                                       (uint32_t)covered.size);
    return checksum_fold(checksum_add(sum, covered)) == UINT16_MAX;
}

/* The headers' size of a packet that could be part of a bigger one, or 0. */
static size_t joinable_headers_size(const Packet *packet)
{
    size_t tcp_size = 0;
    if (tcp_header_size(packet, &tcp_size) < 0)
        return 0;
    /* No IP options and no extension headers: they would have to be the same on all. */
    size_t ip_size = packet->version == 4 ? IPV4_HEADER_SIZE : IPV6_HEADER_SIZE;
    if (packet->header_size != ip_size || packet->bytes.size == ip_size + tcp_size)
        return 0;
    uint8_t flags = packet->bytes.data[ip_size + TCP_FLAGS];
    if ((flags & (uint8_t)~TCP_FLAG_PSH) != TCP_FLAG_ACK)
        return 0;
    return ip_size + tcp_size;
}

static bool same_octets(const Coalescer *held, const Packet *packet, size_t from, size_t to)
{
    return bytes_equal(bytes_slice(held->first.bytes, from, to - from),
                       bytes_slice(packet->bytes, from, to - from));
}

/* What in the IP header must be the same, or one more than before. */
static bool ip_continues(const Coalescer *held, const Packet *packet)
{
    if (packet->version == 6) {
        return same_octets(held, packet, 0, IPV6_TRAFFIC_CLASS_AND_LABEL) &&
               same_octets(held, packet, IPV6_NEXT_HEADER, IPV6_HEADER_SIZE);
    }
    return same_octets(held, packet, 0, IPV4_TOTAL_LENGTH) &&
           same_octets(held, packet, IPV4_FLAGS, IPV4_CHECKSUM) &&
           same_octets(held, packet, IPV4_CHECKSUM + 2, IPV4_HEADER_SIZE) &&
           read_u16_at(packet->bytes, IPV4_ID) == held->next_id;
}

/* Ports, acknowledgement, window and options equal; the sequence number the next one. */
static bool tcp_continues(const Coalescer *held, const Packet *packet)
{
    size_t tcp = packet->header_size;
    return same_octets(held, packet, tcp, tcp + TCP_SEQUENCE) &&
           read_u32_at(packet->bytes, tcp + TCP_SEQUENCE) == held->next_sequence &&
           same_octets(held, packet, tcp + TCP_SEQUENCE + 4, tcp + TCP_FLAGS) &&
           same_octets(held, packet, tcp + TCP_FLAGS + 1, tcp + TCP_CHECKSUM) &&
           same_octets(held, packet, tcp + TCP_CHECKSUM + 2, held->headers_size);
}

static bool joins(Coalescer *held, const Packet *packet, size_t headers_size)
{
    size_t payload_size = packet->bytes.size - headers_size;
    if (held->closed || held->n_packets == COALESCE_PACKETS_MAX || headers_size == 0 ||
        headers_size != held->headers_size || packet->version != held->first.version ||
        payload_size > held->payload_size || held->size + payload_size > IP_PACKET_MAX)
        return false;
    if (!ip_continues(held, packet) || !tcp_continues(held, packet))
        return false;
    /* The joined packet goes to the host as one whose checksum was verified. */
    if (!held->verified && !checksum_is_right(&held->first)) {
        held->closed = true;
        return false;
    }
    held->verified = true;
    return checksum_is_right(packet);
}

static void join(Coalescer *held, const Packet *packet, uint8_t *octets)
{
    size_t payload_size = packet->bytes.size - held->headers_size;
    uint8_t flags = packet->bytes.data[packet->header_size + TCP_FLAGS];
    held->n_packets++;
    held->parts[held->n_packets] = (struct iovec){octets + held->headers_size, payload_size};
    held->size += payload_size;
    held->next_sequence += (uint32_t)payload_size;
    held->next_id++;
    held->closed = payload_size < held->payload_size || (flags & TCP_FLAG_PSH);
    if (flags & TCP_FLAG_PSH)
        held->first_octets[held->first.header_size + TCP_FLAGS] |= TCP_FLAG_PSH;
}

static void begin(Coalescer *held, const Packet *packet, uint8_t *octets, size_t headers_size)
{
    held->first = *packet;
    held->first_octets = octets;
    held->headers_size = headers_size;
    held->size = packet->bytes.size;
    held->verified = false;
    held->closed = true;
    held->n_packets = 1;
    held->parts[1] = (struct iovec){octets, packet->bytes.size};
    if (headers_size == 0)
        return;
    size_t tcp = packet->header_size;
    held->payload_size = packet->bytes.size - headers_size;
    held->next_sequence =
        read_u32_at(packet->bytes, tcp + TCP_SEQUENCE) + (uint32_t)held->payload_size;
    held->next_id = (uint16_t)(read_u16_at(packet->bytes, IPV4_ID) + 1);
    held->closed = packet->bytes.data[tcp + TCP_FLAGS] & TCP_FLAG_PSH;
}

bool coalescer_add(Coalescer *coalescer, const Packet *packet, uint8_t *octets)
{
    size_t headers_size = joinable_headers_size(packet);
    if (coalescer->n_packets == 0) {
        begin(coalescer, packet, octets, headers_size);
    } else if (joins(coalescer, packet, headers_size)) {
        join(coalescer, packet, octets);
    } else {
        return false;
    }
    return true;
}

void coalescer_finish(Coalescer *coalescer, struct virtio_net_hdr *ret_header)
{
    *ret_header = (struct virtio_net_hdr){.gso_type = VIRTIO_NET_HDR_GSO_NONE};
    if (coalescer->n_packets < 2)
        return;

    const Packet *first = &coalescer->first;
    size_t tcp = first->header_size, tcp_size = coalescer->size - tcp;
    bool ipv4 = first->version == 4;
    *ret_header = (struct virtio_net_hdr){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = ipv4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
        .hdr_len = (uint16_t)coalescer->headers_size,
        .gso_size = (uint16_t)coalescer->payload_size,
        .csum_start = (uint16_t)tcp,
        .csum_offset = TCP_CHECKSUM,
    };
    Writer writer;
    writer_init(&writer, coalescer->first_octets, first->bytes.size);
    writer.size = first->bytes.size;
    ip_set_size(&writer, first, coalescer->size);
    uint64_t sum =
        checksum_add_pseudo(0, first->source, first->destination, IPPROTO_TCP, (uint32_t)tcp_size);
    writer_patch_u16(&writer, tcp + TCP_CHECKSUM, checksum_fold(sum));
}
