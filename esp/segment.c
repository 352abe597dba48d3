/* How does one big packet of the host become packets that fit? */
#include "esp/segment.h"

#include "esp/checksum.h"
#include "esp/tcp.h"

#include <errno.h>
#include <netinet/in.h>

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
