/* The addresses that an end of an IKE SA has beside the one in use (RFC 4555 3.4, 3.6). */
#pragma once

#include "ikeclient/endpoint.h"

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
