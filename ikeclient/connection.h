/* The tunnel that the operator wants: one IKE SA in use, one that is to replace it or to become the
 * first, and those that are on their way out. */
#pragma once

#include "base/cleanup.h"
#include "ikeclient/ike_sa.h"
#include "ikeclient/report.h"

#include <time.h>

typedef struct Connection Connection;

typedef enum ConnectionState {
    CONNECTION_IDLE,
    CONNECTION_CONNECTING,
    CONNECTION_ESTABLISHED,
    CONNECTION_ESTABLISHED_NO_CHILD,
    CONNECTION_WAITING, /* to try again */
    CONNECTION_CLOSING,
    CONNECTION_STATES
} ConnectionState;

typedef struct ConnectionHandlers {
    void (*changed)(void *userdata); /* anything of connection_info() */
    void (*established)(void *userdata);
    void (*closed)(void *userdata, const char *reason); /* idle or waiting now */
    /* Whether it is an inner address of any connection's (connection_has_inner()). */
    bool (*is_inner)(void *userdata, const Endpoint *address);
    /* Whether another connection has an IKE SA there (connection_has_sa_with()). */
    bool (*others_have_sa_with)(void *userdata, const Endpoint *segw);
} ConnectionHandlers;

/* Counted since this process was started. */
typedef struct ConnectionTotals {
    uint64_t attempts;    /* begun */
    uint64_t established; /* IKE SAs that came up, replacements among them */
    uint64_t failures;    /* attempts that led to none */
    uint64_t losses;      /* IKE SAs in use that ended, and not by us */
} ConnectionTotals;

typedef struct ConnectionInfo {
    ConnectionState state;
    const char *state_name; /* "established-no-child" */
    const char *last_error; /* why the last SA failed or ended; "" if none has */
    time_t since;           /* when the SA in use was established; 0: there is none */
    time_t next_attempt;    /* while it waits; else 0 */
    const Flow *flow;       /* of the last attempt; the connection's own */
    ConnectionTotals totals;
    const Config *config;
    IkeSaInfo sa; /* the one in use, else the one that is being made; else zeroed */
} ConnectionInfo;

/* All but `ret` is borrowed and must outlive it. 0 or a negative errno. */
int connection_new(sd_event *event, Tre *tre, const Config *config,
                   const ConnectionHandlers *handlers, void *userdata, Connection **ret);
void connection_free(Connection *connection);
DEFINE_POINTER_CLEANUP(Connection, connection_free);

/* Connects. Where there is an established SA a second one is made, and the first one is deleted
 * once that is up: by the SeGW (step 7), or by us if it does not. While connecting: does nothing.
 * While closing: connects when that has ended. */
void connection_open(Connection *connection);

/* Connects as soon as that may be after attempts that failed, before a restart too. Does nothing
 * after connection_open() or connection_close(): the operator's word goes before the turn. */
void connection_start(Connection *connection);

/* Remembers failed attempts in a file in `folder`, its own by its name, over restarts. 0 or
 * -ENOMEM.
 */
int connection_remember(Connection *connection, const char *folder);

/* Deletes what there is, within 5 s; no new attempts after that, and no start. A SeGW that had
 * redirected to another one (RFC 5685) is asked anew by the next connection_open(). */
void connection_close(Connection *connection);

/* Whether to try again after failure and loss, whatever the configuration says: true at first. */
void connection_allow_retry(Connection *connection, bool allow);

/* tred has gone (`exchange` NULL) or closed that exchange. */
void connection_lose(Connection *connection, const char *exchange, const char *reason);

/* The Child SA that receives at `spi_in` is due, and is rekeyed; or it is at its end (`hard`): then
 * a second connection replaces it, as rekeying by a new authentication (RFC 7296 2.8.3). */
void connection_child_due(Connection *connection, uint32_t spi_in, bool hard);

/* Rekeys all Child SAs of what is in use, or its IKE SA. */
void connection_rekey(Connection *connection, bool ike);

/* A certificate that the exchange rests on ends in `seconds`: a second connection takes its place
 * before that, and rests on what there is then. */
void connection_expires(Connection *connection, const char *exchange, uint64_t seconds);

/* The kernel says that addresses, links or routes have changed. */
void connection_look_around(Connection *connection);

/* True if it is an inner address of an IKE SA that is there still, be it on its way out. */
bool connection_has_inner(const Connection *connection, const Endpoint *address);

/* True if an IKE SA is there, be it on its way in or out, with the SeGW of that address; the port
 * does not matter. */
bool connection_has_sa_with(const Connection *connection, const Endpoint *segw);

/* As its section has it; "default" without one. */
const char *connection_name(const Connection *connection);

void connection_info(const Connection *connection, ConnectionInfo *ret);
