/* How large an ESP packet is around an inner packet, and the reverse (RFC 4303 2). */
#pragma once

#include "crypto/suite.h"

#include <stddef.h>

enum {
    ESP_HEADER_SIZE = 8,  /* SPI and the low half of the sequence number */
    ESP_TRAILER_SIZE = 2, /* Pad Length and Next Header */
};

/* To a multiple of this the inner packet and its trailer are padded. */
size_t esp_alignment(const Cipher *cipher);

size_t esp_icv_size(const EspSuite *suite);

/* The trailer's padding included: what is encrypted of an inner packet of `inner_size` octets. */
size_t esp_body_size(const EspSuite *suite, size_t inner_size);

/* The whole ESP packet's size for an inner packet of `inner_size` octets. */
size_t esp_packet_size(const EspSuite *suite, size_t inner_size);

/* The largest inner packet whose ESP packet fits into `room` octets; 0 if none does. */
size_t esp_inner_max(const EspSuite *suite, size_t room);
