/* Packets between the host, the network and us, in the fewest system calls. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { TUN_PACKET_MAX = 65535 };

/* Reads one packet into `buffer` (TUN_PACKET_MAX octets). Returns its size, -EAGAIN, or another
 * -errno. */
int tun_read(int fd, struct virtio_net_hdr *ret_header, uint8_t *buffer);

/* Writes one packet, given in parts (1 to IOV_MAX - 1 of them, the first of `parts` being left free
 * for the header). Returns 0 or -errno. */
int tun_write(int fd, const struct virtio_net_hdr *header, struct iovec *parts, size_t n_parts);

enum { INBOX_RUNS_MAX = 32, INBOX_RUN_SIZE = 65536 };

typedef struct Inbox Inbox;

/* Datagrams of segment_size octets each; the last one may be shorter. */
typedef struct InboxRun {
    uint8_t *data;
    size_t size;
    size_t segment_size;
    uint8_t traffic_class; /* DSCP and ECN of the IP packets */
} InboxRun;

/* Returns 0 or -ENOMEM. */
int inbox_new(Inbox **ret);
void inbox_free(Inbox *inbox);
DEFINE_POINTER_CLEANUP(Inbox, inbox_free);

/* Receives what is there without waiting. Returns the number of runs (at most INBOX_RUNS_MAX) or
 * -errno
 * (-EAGAIN: nothing). Earlier runs are gone. */
int inbox_receive(Inbox *inbox, int fd);
InboxRun inbox_run(const Inbox *inbox, unsigned index);

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

/* Queues what was written into the room, for an IP packet with that octet of DSCP and ECN. `to` is
 * borrowed until outbox_flush(). */
void outbox_commit(Outbox *outbox, const struct sockaddr_storage *to, uint8_t traffic_class,
                   size_t size);

/* Sends all that waits. The socket may block: a TUN that is not read is what slows the host down.
 */
void outbox_flush(Outbox *outbox);

/* How many packets could not be sent so far. */
uint64_t outbox_failures(const Outbox *outbox);
