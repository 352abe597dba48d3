/* Joins TCP segments that follow each other into one packet for the TUN: the half of receive
 * offload that the host's stack, or a network card, would do. One stream at a time; what does not
 * join passes unchanged. */
#pragma once

#include "esp/packet.h"

#include <linux/virtio_net.h>
#include <sys/uio.h>

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
