/* What the IKE client's tests share: messages made by hand. */
#pragma once

#include "ikeclient/endpoint.h"
#include "ikewire/message.h"

Endpoint endpoint_of(const char *literal, uint16_t port);

/* A payload chain that is being written; its octets live in the struct. */
typedef struct Draft {
    uint8_t octets[4096];
    Writer writer;
    IkeChain chain;
} Draft;

void draft_begin(Draft *draft);
Bytes draft_octets(const Draft *draft);
void draft_payloads(const Draft *draft, IkePayloads *ret);

/* A whole clear message. */
void draft_begin_message(Draft *draft, uint64_t spi_i, uint64_t spi_r, uint8_t exchange_type,
                         uint8_t flags, uint32_t message_id);
Bytes draft_end_message(Draft *draft);

/* What a SeGW answers to an IKE_SA_INIT request: its first proposal with one transform of each
 * type, KE in `group`, Nr; NAT detection as seen between `segw` and `henb` unless they are NULL. */
Bytes draft_init_response(Draft *draft, const IkeSaPayload *offer, uint64_t spi_i, uint16_t group,
                          const Endpoint *segw, const Endpoint *henb);

enum { TEST_SPI_R = 0x5252 };
