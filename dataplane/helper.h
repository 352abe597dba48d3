/* tred's end of tred-esp: starts it, gives it orders, and passes its events on. */
#pragma once

#include "dataplane/order.h"

#include <systemd/sd-event.h>

typedef struct Helper Helper;

/* Starts `path` with nothing but a socket pair, /dev/null and our standard error. `callback` is
 * called from the event loop: for each event, and once with DATAPLANE_LOST if the helper ends.
 * Returns 0 or -errno. */
int helper_new(const char *path, sd_event *event, DataPlaneCallback callback, void *userdata,
               Helper **ret);

/* Ends the helper and waits until it is gone. */
void helper_free(Helper *helper);
DEFINE_POINTER_CLEANUP(Helper, helper_free);

/* Sends an order, with `fd` beside it unless it is -1, and waits for its answer, which `ret` may be
 * NULL for. Returns 0, the order's own -errno, -ETIMEDOUT, or -EPIPE if the helper is gone. */
int helper_call(Helper *helper, const Order *order, int fd, Answer *ret);
