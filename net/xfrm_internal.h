/* What xfrm.c and xfrm_move.c share, and nobody else. */
#pragma once

#include "net/xfrm.h"

#include <netinet/in.h>

xfrm_address_t xfrm_address(const struct sockaddr_storage *address);

/* Begins a message about the state that this names. */
struct nlmsghdr *xfrm_begin_state(Netlink *netlink, uint16_t type,
                                  const struct sockaddr_storage *destination, uint32_t spi);

/* Begins a message that changes what a state tells, or has counted. */
struct nlmsghdr *xfrm_begin_aevent(Netlink *netlink, const struct sockaddr_storage *destination,
                                   uint32_t spi);

/* Of no packet is anybody told: left to itself the kernel tells of every second one, as soon as
 * anybody listens. */
void xfrm_put_silence(struct nlmsghdr *header);

/* ESP in UDP from the port of `source` to that of `destination` (RFC 3948). */
void xfrm_put_encapsulation(struct nlmsghdr *header, const struct sockaddr_storage *source,
                            const struct sockaddr_storage *destination);
