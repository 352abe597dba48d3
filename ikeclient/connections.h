/* All connections of this process, each with its own state, SeGWs and waits, and what they share:
 * the way to tred, the kernel's word on addresses, and the client's face on the bus. */
#pragma once

#include "base/cleanup.h"
#include "ikeclient/config.h"
#include "ikeclient/connection.h"

#include <systemd/sd-bus.h>

typedef struct Connections Connections;

/* As ConnectionHandlers, for all of them; the bus has been told already. */
typedef struct ConnectionsHandlers {
    void (*established)(void *userdata, Connection *connection);
    void (*closed)(void *userdata, Connection *connection, const char *reason);
} ConnectionsHandlers;

/* One for each of `configs`. Everything is borrowed and must outlive it; `bus` is attached to
 * `event`. 0 or a negative errno. */
int connections_new(sd_event *event, sd_bus *bus, const Configs *configs,
                    const ConnectionsHandlers *handlers, void *userdata, Connections **ret);
void connections_free(Connections *connections);
DEFINE_POINTER_CLEANUP(Connections, connections_free);

/* The first one of the file. */
Connection *connections_first(const Connections *connections);

/* As connection_allow_retry(). */
void connections_allow_retry(Connections *connections, bool allow);

/* Connects each as soon as that may be, and a few of them at a time. Failed attempts are remembered
 * in a file for each in `folder`; NULL: with this process. */
void connections_start(Connections *connections, const char *folder);

/* Deletes all there is, within 5 s, and starts no more. */
void connections_close(Connections *connections);

/* True if none is there, or on its way. */
bool connections_are_idle(const Connections *connections);
