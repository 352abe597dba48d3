/* The user-space data plane itself: a few TUNs and UDP sockets, and the SAs between
 * them. */
#pragma once

#include "dataplane/order.h"

#include <poll.h>

typedef struct Plane Plane;

enum { PLANE_POLL_MAX = DATAPLANE_INTERFACES_MAX + DATAPLANE_TRANSPORTS_MAX + 1 };

/* Returns 0 or -ENOMEM. */
int plane_new(Plane **ret);
void plane_free(Plane *plane);
DEFINE_POINTER_CLEANUP(Plane, plane_free);

/* Takes over `fd` (a TUN's, or -1 where none came along) and carries one order out, filling *ret.
 * Errors are the order's: -EEXIST, -ENOENT, -ENOSPC, -EBADF (descriptor missing), -EINVAL (no
 * such interface, no keys), -ENOMEM, -EIO. */
void plane_carry_out(Plane *plane, const Order *order, int fd, Answer *ret);

/* What to poll for; returns the number of entries filled in. */
size_t plane_poll(const Plane *plane, struct pollfd polled[PLANE_POLL_MAX]);

/* How long poll() may sleep, in ms; -1: for ever. */
int plane_timeout(const Plane *plane);

/* Moves what poll() found to be there, up to a batch in each direction. Returns 0 or -errno if a
 * descriptor or the crypto library is broken. */
int plane_forward(Plane *plane, const struct pollfd *polled, size_t n_polled);

/* The next event due, if any. */
bool plane_event(Plane *plane, DataPlaneEvent *ret);
