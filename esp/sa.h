/* A pair of ESP SAs as the user-space plane holds it: how long it may be used, what may pass it,
 * and what did. */
#pragma once

#include "dataplane/order.h"
#include "esp/packet.h"

typedef struct Sa Sa;

enum { /* positive */
       SA_E_EXPIRED =
           1, /* hard lifetime reached or sequence numbers used up: nothing passes any more */
       SA_E_DROPPED, /* this packet was not let in; counted */
       SA_E_DUMMY,   /* authentic, and meant to be dropped (RFC 4303 2.6) */
};

/* The keys are the order's; the SA keeps none of them but inside OpenSSL. `fd` is the ESP socket,
 * borrowed; `now_ms` is of CLOCK_MONOTONIC. Returns 0, -ENOMEM, -EINVAL or -EIO. */
int sa_new(const SaOrder *order, int fd, uint64_t now_ms, Sa **ret);
void sa_free(Sa *sa);
DEFINE_POINTER_CLEANUP(Sa, sa_free);

uint32_t sa_spi_in(const Sa *sa);
uint32_t sa_transport(const Sa *sa);
int sa_fd(const Sa *sa);
const struct sockaddr_storage *sa_remote(const Sa *sa);

/* True if the SA's selectors take in a packet of the host. */
bool sa_takes(const Sa *sa, const Packet *packet);

/* Octets before the inner packet, and of the whole ESP packet around `inner_size` octets. */
size_t sa_front_size(const Sa *sa);
size_t sa_sealed_size(const Sa *sa, size_t inner_size);

/* Seals the inner packet of IP version `version` at `buffer + sa_front_size()` in place with the
 * next sequence number. Returns 0, SA_E_EXPIRED or -EIO. */
int sa_seal(Sa *sa, uint8_t version, uint8_t *buffer, size_t inner_size, uint64_t now_ms);

/* Opens the ESP packet at `buffer` in place; `low` is the sequence number in its header. On success
 * *ret is the inner packet, checked against the selectors. Returns 0, SA_E_EXPIRED, SA_E_DROPPED,
 * SA_E_DUMMY or -EIO. */
int sa_open(Sa *sa, uint32_t low, uint8_t *buffer, size_t size, uint64_t now_ms, Packet *ret);

/* True if an event is due: soft lifetime once, hard lifetime once. */
bool sa_event(Sa *sa, uint64_t now_ms, DataPlaneEvent *ret);

/* True if events may come by time alone. */
bool sa_is_timed(const Sa *sa);

void sa_counters(const Sa *sa, uint64_t now_ms, SaCounters *ret);
