/* What our CREATE_CHILD_SA requests (RFC 7296 1.3) have in common. Which Child SA they are about
 * follows from what there is when their turn comes. */
#pragma once

#include "ikeclient/create.h"
#include "ikeclient/task.h"

extern const TaskKind rekey_child_task; /* of the first one that is due (rekey_child.c) */

/* The first Child SA that is to be replaced by us; NULL: there is none. */
ChildSa *rekey_due_child(const IkeSa *sa);

/* The group of the KE that our request for a Child SA has; IKE_GROUP_NONE: it has none. */
uint16_t rekey_group(const IkeSa *sa);

/* True if the peer asks for another group than `tried`, which it can have, by *wanted: our request
 * is to be made again. Not for ever. */
bool rekey_takes_group(IkeSa *sa, const CreateAnswer *answer, uint16_t tried, uint16_t *wanted);

/* Takes in that the peer refused to rekey: it is asked again later, or with another group, which
 * goes to *wanted, or not at all. `tried` is the group of our KE. */
void rekey_refused(IkeSa *sa, const CreateAnswer *answer, uint16_t tried, uint16_t *wanted);

/* It can't be rekeyed: has another authentication replace it. */
void rekey_renew(IkeSa *sa, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes in that rekeying goes on. */
void rekey_succeeded(IkeSa *sa);

/* Puts a Child SA that tred has added into the SA's list, and says who deletes what. 0 or -ENOMEM.
 */
typedef struct NewChild {
    uint32_t spi_in;
    uint32_t replaces; /* its place goes over … */
    unsigned place;    /* … and where it replaces none, it has this one */
    bool by_peer;
    const ChildAnswer *answer;
    const Nonce *lowest;
} NewChild;
int rekey_add_child(IkeSa *sa, const NewChild *new);

/* Has tred send by the Child SA that receives at `spi_in`. */
void rekey_use_child(IkeSa *sa, uint32_t spi_in);

/* Which one is to send before `spi_in` is deleted: the one that the peer has made in its place, as
 * the peer is known to have that now; or, where it is the redundant one of two, ours, as the peer
 * may have sent by the redundant one, and tred then, too. 0: what sends goes on. */
uint32_t rekey_next_child(const IkeSa *sa, uint32_t spi_in);

/* One that is to go, as another was made at the same time and stays, is in standby until it is
 * used: else its next packet would have it send. Before rekey_use_child() of what sends in its
 * place. */
void rekey_end_standby(IkeSa *sa, uint32_t spi_in);

/* Has tred remove a Child SA of `sa`, and forgets it, with those that linger because it was in
 * their place. */
void rekey_remove_child(IkeSa *sa, uint32_t spi_in);

/* The same for one that is deleted at the peer; where another with the same selectors is in its
 * place, it receives for a little while yet, and no longer than that other is there. */
void rekey_let_go(IkeSa *sa, uint32_t spi_in);

/* Removes those whose time is over; returns when the next one's is, UINT64_MAX: there is none. */
uint64_t rekey_sweep(IkeSa *sa);
