/* What a connection knows, shared by connection*.c and by nobody else. */
#pragma once

#include "base/reason.h"
#include "ikeclient/connection.h"
#include "ikeclient/resolver.h"
#include "ikeclient/retry.h"
#include "ikeclient/sa_list.h"
#include "ikeclient/targets.h"

enum { USEC_PER_MS = 1000, USEC_PER_SEC = 1000000 };

struct Connection {
    sd_event *event;
    Tre *tre;
    const Config *config;
    const ConnectionHandlers *handlers;
    void *userdata;

    /* the facts */
    bool wanted;
    bool wanted_next; /* as soon as all that is being closed is gone */
    bool told;        /* to open or to close: its turn to start is void */
    bool retry;
    bool asked;
    bool renewal;
    bool resolving; /* an attempt that has no IKE SA yet */
    SaList sas;
    Retry attempts;           /* that failed, and when the next one may begin */
    uint64_t not_deaf_before; /* when a deaf IKE SA may be replaced again, µs */
    uint64_t announced;       /* the not_before that was logged last */
    uint64_t close_deadline;  /* while closing; else SA_LIST_NEVER */
    Targets targets;          /* the SeGWs */
    Endpoint other;           /* to be tried beside the first address soon; family 0: none … */
    uint64_t race_at;         /* … and when, µs */
    Redirect redirect;        /* to where the next attempt goes; an empty name: nowhere … */
    Endpoint sent_by;         /* … and by whom; family 0: nobody */
    bool redirected;          /* the attempt that was begun last goes there */
    RedirectGuard redirections;
    bool returning;      /* an attempt is made at a SeGW that is preferred to the one in use */
    ChildAnswer granted; /* the last one: its addresses are asked for again */

    /* what others were told */
    ConnectionState shown;
    bool changed;     /* beside the state */
    bool established; /* not told yet */
    Reason reason;    /* why the last SA ended */
    Reason last_error;
    time_t since;        /* the SA in use was established */
    time_t next_attempt; /* not_before, for a person */
    Flow flow;
    ConnectionTotals totals;

    Resolver resolver;
    sd_event_source *timer;
    bool settling;
    bool again;
};

/* ---- connection.c: what a connection does next, and what state it is in ---- */

/* All that decides what a connection does next. */
typedef struct ConnectionFacts {
    bool wanted;  /* the operator wants a connection */
    bool repeat;  /* attempts are repeated by themselves */
    bool asked;   /* an attempt is to be made whatever there is, and without a wait */
    bool ready;   /* the wait since the last failure is over */
    bool up;      /* an IKE SA is in use … */
    bool child;   /* … with a Child SA … */
    bool renewal; /* … that is due to be replaced; or its authentication is */
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
 * are not to be repeated. What is due to be replaced is, whatever else is not to be repeated. */
ConnectionPlan connection_plan(const ConnectionFacts *facts);

/* ---- connection.c: the time, and what follows from what there is ---- */

/* Now, CLOCK_MONOTONIC, µs. */
uint64_t connection_now(const Connection *connection);

/* When a SeGW that is preferred to the one in use is to be tried; SA_LIST_NEVER: no such time. */
uint64_t connection_return_at(const Connection *connection);

bool connection_renewal_is_due(const Connection *connection);
ConnectionPlan connection_plan_of(const Connection *connection);

/* To be called after every change of a fact, also from handlers that it calls itself. */
void connection_settle(Connection *connection);

/* ---- connection_attempt.c ---- */

/* How long it is until then, in seconds, rounded up. */
time_t connection_seconds_until(const Connection *connection, uint64_t when);

/* Notes that what there is is not what is wanted: the next attempt waits. */
void connection_set_back(Connection *connection, const char *reason);

/* The attempt has failed: the next SeGW is tried, or the same again later. */
void connection_attempt_failed(Connection *connection, IkeSaEnd end, const char *reason);

/* Begins an attempt at whoever is to be tried now. A redirection is good for one attempt. */
void connection_begin(Connection *connection);

/* Tries the address of the other family, beside the first one or in its place. */
void connection_begin_other(Connection *connection);

/* When the other family is to be tried, too; SA_LIST_NEVER: not at all. */
uint64_t connection_race_at(const Connection *connection);

/* The resolver's handler; `userdata` is the connection. */
void connection_resolved(void *userdata, const Endpoint *addresses, size_t count,
                         const char *problem);

/* ---- connection_sas.c ---- */

/* A second connection is to replace the one in use. */
void connection_renew(Connection *connection, const char *reason);

extern const IkeSaHandlers connection_sa_handlers; /* userdata: the SA's SaMember */
