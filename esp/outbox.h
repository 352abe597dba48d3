/* ESP packets on their way out: packets of one size to one peer that stand behind each other leave
 * in one piece (UDP_SEGMENT), and all pieces in one system call. */
#pragma once

#include "base/cleanup.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    OUTBOX_RUNS_MAX = 64,
    OUTBOX_SIZE = 192 * 1024,
    OUTBOX_PACKET_MAX = 65535,
};

typedef struct Outbox Outbox;

/* Returns 0 or -ENOMEM. */
int outbox_new(Outbox **ret);
void outbox_free(Outbox *outbox);
DEFINE_POINTER_CLEANUP(Outbox, outbox_free);

/* Room for a packet of `size` octets (at most OUTBOX_PACKET_MAX) to be sent by socket `fd`; what is
 * waiting is sent first where it has to be. The room lasts until the next call. */
uint8_t *outbox_reserve(Outbox *outbox, int fd, size_t size);

/* Queues what was written into the room. `to` is borrowed until outbox_flush(). */
void outbox_commit(Outbox *outbox, const struct sockaddr_storage *to, size_t size);

/* Sends all that waits. The socket may block: a TUN that is not read is what slows the host down.
 */
void outbox_flush(Outbox *outbox);

/* How many packets could not be sent so far. */
uint64_t outbox_failures(const Outbox *outbox);
