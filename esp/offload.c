/* What a network card's offload would do: cuts one big packet of the host into those that fit, and
 * joins TCP segments that continue each other; with the Internet checksum (RFC 1071 2). */
#include "esp/offload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

enum { BLOCK = 64 };

uint64_t checksum_add(uint64_t sum, Bytes bytes)
{
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    for (; left >= BLOCK; at += BLOCK, left -= BLOCK) {
        uint32_t words[BLOCK / 4];
        memcpy(words, at, BLOCK);
        for (size_t i = 0; i < BLOCK / 4; i++)
            sum += words[i];
    }
    while (left > 0) {
        size_t size = left < 4 ? left : 4;
        uint32_t word = 0; /* an odd octet is padded with zero on its right */
        memcpy(&word, at, size);
        sum += word;
        at += size;
        left -= size;
    }
    return sum;
}

uint64_t checksum_add_u16(uint64_t sum, uint16_t value)
{
    return sum + htons(value);
}

uint16_t checksum_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ntohs((uint16_t)sum);
}

uint64_t checksum_add_pseudo(uint64_t sum, Bytes source, Bytes destination, uint8_t protocol,
                             uint32_t size)
{
    sum = checksum_add(sum, source);
    sum = checksum_add(sum, destination);
    sum = checksum_add_u16(sum, protocol);
    sum = checksum_add_u16(sum, (uint16_t)(size >> 16));
    return checksum_add_u16(sum, (uint16_t)size);
}

uint16_t read_u16_at(Bytes bytes, size_t offset)
{
    Reader reader;
    reader_init(&reader, bytes_slice(bytes, offset, 2));
    uint16_t value = 0;
    (void)reader_u16(&reader, &value);
    return value;
}

uint32_t read_u32_at(Bytes bytes, size_t offset)
{
    Reader reader;
    reader_init(&reader, bytes_slice(bytes, offset, 4));
    uint32_t value = 0;
    (void)reader_u32(&reader, &value);
    return value;
}

int tcp_header_size(const Packet *packet, size_t *ret)
{
    if (packet->protocol != IPPROTO_TCP || packet->fragment)
        return -EBADMSG;
    Bytes tcp = bytes_slice(packet->bytes, packet->header_size, SIZE_MAX);
    if (tcp.size < TCP_HEADER_SIZE)
        return -EBADMSG;
    size_t size = (size_t)(tcp.data[TCP_DATA_OFFSET] >> 4) * 4;
    if (size < TCP_HEADER_SIZE || size > tcp.size)
        return -EBADMSG;
    *ret = size;
    return 0;
}

/* Sets an IPv4 header's total length, or an IPv6 header's payload length, for a packet of `size`
 * octets in `writer`, and the IPv4 header's checksum. */
static void ip_set_size(Writer *writer, const Packet *packet, size_t size)
{
    if (packet->version == 6) {
        writer_patch_u16(writer, IPV6_PAYLOAD_LENGTH, (uint16_t)(size - IPV6_HEADER_SIZE));
        return;
    }
    writer_patch_u16(writer, IPV4_TOTAL_LENGTH, (uint16_t)size);
    writer_patch_u16(writer, IPV4_CHECKSUM, 0);
    Bytes header = {writer->data, packet->header_size};
    writer_patch_u16(writer, IPV4_CHECKSUM, (uint16_t)~checksum_fold(checksum_add(0, header)));
}

int segmenter_init(Segmenter *segmenter, const struct virtio_net_hdr *header, const Packet *packet)
{
    *segmenter = (Segmenter){
        .packet = packet,
        .checksum_needed = header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .checksum_start = header->csum_start,
        .checksum_offset = header->csum_offset,
    };
    if (segmenter->checksum_needed &&
        segmenter->checksum_start + segmenter->checksum_offset + 2 > packet->bytes.size)
        return -EBADMSG;

    switch (header->gso_type) {
    case VIRTIO_NET_HDR_GSO_NONE:
        return 0;
    case VIRTIO_NET_HDR_GSO_TCPV4:
    case VIRTIO_NET_HDR_GSO_TCPV6:
        break;
    default:
        return -EBADMSG; /* nothing that tun_open() asked for */
    }
    size_t tcp_size = 0;
    int r = tcp_header_size(packet, &tcp_size);
    if (r < 0)
        return r;
    segmenter->tcp_segmentation = true;
    segmenter->headers_size = packet->header_size + tcp_size;
    segmenter->payload_size = header->gso_size;
    segmenter->position = segmenter->headers_size;
    return header->gso_size > 0 ? 0 : -EBADMSG;
}

static size_t next_payload_size(const Segmenter *segmenter)
{
    size_t left = segmenter->packet->bytes.size - segmenter->position;
    return left < segmenter->payload_size ? left : segmenter->payload_size;
}

size_t segmenter_next_size(const Segmenter *segmenter)
{
    if (segmenter->position == segmenter->packet->bytes.size)
        return 0;
    if (!segmenter->tcp_segmentation)
        return segmenter->packet->bytes.size;
    return segmenter->headers_size + next_payload_size(segmenter);
}

static void write_whole(Segmenter *segmenter, Writer *writer)
{
    writer_bytes(writer, segmenter->packet->bytes);
    segmenter->position = segmenter->packet->bytes.size;
    if (!segmenter->checksum_needed)
        return;
    /* The field holds the sum of the pseudo-header already. */
    Bytes covered =
        bytes_slice((Bytes){writer->data, writer->size}, segmenter->checksum_start, SIZE_MAX);
    uint16_t checksum = (uint16_t)~checksum_fold(checksum_add(0, covered));
    if (checksum == 0) {
        checksum =
            UINT16_MAX; /* RFC 768: zero would say that there is none; to TCP they are equal */
    }
    writer_patch_u16(writer, segmenter->checksum_start + segmenter->checksum_offset, checksum);
}

static void write_segment(Segmenter *segmenter, Writer *writer)
{
    const Packet *packet = segmenter->packet;
    size_t payload = next_payload_size(segmenter), tcp = packet->header_size;
    size_t sent = segmenter->position - segmenter->headers_size;
    bool last = segmenter->position + payload == packet->bytes.size;
    writer_bytes(writer, bytes_slice(packet->bytes, 0, segmenter->headers_size));
    writer_bytes(writer, bytes_slice(packet->bytes, segmenter->position, payload));
    segmenter->position += payload;

    if (packet->version == 4) {
        uint16_t id = read_u16_at(packet->bytes, IPV4_ID);
        writer_patch_u16(writer, IPV4_ID, (uint16_t)(id + sent / segmenter->payload_size));
    }
    ip_set_size(writer, packet, segmenter->headers_size + payload);
    uint32_t sequence = read_u32_at(packet->bytes, tcp + TCP_SEQUENCE);
    writer_patch_u32(writer, tcp + TCP_SEQUENCE, sequence + (uint32_t)sent);
    if (!last) {
        uint8_t flags = packet->bytes.data[tcp + TCP_FLAGS];
        flags &= (uint8_t) ~(TCP_FLAG_FIN | TCP_FLAG_PSH);
        writer_patch_u8(writer, tcp + TCP_FLAGS, flags);
    }
    writer_patch_u16(writer, tcp + TCP_CHECKSUM, 0);
    Bytes covered = {writer->data + tcp, writer->size - tcp};
    uint64_t sum = checksum_add_pseudo(0, packet->source, packet->destination, IPPROTO_TCP,
                                       (uint32_t)covered.size);
    sum = checksum_add(sum, covered);
    writer_patch_u16(writer, tcp + TCP_CHECKSUM, (uint16_t)~checksum_fold(sum));
}

void segmenter_write(Segmenter *segmenter, uint8_t *buffer)
{
    Writer writer;
    writer_init(&writer, buffer, segmenter_next_size(segmenter));
    if (segmenter->tcp_segmentation) {
        write_segment(segmenter, &writer);
    } else {
        write_whole(segmenter, &writer);
    }
}

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

/* Ports, acknowledgement, the header's size, window and options equal; the sequence number the next
 * one. */
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
        packet->version != held->first.version || payload_size > held->payload_size ||
        held->size + payload_size > IP_PACKET_MAX)
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
