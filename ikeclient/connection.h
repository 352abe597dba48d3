/* The tunnel that the operator wants: one IKE SA in use, one that is to replace it or to become the
 * first, and those that are on their way out. */
#pragma once

#include "base/cleanup.h"
#include "ikeclient/ike_sa.h"

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

/* ---- what follows from what there is ---- */

/* All that decides what a connection does next. */
typedef struct ConnectionFacts {
    bool wanted;  /* the operator wants a connection */
    bool repeat;  /* attempts are repeated by themselves */
    bool asked;   /* an attempt is to be made whatever there is, and without a wait */
    bool ready;   /* the wait since the last failure is over */
    bool up;      /* an IKE SA is in use … */
    bool child;   /* … with a Child SA … */
    bool renewal; /* … that is due to be replaced */
    bool attempt; /* another IKE SA is being made */
    bool leaving; /* there are IKE SAs on their way out */
} ConnectionFacts;

typedef struct ConnectionPlan {
    ConnectionState state;
    bool begin; /* an attempt, now */
    bool wait;  /* for the time of the next attempt: a timer is to be set */
    bool close; /* all IKE SAs that there are */
} ConnectionPlan;

/* The state is derived, never kept: whatever has happened before, a connection that is wanted has
 * its Child SA, or an attempt under way or begun now, or a timer that leads to one, unless attempts
 * are not to be repeated. */
ConnectionPlan connection_plan(const ConnectionFacts *facts);

/* ---- a connection ---- */

typedef struct ConnectionHandlers {
    void (*changed)(void *userdata); /* anything of connection_info() */
    void (*established)(void *userdata);
    void (*closed)(void *userdata, const char *reason); /* idle or waiting now */
} ConnectionHandlers;

typedef struct ConnectionInfo {
    ConnectionState state;
    const char *state_name; /* "established-no-child" */
    const char *last_error; /* why the last SA failed or ended; "" if none has */
    IkeSaInfo sa;           /* the one in use, else the one that is being made; else zeroed */
} ConnectionInfo;

/* All but `ret` is borrowed and must outlive it. 0 or a negative errno. */
int connection_new(sd_event *event, Tre *tre, const Config *config,
                   const ConnectionHandlers *handlers, void *userdata, Connection **ret);
void connection_free(Connection *connection);
DEFINE_POINTER_CLEANUP(Connection, connection_free);

/* Connects. Where there is an established SA a second one is made, and the first one is deleted
 * once that is up: by the SeGW (step 7), or by us if it does not. While connecting or closing: does
 * nothing. */
void connection_open(Connection *connection);

/* Deletes what there is, within 5 s; no new attempts after that. */
void connection_close(Connection *connection);

/* Whether to try again after failure and loss, whatever the configuration says: true at first. */
void connection_allow_retry(Connection *connection, bool allow);

/* tred has gone (`exchange` NULL) or closed that exchange. */
void connection_lose(Connection *connection, const char *exchange, const char *reason);

/* A Child SA of that exchange is due: a second connection replaces it, as rekeying by a new
 * authentication (RFC 7296 2.8.3). */
void connection_renew(Connection *connection, const char *exchange);

void connection_info(const Connection *connection, ConnectionInfo *ret);
