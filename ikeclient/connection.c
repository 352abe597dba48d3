/* When there is to be an IKE SA, and what happens when there is none. Everything that happens is
 * noted as a fact; connection_settle() derives from all facts what to do, and sets the one timer.
 */
#include "ikeclient/connection_internal.h"

#include <errno.h>
#include <string.h>

enum {
    CLOSE_PATIENCE_USEC = 5000 * USEC_PER_MS,
    ACCURACY_USEC = 1000,
};

/* ---- the plan: one function from facts to a state and an action ---- */

static ConnectionState derive_state(const ConnectionFacts *facts, const ConnectionPlan *plan)
{
    if (!facts->wanted) {
        return facts->up || facts->attempt || facts->leaving ? CONNECTION_CLOSING : CONNECTION_IDLE;
    }
    if (facts->attempt || plan->begin)
        return CONNECTION_CONNECTING;
    if (facts->up)
        return facts->child ? CONNECTION_ESTABLISHED : CONNECTION_ESTABLISHED_NO_CHILD;
    if (plan->wait)
        return CONNECTION_WAITING;
    return facts->leaving ? CONNECTION_CLOSING : CONNECTION_IDLE;
}

ConnectionPlan connection_plan(const ConnectionFacts *facts)
{
    bool complete = facts->up && facts->child && !facts->renewal;
    bool late = facts->up && facts->renewal; /* which is no failure that is not to be repeated */
    bool due =
        facts->wanted && !facts->attempt && (facts->asked || late || (facts->repeat && !complete));
    ConnectionPlan plan = {.begin = due && (facts->asked || facts->ready)};

    plan.wait = due && !plan.begin;
    plan.state = derive_state(facts, &plan);
    plan.close = plan.state == CONNECTION_CLOSING;
    return plan;
}

/* As the bus calls it. */
static const char *state_name(ConnectionState state)
{
    static const char *const names[CONNECTION_STATES] = {
        [CONNECTION_IDLE] = "idle",
        [CONNECTION_CONNECTING] = "connecting",
        [CONNECTION_ESTABLISHED] = "established",
        [CONNECTION_ESTABLISHED_NO_CHILD] = "established-no-child",
        [CONNECTION_WAITING] = "waiting",
        [CONNECTION_CLOSING] = "closing",
    };

    return names[state];
}

/* ---- the time, and what follows from what there is ---- */

uint64_t connection_now(const Connection *connection)
{
    uint64_t now = 0;

    (void)sd_event_now(connection->event, CLOCK_MONOTONIC, &now);
    return now;
}

/* When the authentication of the SA that is up is to be renewed; SA_LIST_NEVER: no such time. */
static uint64_t renew_at(const Connection *connection)
{
    const SaMember *up = sa_list_find(&connection->sas, SA_UP);
    IkeSaInfo info = {.renew_at = SA_LIST_NEVER};

    if (up)
        ike_sa_info(up->sa, &info);
    return info.renew_at;
}

uint64_t connection_return_at(const Connection *connection)
{
    return sa_list_find(&connection->sas, SA_UP) && connection->retry &&
                   connection->config->reconnect
               ? targets_return_at(&connection->targets)
               : SA_LIST_NEVER;
}

bool connection_renewal_is_due(const Connection *connection)
{
    return connection->renewal || renew_at(connection) <= connection_now(connection);
}

ConnectionPlan connection_plan_of(const Connection *connection)
{
    const SaMember *up = sa_list_find(&connection->sas, SA_UP);
    ConnectionFacts facts = {
        .wanted = connection->wanted,
        .repeat = connection->retry && connection->config->reconnect,
        .asked = connection->asked,
        .ready = connection_now(connection) >= connection->attempts.not_before,
        .up = up,
        .child = up && sa_member_has_child(up),
        .renewal = connection_renewal_is_due(connection) ||
                   connection_return_at(connection) <= connection_now(connection),
        .attempt = connection->resolving || sa_list_find(&connection->sas, SA_COMING),
        .leaving = sa_list_has_leaving(&connection->sas),
    };

    return connection_plan(&facts);
}

/* ---- what follows from the facts ---- */

static void tell(Connection *connection, ConnectionState state)
{
    ConnectionState before = connection->shown;

    const bool has_changed = state != before || connection->changed;

    connection->shown = state;
    connection->changed = false;
    if (connection->established) { /* first: there may be who waits for it */
        connection->established = false;
        connection->handlers->established(connection->userdata);
    }
    if (has_changed)
        connection->handlers->changed(connection->userdata);
    if (state != before && (state == CONNECTION_IDLE || state == CONNECTION_WAITING))
        connection->handlers->closed(connection->userdata, connection->reason.text);
}

/* Has everything deleted, and does not wait for ever for the SeGW's answer. */
static void close_all(Connection *connection)
{
    bool over = connection_now(connection) >= connection->close_deadline;

    for (SaMember *member = connection->sas.first; member; member = member->next) {
        if (member->role >= SA_ENDED)
            continue;
        if (over) {
            sa_list_bury(&connection->sas, member);
        } else if (member->role != SA_DELETING) {
            sa_member_delete(member);
        }
    }
    if (!over)
        return;
    reason_set(&connection->reason, 0, "stopped; the SeGW did not answer our Delete");
    connection->again = true;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source, (void)usec;
    connection_settle(userdata);
    return 0;
}

/* Sets the timer for whatever comes first of what is to come. */
static void set_timer(Connection *connection, const ConnectionPlan *plan)
{
    uint64_t due = sa_list_deadline(&connection->sas);

    const uint64_t now = connection_now(connection);
    const uint64_t others[] = {renew_at(connection), connection_return_at(connection),
                               connection_race_at(connection)};

    for (size_t i = 0; i < ELEMENTS(others); i++)
        due = others[i] > now && others[i] < due ? others[i] : due;
    if (plan->wait && connection->attempts.not_before < due)
        due = connection->attempts.not_before;
    if (plan->close && connection->close_deadline < due)
        due = connection->close_deadline;
    if (plan->wait && connection->attempts.not_before != connection->announced) {
        connection->announced = connection->attempts.not_before;
        report_line(connection->config, LOG_INFO, "trying again in %.1f s",
                    ((double)connection->attempts.not_before - (double)connection_now(connection)) /
                        (double)USEC_PER_SEC);
    }
    int r = sd_event_source_set_time(connection->timer, due);
    if (r >= 0) {
        r = sd_event_source_set_enabled(connection->timer,
                                        due == SA_LIST_NEVER ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
    }
    if (r < 0) {
        report_line(connection->config, LOG_ERR, "the connection's timer can't be set: %s",
                    strerror(-r));
    }
}

/* What was to be closed is gone, and there is to be a new one. That there is none in between is not
 * told as a state: whoever waits for the new one would take it for its end. */
static void open_next(Connection *connection)
{
    connection->wanted_next = false;
    connection->wanted = connection->asked = true;
    connection->again = true;
    connection->handlers->closed(connection->userdata, connection->reason.text);
}

static void step(Connection *connection)
{
    ConnectionPlan plan = connection_plan_of(connection);

    if (plan.state == CONNECTION_IDLE && connection->wanted_next) {
        open_next(connection);
        return;
    }
    if (plan.state == CONNECTION_IDLE || plan.close)
        connection->wanted = false;
    if (!plan.close) {
        connection->close_deadline = SA_LIST_NEVER;
    } else if (connection->close_deadline == SA_LIST_NEVER) {
        connection->close_deadline = connection_now(connection) + CLOSE_PATIENCE_USEC;
    }
    if (plan.begin && renew_at(connection) <= connection_now(connection)) {
        report_line(connection->config, LOG_NOTICE,
                    "this authentication is about to end: making a new one");
    }
    if (plan.begin) { /* first of all, as others can wait to hear of it */
        connection_begin(connection);
        tell(connection, plan.state);
        connection->again = true;
        return;
    }
    if (connection_race_at(connection) <= connection_now(connection) && !plan.close) {
        connection_begin_other(connection);
        connection->again = true;
    }
    tell(connection, plan.state);
    if (connection->again)
        return;
    SaMember *up = sa_list_find(&connection->sas, SA_UP);
    if (plan.close) {
        close_all(connection);
    } else if (up) { /* while its replacement is being made, it is worth keeping */
        ike_sa_hold_delete(up->sa, plan.state == CONNECTION_CONNECTING);
    }
    sa_list_tend(&connection->sas, connection_now(connection));
    set_timer(connection, &plan);
    retry_save(&connection->attempts);
}

void connection_settle(Connection *connection)
{
    connection->again = true;
    if (connection->settling)
        return;
    connection->settling = true;
    while (connection->again) {
        connection->again = false;
        step(connection);
    }
    connection->settling = false;
}

/* ---- what the operator and tred say ---- */

void connection_open(Connection *connection)
{
    ConnectionState state = connection_plan_of(connection).state;

    connection->told = true;
    connection->wanted_next = state == CONNECTION_CLOSING;
    if (state == CONNECTION_CONNECTING || state == CONNECTION_CLOSING)
        return;
    connection->wanted = true;
    connection->asked = true;
    connection_settle(connection);
}

void connection_start(Connection *connection)
{
    if (connection->told)
        return;
    if (!connection->config->reconnect) {
        connection_open(connection);
        return;
    }
    connection->wanted = true;
    connection_settle(connection);
}

int connection_remember(Connection *connection, const char *folder)
{
    int r = retry_remember(&connection->attempts, folder);

    if (r < 0)
        return r;
    connection->next_attempt =
        time(NULL) + connection_seconds_until(connection, connection->attempts.not_before);
    connection_settle(connection);
    return 0;
}

void connection_close(Connection *connection)
{
    connection->told = true;
    connection->wanted_next = false;
    if (!connection->wanted)
        return;
    connection->wanted = false;
    connection->asked = false;
    connection->redirect.name[0] = 0; /* the next one begins where the configuration says */
    connection->sent_by = (Endpoint){0};
    connection->renewal = false;
    connection->resolving = connection->returning = false;
    connection->other = (Endpoint){0};
    resolver_cancel(&connection->resolver);
    reason_set(&connection->reason, 0, "stopped");
    connection_settle(connection);
}

void connection_allow_retry(Connection *connection, bool allow)
{
    connection->retry = allow;
    connection_settle(connection);
}

void connection_lose(Connection *connection, const char *exchange, const char *reason)
{
    for (SaMember *member = connection->sas.first; member; member = member->next) {
        if (member->role != SA_GONE)
            ike_sa_lose(member->sa, exchange, reason);
    }
}

void connection_child_due(Connection *connection, uint32_t spi_in, bool hard)
{
    SaMember *up = sa_list_find(&connection->sas, SA_UP);

    if (!up || !connection->wanted || !ike_sa_has_current_child(up->sa, spi_in))
        return;
    if (hard) {
        connection_renew(connection, "the Child SA has come to its end");
    } else {
        ike_sa_rekey_child(up->sa, spi_in);
    }
}

void connection_rekey(Connection *connection, bool ike)
{
    SaMember *up = sa_list_find(&connection->sas, SA_UP);

    if (!up || !connection->wanted)
        return;
    if (ike) {
        ike_sa_rekey(up->sa);
    } else {
        ike_sa_rekey_child(up->sa, 0);
    }
}

void connection_expires(Connection *connection, const char *exchange, uint64_t seconds)
{
    for (SaMember *member = connection->sas.first; member; member = member->next) {
        if (member->role <= SA_UP && ike_sa_is(member->sa, exchange))
            ike_sa_expires(member->sa, seconds);
    }
}

void connection_info(const Connection *connection, ConnectionInfo *ret)
{
    ConnectionState state = connection_plan_of(connection).state;
    const SaMember *member = sa_list_find(&connection->sas, SA_UP);

    *ret =
        (ConnectionInfo){.state = state,
                         .state_name = state_name(state),
                         .last_error = connection->last_error.text,
                         .since = member ? connection->since : 0,
                         .next_attempt = state == CONNECTION_WAITING ? connection->next_attempt : 0,
                         .flow = &connection->flow,
                         .totals = connection->totals,
                         .config = connection->config};
    if (!member)
        member = sa_list_find(&connection->sas, SA_COMING);
    if (member) {
        ike_sa_info(member->sa, &ret->sa);
    } else {
        ret->sa = (IkeSaInfo){.exchange = "",
                              .identity = "",
                              .segw_identity = "",
                              .suite = "",
                              .interface = "",
                              .refusal = ""};
    }
}

void connection_look_around(Connection *connection)
{
    SaMember *up = sa_list_find(&connection->sas, SA_UP);

    if (up)
        ike_sa_look_around(up->sa);
}

bool connection_has_inner(const Connection *connection, const Endpoint *address)
{
    for (const SaMember *member = connection->sas.first; member; member = member->next) {
        if (ike_sa_has_inner(member->sa, address))
            return true;
    }
    return false;
}

bool connection_has_sa_with(const Connection *connection, const Endpoint *segw)
{
    for (const SaMember *member = connection->sas.first; member; member = member->next) {
        IkeSaInfo info;

        ike_sa_info(member->sa, &info);
        if (endpoint_same_address(info.segw, segw))
            return true;
    }
    return false;
}

const char *connection_name(const Connection *connection)
{
    return connection->config->name;
}

/* ---- the life of one ---- */

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
    connection->close_deadline = SA_LIST_NEVER;
    retry_init(&connection->attempts, event, config);
    resolver_init(&connection->resolver, event, connection_resolved, connection);
    int r = sa_list_init(&connection->sas, event, config);
    if (r >= 0) {
        r = sd_event_add_time(event, &connection->timer, CLOCK_MONOTONIC, SA_LIST_NEVER,
                              ACCURACY_USEC, on_timer, connection);
    }
    if (r >= 0)
        r = sd_event_source_set_enabled(connection->timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    *ret = steal_pointer(connection);
    return 0;
}

void connection_free(Connection *connection)
{
    sa_list_deinit(&connection->sas);
    resolver_deinit(&connection->resolver);
    retry_deinit(&connection->attempts);
    flow_deinit(&connection->flow);
    sd_event_source_disable_unref(connection->timer);
    free(connection);
}
