/* An SA, with its sequence numbers and its window against replay. */
#pragma once

#include "dataplane/order.h"
#include "esp/packet.h"

#include <stdbool.h>
#include <stdint.h>

/* All zero but `esn` is the counter of a fresh SA. */
typedef struct SequenceCounter {
    bool esn;      /* 64 bits instead of 32 */
    uint64_t last; /* the last number given out; the first is 1 */
} SequenceCounter;

/* True when every number has been given out: one more would repeat the IV of an AEAD suite. */
bool sequence_is_used_up(const SequenceCounter *counter);

/* The next number; the counter must not be used up. */
uint64_t sequence_next(SequenceCounter *counter);

enum {
    REPLAY_WINDOW = 1024
}; /* packets; wider than the largest burst that one UDP read can hold */

/* All zero is the window of a fresh SA. */
typedef struct ReplayWindow {
    uint64_t highest; /* the highest number authenticated; 0: none yet (numbers begin at 1) */
    uint64_t
        seen[REPLAY_WINDOW / 64]; /* bit n: the number in the window that is n modulo its size */
} ReplayWindow;

/* The whole sequence number of a packet that carries its low half: with `esn` the one nearest to
 * the window (RFC 4303 A2.2), else the low half itself. */
uint64_t replay_window_infer(const ReplayWindow *window, uint32_t low, bool esn);

/* True if `sequence` is neither left of the window nor seen. To be asked before the ICV is checked.
 */
bool replay_window_is_fresh(const ReplayWindow *window, uint64_t sequence);

/* Marks a fresh number as seen. Only for a packet whose ICV was right. */
void replay_window_mark(ReplayWindow *window, uint64_t sequence);

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

/* What it has given out of its numbers; for tests, which can't use up 2^32 of them. */
SequenceCounter *sa_sequence(Sa *sa);

uint32_t sa_spi_in(const Sa *sa);
uint32_t sa_transport(const Sa *sa);
size_t sa_interface(const Sa *sa); /* its place */
int sa_fd(const Sa *sa);
const struct sockaddr_storage *sa_remote(const Sa *sa);

/* What an SA is to a packet's DSCP. Of the SAs whose selectors take it in one of the first of these
 * sends it. DSCP is no selector (RFC 4301 4.4.1.1): what no other SA is left for goes by one of the
 * last, too. */
typedef enum SaDscp {
    SA_DSCP_NAMED, /* it is named for this DSCP, and can send */
    SA_DSCP_ANY,   /* it is named for none */
    SA_DSCP_OTHER, /* it is named for others, or for this one and at its end */
} SaDscp;

SaDscp sa_dscp(const Sa *sa, const Packet *packet, uint64_t now_ms);

/* Which SA sends where several could: the first of these. */
typedef enum SaRank { SA_SENDS, SA_STANDBY, SA_EXPIRED } SaRank;

SaRank sa_rank(const Sa *sa, uint64_t now_ms);

/* It is in standby no more. */
void sa_use(Sa *sa);

/* True of one in standby that has let an authentic packet in: its peer has it, then, and whoever
 * answered the rekeying may send by it (RFC 7296 2.8). */
bool sa_is_awaited(const Sa *sa);

/* Sends from now on by the socket `fd`, of path->transport, to path->remote. */
void sa_move(Sa *sa, const SaPath *path, int fd);

/* How narrow the SA's selectors are that take in a packet of the host; -1: none do. */
int sa_narrowness(const Sa *sa, const Packet *packet);

/* Octets before the inner packet, and of the whole ESP packet around `inner_size` octets. */
size_t sa_front_size(const Sa *sa);
size_t sa_sealed_size(const Sa *sa, size_t inner_size);

/* The octet of DSCP and ECN for the IP packet around `packet`. */
uint8_t sa_outer_class(const Sa *sa, const Packet *packet);

/* Seals the inner packet of IP version `version` at `buffer + sa_front_size()` in place with the
 * next sequence number. Returns 0, SA_E_EXPIRED or -EIO. */
int sa_seal(Sa *sa, uint8_t version, uint8_t *buffer, size_t inner_size, uint64_t now_ms);

/* Opens the ESP packet at `buffer` in place; `low` is the sequence number in its header,
 * `outer_ecn` the ECN of the IP packet around it. On success *ret is the inner packet, checked
 * against the selectors, with the ECN of both. Returns 0, SA_E_EXPIRED, SA_E_DROPPED, SA_E_DUMMY or
 * -EIO. */
int sa_open(Sa *sa, uint32_t low, uint8_t outer_ecn, uint8_t *buffer, size_t size, uint64_t now_ms,
            Packet *ret);

/* True if an event is due: soft lifetime once, hard lifetime once. */
bool sa_event(Sa *sa, uint64_t now_ms, DataPlaneEvent *ret);

/* When the next event comes by time alone; UINT64_MAX: none does. */
uint64_t sa_next_event_ms(const Sa *sa);

void sa_counters(const Sa *sa, uint64_t now_ms, SaCounters *ret);
