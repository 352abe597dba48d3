/* Cuts what one read of the TUN gave into packets that fit the interface's MTU, and completes their
 * checksums: the half of TCP segmentation offload that a network card would do. */
#pragma once

#include "esp/packet.h"

#include <linux/virtio_net.h>

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
