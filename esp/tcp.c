/* What do the IP and TCP headers of a packet say about its size, and how is that changed? */
#include "esp/tcp.h"

#include "esp/checksum.h"

#include <errno.h>
#include <netinet/in.h>

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

void ip_set_size(Writer *writer, const Packet *packet, size_t size)
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
