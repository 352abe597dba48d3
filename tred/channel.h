/* Connections past the bus daemon: an IKE client that may begin exchanges may have one, over which
 * it makes the same calls, and each takes half of the way. Whose it is was settled on the bus,
 * whose policy admits OpenChannel, and does not change: what is called over it is called by the
 * unique name that asked for it, and it ends when that name leaves the bus. Of the Manager it has
 * BeginExchange, and nothing that the bus policy keeps for others. Signals, and what describes the
 * device, go over the bus alone, where they stay in order. */
#pragma once

#include "tred/context.h"

enum {
    CHANNELS_MAX = 16,       /* of all callers; each has four descriptors */
    CHANNEL_UNREAD_MAX = 64, /* answers that nobody takes; one more ends the channel */
};

/* Makes one for `name`, in place of any that it has. *ret_fd is the caller's end, to be closed once
 * it is sent. 0, -EBUSY (CHANNELS_MAX), or another -errno. */
int channel_open(Daemon *daemon, const char *name, int *ret_fd);

/* Ends that of `name`, if there is one. */
void channel_close(Daemon *daemon, const char *name);

void channels_close_all(Daemon *daemon);
