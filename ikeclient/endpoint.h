/* One end of a UDP path, an IPv4 or IPv6 address and a port; and whether a NAT is between two of
 * them (RFC 7296 2.23). And sets of such addresses: an end of an IKE SA may have others beside the
 * one in use (RFC 4555 3.4, 3.6). */
#pragma once

#include "base/bytes.h"
#include "ikewire/message.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

typedef union Endpoint {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} Endpoint;

enum { ENDPOINT_TEXT_SIZE = INET6_ADDRSTRLEN + sizeof("[]:65535") };

/* An address literal ("192.0.2.1", "2001:db8::1"). 0, or -EINVAL if it is none. */
int endpoint_from_literal(const char *literal, uint16_t port, Endpoint *ret);

/* The size that system calls ask for. */
socklen_t endpoint_size(const Endpoint *endpoint);

uint16_t endpoint_port(const Endpoint *endpoint);
void endpoint_set_port(Endpoint *endpoint, uint16_t port);

/* The 4 or 16 octets of the address; borrowed from `endpoint`. */
Bytes endpoint_address(const Endpoint *endpoint);

/* Whether both are of one host, whatever their ports. */
bool endpoint_same_address(const Endpoint *a, const Endpoint *b);

/* Whether both are one port of one host. */
bool endpoint_equals(const Endpoint *a, const Endpoint *b);

/* "192.0.2.1:500" or "[2001:db8::1]:500" into `text` (ENDPOINT_TEXT_SIZE octets); returns `text`.
 */
const char *endpoint_text(const Endpoint *endpoint, char *text);

/* ---- NAT detection ---- */

enum { NAT_HASH_SIZE = 20 };

/* SHA-1(SPIi | SPIr | address | port) into `hash` (NAT_HASH_SIZE octets). */
void nat_hash(uint64_t spi_i, uint64_t spi_r, const Endpoint *endpoint, uint8_t *hash);

typedef struct NatFinding {
    bool supported; /* the peer sent notifies of both kinds */
    bool here;      /* our address is not the one that the peer sees */
    bool there;     /* the peer's address is not the one that we see */
} NatFinding;

/* What the notifies of an answer of the peer's say of the path between `local` and `remote`.
 * Several SOURCE notifies are allowed; one that fits is enough. */
NatFinding nat_find_in(uint64_t spi_i, uint64_t spi_r, const IkePayloads *payloads,
                       const Endpoint *local, const Endpoint *remote);

/* The same of a whole message. */
NatFinding nat_find(const IkeMessage *response, const Endpoint *local, const Endpoint *remote);

/* ---- the addresses that an end has beside the one in use ---- */

enum { ADDRESSES_MAX = 8 }; /* kept of each end; what is beyond is passed over */

/* A set; ports count for nothing, and are 0. */
typedef struct Addresses {
    size_t count;
    Endpoint list[ADDRESSES_MAX];
} Addresses;

bool addresses_have(const Addresses *set, const Endpoint *address);

/* Adds one that is not there yet, as far as there is room. */
void addresses_add(Addresses *set, const Endpoint *address);

/* Makes `set` of `first`, which has room whatever else there is, and of `rest`, as far as there is
 * room. Neither is part of `set`. */
void addresses_fill(Addresses *set, const Endpoint *first, const Addresses *rest);

bool addresses_equal(const Addresses *a, const Addresses *b);

/* This host's, but for those of loopback, link-local ones, and those of interfaces without a link
 * layer, which are tunnels: the inner address is none. 0 or a negative errno. */
int addresses_of_host(Addresses *ret);

/* Reads ADDITIONAL_IP4_ADDRESS, ADDITIONAL_IP6_ADDRESS and NO_ADDITIONAL_ADDRESSES of a message.
 * False if it has none of them, and so says nothing. An address of another size than its family's,
 * and one that is nobody's, is passed over. */
bool addresses_read(const IkePayloads *payloads, Addresses *ret);

/* Appends a notify for each. */
void addresses_write(const Addresses *set, IkeChain *chain);
