/* Where things stand in IP and TCP headers, for those who cut packets and join them. */
#pragma once

#include "esp/packet.h"

enum { /* offsets from the IP header; RFC 791 3.1, RFC 8200 3 */
       IPV4_TOTAL_LENGTH = 2,
       IPV4_ID = 4,
       IPV4_FLAGS = 6,
       IPV4_CHECKSUM = 10,
       IPV4_HEADER_SIZE = 20,
       IPV4_DONT_FRAGMENT = 0x40, /* in the octet at IPV4_FLAGS */
       IPV6_PAYLOAD_LENGTH = 4,
       IPV6_HEADER_SIZE = 40,
};

enum { /* offsets from the TCP header; RFC 9293 3.1 */
       TCP_SEQUENCE = 4,
       TCP_DATA_OFFSET = 12,
       TCP_FLAGS = 13,
       TCP_CHECKSUM = 16,
       TCP_HEADER_SIZE = 20,
};

enum {
    TCP_FLAG_FIN = 0x01,
    TCP_FLAG_PSH = 0x08,
    TCP_FLAG_ACK = 0x10,
};

/* The size of the TCP header of `packet`. Returns 0, or -EBADMSG if it is not TCP or is cut short.
 */
int tcp_header_size(const Packet *packet, size_t *ret);

/* Sets an IPv4 header's total length, or an IPv6 header's payload length, for a packet of `size`
 * octets in `writer`, and the IPv4 header's checksum. */
void ip_set_size(Writer *writer, const Packet *packet, size_t size);

uint16_t read_u16_at(Bytes bytes, size_t offset); /* 0 beyond the end */
uint32_t read_u32_at(Bytes bytes, size_t offset);
