/* Inner packets and SAs for tests of the data plane. */
#pragma once

#include "dataplane/order.h"

#include <linux/virtio_net.h>

enum { INNER_SIZE_MAX = 65535, TCP_ACK = 0x10, TCP_PSH = 0x08, TCP_FIN = 0x01 };

typedef struct TcpPacket {
    uint8_t version; /* 4: 10.0.0.1 to 10.0.0.2; 6: fd00::1 to fd00::2 */
    uint16_t id;     /* IPv4 */
    uint32_t sequence;
    uint8_t flags;
    uint8_t traffic_class;
    uint16_t source_port;
    size_t payload_size;
    uint8_t payload_start; /* the payload counts up from it */
} TcpPacket;

/* Writes the packet with right checksums, a timestamp option in it. Returns its size. */
size_t tcp_packet_write(const TcpPacket *packet, uint8_t *buffer);

/* The packet's headers and payload as the host hands them over to be segmented: checksum of the
 * pseudo-header alone. Fills *ret_header in. Returns the size. */
size_t tcp_packet_write_for_segmentation(const TcpPacket *packet, uint16_t segment_size,
                                         uint8_t *buffer, struct virtio_net_hdr *ret_header);

/* An order with keys 00 01 02 …, for both directions the same, and selectors for all addresses. */
SaOrder *sa_order_new(uint16_t encr, uint16_t key_bits, uint16_t integ, bool esn);
void sa_order_free(SaOrder *order);
DEFINE_POINTER_CLEANUP(SaOrder, sa_order_free);
