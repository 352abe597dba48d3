/* Packets cut and joined, as a network card's offload would. */
#pragma once

#include "base/bytes.h"
#include "esp/packet.h"

#include <linux/virtio_net.h>
#include <sys/uio.h>

/* Adds `bytes` to a running sum. Only the last piece of a whole may have an odd size. */
uint64_t checksum_add(uint64_t sum, Bytes bytes);

/* Adds one 16-bit number to a running sum. */
uint64_t checksum_add_u16(uint64_t sum, uint16_t value);

/* The sum folded to 16 bits, as a number (to be written in network order), not complemented. */
uint16_t checksum_fold(uint64_t sum);

/* Adds the pseudo-header of TCP and UDP (RFC 9293 3.1, RFC 8200 8.1): both addresses, protocol and
 * the upper-layer size. */
uint64_t checksum_add_pseudo(uint64_t sum, Bytes source, Bytes destination, uint8_t protocol,
                             uint32_t size);

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

uint16_t read_u16_at(Bytes bytes, size_t offset); /* 0 beyond the end */
uint32_t read_u32_at(Bytes bytes, size_t offset);

typedef struct Segmenter {
    const Packet *packet;
    bool tcp_segmentation;
    bool checksum_needed;
    size_t checksum_start;
    size_t checksum_offset;
    size_t headers_size; /* IP and TCP */
    size_t payload_size; /* of all segments but the last */
    size_t position;     /* of the next segment's payload, or of the packet's end */
} Segmenter;

/* `packet` is borrowed. Returns 0, or -EBADMSG if header and packet do not fit together. */
int segmenter_init(Segmenter *segmenter, const struct virtio_net_hdr *header, const Packet *packet);

/* The next segment's size; 0 after the last. */
size_t segmenter_next_size(const Segmenter *segmenter);

/* Writes the next segment to `buffer` (segmenter_next_size() octets). */
void segmenter_write(Segmenter *segmenter, uint8_t *buffer);

enum { COALESCE_PACKETS_MAX = 64 };

/* Holds one packet made of parts that stay where they are. All zero is empty. */
typedef struct Coalescer {
    Packet first;
    uint8_t *first_octets;
    size_t headers_size; /* IP and TCP; 0: the packet can't be joined to */
    size_t payload_size; /* of the first packet: none after it may be longer */
    size_t size;
    uint32_t next_sequence;
    uint16_t next_id;
    bool closed;   /* a shorter packet or PSH ended it */
    bool verified; /* the first packet's TCP checksum was found right */
    size_t n_packets;
    struct iovec parts[1 + COALESCE_PACKETS_MAX]; /* the first is tun_write()'s */
} Coalescer;

/* Takes a packet in, borrowing its octets (writable; they are packet->bytes) until the coalescer is
 * emptied. False if it does not join what is held: write that out first. */
bool coalescer_add(Coalescer *coalescer, const Packet *packet, uint8_t *octets);

/* Finishes the packet held: its headers now fit the whole. Its parts are parts[1…n_packets]. */
void coalescer_finish(Coalescer *coalescer, struct virtio_net_hdr *ret_header);
