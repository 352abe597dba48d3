/* tred's end of a process that carries out orders: tred-net, which it connects to, or tred-esp,
 * which it starts. Nothing here waits: an order's answer comes to a callback, from the event loop.
 */
#pragma once

#include "dataplane/order.h"

#include <systemd/sd-event.h>

typedef struct OrderLink OrderLink;

/* How long an order may take from being given to being answered, in microseconds. What either
 * process does is a matter of milliseconds; a bus caller waits for 25 s. */
enum { ORDER_DEADLINE_US = 5 * 1000 * 1000 };

typedef struct OrderLinkCallbacks {
    void (*event)(const DataPlaneEvent *event, void *userdata);
    /* Once, when the helper has ended, has not answered by an order's deadline, or says what is no
     * answer: `reason` tells which. No order is answered from then on. It may free the helper. */
    void (*lost)(const char *reason, void *userdata);
    void *userdata;
} OrderLinkCallbacks;

/* Gives a helper up that does what it should not: `lost` is called with `reason`, from the event
 * loop. */
void order_link_give_up(OrderLink *link, const char *reason);

/* Called once for an order, unless the helper is lost or freed before. `fd` came with the answer,
 * or is -1: the callback may take it over by setting it to -1. */
typedef void (*OrderAnswered)(const Answer *answer, int *fd, uint64_t cookie, void *userdata);

/* Starts `path` with nothing but a socket pair, /dev/null and our standard error, and `argument`
 * unless it is NULL. `name` is what it is called in reasons; borrowed. Returns 0 or -errno. */
int order_link_start(const char *name, const char *path, const char *argument, sd_event *event,
                     const OrderLinkCallbacks *callbacks, OrderLink **ret);

/* Connects to the socket at `path`. Returns 0 or -errno. */
int order_link_connect(const char *name, const char *path, sd_event *event,
                       const OrderLinkCallbacks *callbacks, OrderLink **ret);

/* Leaves one order without secrets at whoever listens at `path`, for when there is no event loop
 * any more and the answer does not matter. Returns 0 or -errno. */
int order_link_leave(const char *path, const Order *order);

/* Closes the connection; a helper that was started is ended and waited for. */
void order_link_free(OrderLink *link);
DEFINE_POINTER_CLEANUP(OrderLink, order_link_free);

/* `ORDER_DEADLINE_US` from now: the deadline for all orders of one request together. */
uint64_t order_link_deadline(void);

/* Gives an order, with `fd` beside it unless it is -1, to be answered by `deadline`. `answered` may
 * be NULL; `cookie` and `userdata` are handed to it. An order that can't be sent is a helper that
 * is lost.
 */
void order_link_give(OrderLink *link, const Order *order, int fd, uint64_t deadline,
                     OrderAnswered answered, uint64_t cookie, void *userdata);

/* The same for one whose answer tells nothing that would matter: it is only to come in time. */
static inline void order_link_tell(OrderLink *link, const Order *order)
{
    order_link_give(link, order, -1, order_link_deadline(), NULL, 0, NULL);
}
