/* When is there to be an IKE SA, and what happens when there is none? */
#include "ikeclient/connection.h"

#include "base/log.h"
#include "ikeclient/pacing.h"
#include "ikeclient/resolver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    USEC_PER_MS = 1000,
    CLOSE_PATIENCE_MS = 5000,
    LINGER_MS = 200, /* what was sent through the SA that was replaced is still on its way */
    REPLACED_PATIENCE_MS = 10000, /* how long the SeGW may take to delete an SA that was replaced */
    ACCURACY_USEC = 1000,
    DEAD_MAX = 4, /* at most two SAs can end in one turn of the event loop */
    ERROR_SIZE = 1024,
};

struct Connection {
    sd_event *event;
    Tre *tre;
    const Config *config;
    const ConnectionHandlers *handlers;
    void *userdata;
    ConnectionState state;
    bool retry;
    Resolver resolver;
    Association *current;        /* established, or to become so */
    Association *replaced;       /* established before, until current is */
    Association *dead[DEAD_MAX]; /* freed when their own handlers have returned */
    sd_event_source *bury;
    sd_event_source *retry_timer;
    sd_event_source *close_timer;
    sd_event_source *replaced_timer;
    bool renewal_due;  /* the current SA's child is to be replaced */
    unsigned failures; /* in a row */
    unsigned attempts; /* picks the address */
    char last_error[ERROR_SIZE];
};

static const char *const state_names[CONNECTION_STATES] = {
    [CONNECTION_IDLE] = "idle",
    [CONNECTION_CONNECTING] = "connecting",
    [CONNECTION_ESTABLISHED] = "established",
    [CONNECTION_ESTABLISHED_NO_CHILD] = "established-no-child",
    [CONNECTION_WAITING] = "waiting",
    [CONNECTION_CLOSING] = "closing",
};

static void enter(Connection *connection, ConnectionState state)
{
    connection->state = state;
    connection->handlers->changed(connection->userdata);
}

static int start_timer(Connection *connection, sd_event_source **timer, uint64_t ms,
                       sd_event_time_handler_t handler)
{
    *timer = sd_event_source_disable_unref(*timer);
    return sd_event_add_time_relative(connection->event, timer, CLOCK_MONOTONIC, ms * USEC_PER_MS,
                                      ACCURACY_USEC, handler, connection);
}

/* ---- ends ---- */

static int on_bury(sd_event_source *source, void *userdata)
{
    Connection *connection = userdata;
    (void)source;

    for (size_t i = 0; i < ELEMENTS(connection->dead); i++) {
        if (connection->dead[i])
            association_free(connection->dead[i]);
        connection->dead[i] = NULL;
    }
    return 0;
}

/* Handlers of the association may be on the stack: it is freed from the event loop. */
static void bury(Connection *connection, Association *association)
{
    for (size_t i = 0; i < ELEMENTS(connection->dead); i++) {
        if (connection->dead[i])
            continue;
        connection->dead[i] = association;
        (void)sd_event_source_set_enabled(connection->bury, SD_EVENT_ONESHOT);
        return;
    }
}

static bool may_retry(const Connection *connection)
{
    return connection->retry && connection->config->reconnect;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source, (void)usec;
    connection_open(userdata);
    return 0;
}

static void retry_later(Connection *connection)
{
    uint64_t wait = backoff_ms(connection->failures++);

    if (start_timer(connection, &connection->retry_timer, wait, on_retry) == 0)
        log_info("trying again in %.1f s", (double)wait / 1000);
}

/* There is no SA any more. */
static void closed(Connection *connection, AssociationEnd end, const char *reason)
{
    bool stopped = end == ASSOCIATION_STOPPED;

    connection->close_timer = sd_event_source_disable_unref(connection->close_timer);
    if (!stopped) {
        (void)snprintf(connection->last_error, sizeof(connection->last_error), "%s", reason);
        log_line(end == ASSOCIATION_DELETED_BY_PEER ? LOG_NOTICE : LOG_ERR, "%s: %s",
                 connection->state == CONNECTION_CONNECTING ? "not connected"
                                                            : "the connection has ended",
                 reason);
    }
    if (!stopped && connection->state != CONNECTION_CLOSING && may_retry(connection)) {
        retry_later(connection);
        enter(connection, CONNECTION_WAITING);
    } else {
        enter(connection, CONNECTION_IDLE);
    }
    connection->handlers->closed(connection->userdata, reason);
}

static void enter_established(Connection *connection)
{
    AssociationInfo info;

    association_info(connection->current, &info);
    enter(connection, info.has_child ? CONNECTION_ESTABLISHED : CONNECTION_ESTABLISHED_NO_CHILD);
}

/* The connection that was to be is not: what was there before still is. */
static void fall_back(Connection *connection, AssociationEnd end, const char *reason)
{
    if (!connection->replaced) {
        closed(connection, end, reason);
        return;
    }
    log_error("no second connection: %s; staying with the first", reason);
    (void)snprintf(connection->last_error, sizeof(connection->last_error), "%s", reason);
    connection->current = steal_pointer(connection->replaced);
    enter_established(connection);
    if (connection->renewal_due && may_retry(connection))
        retry_later(connection);
    association_hold_delete(connection->current, false); /* last, as it may be the end of it */
}

static void on_closed(void *userdata, Association *association, AssociationEnd end,
                      const char *reason)
{
    Connection *connection = userdata;

    bury(connection, association);
    if (association == connection->replaced) {
        connection->replaced = NULL;
        connection->replaced_timer = sd_event_source_disable_unref(connection->replaced_timer);
        log_info("the IKE SA that was replaced is gone: %s", reason);
        if (connection->state == CONNECTION_CLOSING && !connection->current) {
            closed(connection, ASSOCIATION_STOPPED, reason);
        } else if (connection->renewal_due) {
            connection_open(connection);
        }
        return;
    }
    connection->current = NULL;
    if (!connection->replaced || connection->state != CONNECTION_CLOSING)
        fall_back(connection, end, reason);
}

/* ---- beginnings ---- */

static int on_replaced_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
    Connection *connection = userdata;
    (void)source, (void)usec;

    if (connection->replaced) {
        log_info("the SeGW keeps the IKE SA that was replaced: deleting it");
        association_stop(connection->replaced);
    }
    return 0;
}

static int on_lingered(sd_event_source *source, uint64_t usec, void *userdata)
{
    Connection *connection = userdata;
    (void)source, (void)usec;

    if (connection->replaced)
        association_hold_delete(connection->replaced, false);
    if (connection->replaced) {
        (void)start_timer(connection, &connection->replaced_timer, REPLACED_PATIENCE_MS,
                          on_replaced_patience);
    }
    return 0;
}

static void on_established(void *userdata, Association *association)
{
    Connection *connection = userdata;
    (void)association;

    connection->failures = 0;
    connection->renewal_due = false;
    connection->last_error[0] = 0;
    enter_established(connection);
    if (connection->replaced)
        (void)start_timer(connection, &connection->replaced_timer, LINGER_MS, on_lingered);
    connection->handlers->established(connection->userdata);
}

static void on_child_deleted(void *userdata, Association *association)
{
    Connection *connection = userdata;

    if (association != connection->current || connection->state == CONNECTION_CLOSING)
        return;
    (void)snprintf(connection->last_error, sizeof(connection->last_error),
                   "the SeGW deleted the Child SA");
    log_notice("the SeGW deleted the Child SA: no traffic can pass");
    enter_established(connection);
    if (may_retry(connection))
        retry_later(connection);
}

static const AssociationHandlers association_handlers = {on_established, on_child_deleted,
                                                         on_closed};

static void begin(Connection *connection, const Endpoint *segw)
{
    bool alone = !connection->replaced;

    int r = association_new(connection->event, connection->tre, connection->config, segw,
                            alone && connection->config->initial_contact, &association_handlers,
                            connection, &connection->current);
    if (r < 0) {
        char text[ENDPOINT_TEXT_SIZE], reason[ERROR_SIZE];
        (void)snprintf(
            reason, sizeof(reason),
            "there is no way to the SeGW at %s (%s): check the network and [segw] address",
            endpoint_text(segw, text), strerror(-r));
        fall_back(connection, ASSOCIATION_FAILED, reason);
        return;
    }
    association_start(connection->current);
}

static void on_resolved(void *userdata, const Endpoint *addresses, size_t count,
                        const char *problem)
{
    Connection *connection = userdata;
    char reason[ERROR_SIZE];

    if (count > 0) {
        begin(connection, &addresses[connection->attempts++ % count]);
        return;
    }
    (void)snprintf(reason, sizeof(reason),
                   "the SeGW \"%s\" has no address: %s; check [segw] address and the name server",
                   connection->config->segw_address, problem);
    fall_back(connection, ASSOCIATION_FAILED, reason);
}

void connection_open(Connection *connection)
{
    const Config *config = connection->config;
    Endpoint segw;

    if (connection->state == CONNECTION_CONNECTING || connection->state == CONNECTION_CLOSING ||
        connection->replaced)
        return;
    connection->retry_timer = sd_event_source_disable_unref(connection->retry_timer);
    connection->replaced = steal_pointer(connection->current);
    if (connection->replaced)
        association_hold_delete(connection->replaced, true);
    enter(connection, CONNECTION_CONNECTING);
    if (endpoint_from_literal(config->segw_address, (uint16_t)config->port, &segw) == 0) {
        begin(connection, &segw);
        return;
    }
    int r = resolver_start(&connection->resolver, config->segw_address, (uint16_t)config->port);
    if (r < 0)
        on_resolved(connection, NULL, 0, strerror(-r));
}

static int on_close_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
    Connection *connection = userdata;
    (void)source, (void)usec;

    if (connection->current)
        bury(connection, steal_pointer(connection->current));
    if (connection->replaced)
        bury(connection, steal_pointer(connection->replaced));
    closed(connection, ASSOCIATION_STOPPED, "stopped; the SeGW did not answer our Delete");
    return 0;
}

void connection_close(Connection *connection)
{
    connection->retry_timer = sd_event_source_disable_unref(connection->retry_timer);
    resolver_cancel(&connection->resolver);
    if (connection->state == CONNECTION_CLOSING || connection->state == CONNECTION_IDLE)
        return;
    if (!connection->current && !connection->replaced) {
        closed(connection, ASSOCIATION_STOPPED, "stopped");
        return;
    }
    enter(connection, CONNECTION_CLOSING);
    (void)start_timer(connection, &connection->close_timer, CLOSE_PATIENCE_MS, on_close_patience);
    if (connection->replaced)
        association_hold_delete(connection->replaced, false);
    if (connection->replaced)
        association_stop(connection->replaced);
    if (connection->current)
        association_stop(connection->current);
}

void connection_allow_retry(Connection *connection, bool allow)
{
    connection->retry = allow;
}

void connection_lose(Connection *connection, const char *exchange, const char *reason)
{
    if (connection->replaced)
        association_lose(connection->replaced, exchange, reason);
    if (connection->current)
        association_lose(connection->current, exchange, reason);
}

void connection_renew(Connection *connection, const char *exchange)
{
    if (!connection->current || !association_is(connection->current, exchange))
        return;
    log_notice("the Child SA is due to be replaced; connecting anew");
    connection->renewal_due = true; /* and stays so where the last replacement is not over yet */
    connection_open(connection);
}

void connection_info(const Connection *connection, ConnectionInfo *ret)
{
    *ret = (ConnectionInfo){.state = connection->state,
                            .state_name = state_names[connection->state],
                            .last_error = connection->last_error};
    if (connection->current) {
        association_info(connection->current, &ret->association);
    } else {
        ret->association = (AssociationInfo){.identity = "", .segw_identity = "", .suite = ""};
    }
}

int connection_new(sd_event *event, Tre *tre, const Config *config,
                   const ConnectionHandlers *handlers, void *userdata, Connection **ret)
{
    _cleanup_(connection_freep) Connection *connection = calloc(1, sizeof(*connection));

    if (!connection)
        return -ENOMEM;
    connection->event = event;
    connection->tre = tre;
    connection->config = config;
    connection->handlers = handlers;
    connection->userdata = userdata;
    connection->retry = true;
    resolver_init(&connection->resolver, event, on_resolved, connection);
    int r = sd_event_add_defer(event, &connection->bury, on_bury, connection);
    if (r >= 0)
        r = sd_event_source_set_enabled(connection->bury, SD_EVENT_OFF);
    if (r < 0)
        return r;
    *ret = steal_pointer(connection);
    return 0;
}

void connection_free(Connection *connection)
{
    (void)on_bury(NULL, connection);
    if (connection->current)
        association_free(connection->current);
    if (connection->replaced)
        association_free(connection->replaced);
    resolver_deinit(&connection->resolver);
    sd_event_source_disable_unref(connection->bury);
    sd_event_source_disable_unref(connection->retry_timer);
    sd_event_source_disable_unref(connection->close_timer);
    sd_event_source_disable_unref(connection->replaced_timer);
    free(connection);
}
