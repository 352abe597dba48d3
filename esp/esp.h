/* One direction of one ESP SA on the wire (RFC 4303): seals and opens single packets in place.
 * Sequence numbers come from outside; who may use which is the business of esp/sa.h. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"
#include "crypto/secret.h"
#include "crypto/suite.h"

#include <stddef.h>
#include <stdint.h>

enum {
    /* Pad Length, Next Header, and padding to a block, or to 4 octets (RFC 4303 2.4) */
    ESP_TRAILER_SIZE_MAX = 2 + (IKE_CIPHER_BLOCK_MAX > 4 ? IKE_CIPHER_BLOCK_MAX : 4) - 1,
    ESP_OVERHEAD_MAX = ESP_HEADER_SIZE + IKE_CIPHER_IV_MAX + ESP_TRAILER_SIZE_MAX + IKE_ICV_MAX,
};

enum { /* RFC 4303 2.6: Next Header in tunnel mode */
       ESP_NEXT_IPV4 = 4,
       ESP_NEXT_IPV6 = 41,
       ESP_NEXT_DUMMY = 59,
};

enum {                      /* positive: what is wrong with a packet that came in */
       ESP_E_MALFORMED = 1, /* too short, or not a whole number of cipher blocks */
       ESP_E_NOT_AUTHENTIC,
       ESP_E_PADDING, /* authentic, but its padding is not 1, 2, 3, … (RFC 4303 2.4) */
};

typedef struct Esp Esp;

typedef enum EspDirection { ESP_INBOUND, ESP_OUTBOUND } EspDirection;

/* `encr` holds the key and, with AEAD, the salt behind it; `integ` is NULL with AEAD. Both may be
 * released afterwards. Returns 0, -EINVAL if a key has not the suite's size, -ENOMEM or -EIO. */
int esp_new(EspDirection direction, const EspSuite *suite, uint32_t spi, const Secret *encr,
            const Secret *integ, Esp **ret);
void esp_free(Esp *esp);
DEFINE_POINTER_CLEANUP(Esp, esp_free);

/* Octets before the inner packet: ESP header and IV. */
size_t esp_front_size(const Esp *esp);

/* The whole ESP packet's size for an inner packet of `inner_size` octets. */
size_t esp_sealed_size(const Esp *esp, size_t inner_size);

/* (outbound) Seals the inner packet that stands at `buffer + esp_front_size()`; `buffer` has room
 * for esp_sealed_size() octets and holds the ESP packet afterwards. No (esp, sequence) may ever be
 * used twice: the IV of AEAD suites is the sequence number. Returns 0 or -EIO; nothing secret is
 * left in `buffer` then. */
int esp_seal(Esp *esp, uint64_t sequence, uint8_t next_header, uint8_t *buffer, size_t inner_size);

/* Reads SPI and low sequence half. Returns 0 or ESP_E_MALFORMED. */
int esp_peek(Bytes packet, uint32_t *ret_spi, uint32_t *ret_low);

/* (inbound) Opens the ESP packet at `buffer` in place. On success *ret_inner is the payload with
 * its trailer cut off, a view into `buffer`. Returns 0, ESP_E_… or -EIO. */
int esp_open(Esp *esp, uint64_t sequence, uint8_t *buffer, size_t size, Bytes *ret_inner,
             uint8_t *ret_next_header);
