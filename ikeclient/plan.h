/* What a connection does next, and what state it is in, as a function of what there is. */
#pragma once

#include <stdbool.h>

typedef enum ConnectionState {
    CONNECTION_IDLE,
    CONNECTION_CONNECTING,
    CONNECTION_ESTABLISHED,
    CONNECTION_ESTABLISHED_NO_CHILD,
    CONNECTION_WAITING, /* to try again */
    CONNECTION_CLOSING,
    CONNECTION_STATES
} ConnectionState;

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

/* "established-no-child", as the bus calls it: a static string. */
const char *connection_state_name(ConnectionState state);
