/* NAT detection (RFC 7296 2.23). */
#pragma once

#include "ikeclient/endpoint.h"
#include "ikewire/message.h"

enum { NAT_HASH_SIZE = 20 };

/* SHA-1(SPIi | SPIr | address | port) into `hash` (NAT_HASH_SIZE octets). */
void nat_hash(uint64_t spi_i, uint64_t spi_r, const Endpoint *endpoint, uint8_t *hash);

typedef struct NatFinding {
    bool supported; /* the peer sent notifies of both kinds */
    bool here;      /* our address is not the one that the peer sees */
    bool there;     /* the peer's address is not the one that we see */
} NatFinding;

/* What the notifies of an IKE_SA_INIT response say of the path between `local` and `remote`.
 * Several SOURCE notifies are allowed; one that fits is enough. */
NatFinding nat_find(const IkeMessage *response, const Endpoint *local, const Endpoint *remote);
