/* When there is to be an IKE SA, and what happens when there is none. Everything that happens is
 * noted as a fact; settle() then derives from all facts what to do, and sets the one timer. */
#include "ikeclient/connection.h"

#include "base/log.h"
#include "ikeclient/pacing.h"
#include "ikeclient/resolver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    USEC_PER_MS = 1000,
    CLOSE_PATIENCE_USEC = 5000 * USEC_PER_MS,
    LINGER_USEC =
        200 * USEC_PER_MS, /* what was sent through an SA that was replaced is on its way */
    REPLACED_PATIENCE_USEC = 10000 * USEC_PER_MS, /* how long the SeGW may take to delete that SA */
    ACCURACY_USEC = 1000,
    LEAVING_MAX = 8, /* beyond that the oldest goes without a word */
    ERROR_SIZE = 1024,
};

#define NEVER UINT64_MAX

/* What an IKE SA is to the connection; an SA goes from one to a later one. */
typedef enum Role {
    ROLE_COMING,    /* not established yet */
    ROLE_UP,        /* in use */
    ROLE_LINGERING, /* replaced: it carries what is still on its way */
    ROLE_YIELDING,  /* replaced: the SeGW is to delete it */
    ROLE_DELETING,  /* we delete it */
    ROLE_GONE,      /* freed when its own handlers have returned */
} Role;

typedef struct Member {
    struct Member *next;
    Connection *connection;
    IkeSa *sa;
    Role role;
    uint64_t deadline; /* of ROLE_LINGERING and _YIELDING, CLOCK_MONOTONIC, µs */
} Member;

struct Connection {
    sd_event *event;
    Tre *tre;
    const Config *config;
    const ConnectionHandlers *handlers;
    void *userdata;

    /* the facts */
    bool wanted;
    bool retry;
    bool asked;
    bool renewal;
    bool resolving;          /* an attempt that has no IKE SA yet */
    Member *members;         /* newest first; at most one is coming, and one up */
    unsigned failures;       /* in a row */
    uint64_t not_before;     /* when the next attempt may begin, µs */
    uint64_t close_deadline; /* while closing; else NEVER */
    Endpoint segw;           /* the address tried last; family 0: none yet */
    bool advance;            /* it failed: the next one is tried next */

    /* what others were told */
    ConnectionState shown;
    bool changed;            /* beside the state */
    bool established;        /* not told yet */
    char reason[ERROR_SIZE]; /* why the last SA ended */
    char last_error[ERROR_SIZE];

    Resolver resolver;
    sd_event_source *timer;
    sd_event_source *bury;
    bool settling;
    bool again;
};

/* ---- the plan ---- */

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
    bool due = facts->wanted && !facts->attempt && (facts->asked || (facts->repeat && !complete));
    ConnectionPlan plan = {.begin = due && (facts->asked || facts->ready)};

    plan.wait = due && !plan.begin;
    plan.state = derive_state(facts, &plan);
    plan.close = plan.state == CONNECTION_CLOSING;
    return plan;
}

static uint64_t now_usec(const Connection *connection)
{
    uint64_t now = 0;

    (void)sd_event_now(connection->event, CLOCK_MONOTONIC, &now);
    return now;
}

static Member *find(const Connection *connection, Role role)
{
    for (Member *member = connection->members; member; member = member->next) {
        if (member->role == role)
            return member;
    }
    return NULL;
}

static bool has_child(const Member *member)
{
    IkeSaInfo info;

    if (!member)
        return false;
    ike_sa_info(member->sa, &info);
    return info.children != NULL;
}

static bool is_leaving(const Member *member)
{
    return member->role > ROLE_UP && member->role < ROLE_GONE;
}

static ConnectionPlan plan_of(const Connection *connection)
{
    const Member *up = find(connection, ROLE_UP);
    ConnectionFacts facts = {
        .wanted = connection->wanted,
        .repeat = connection->retry && connection->config->reconnect,
        .asked = connection->asked,
        .ready = now_usec(connection) >= connection->not_before,
        .up = up,
        .child = has_child(up),
        .renewal = connection->renewal,
        .attempt = connection->resolving || find(connection, ROLE_COMING),
    };

    for (const Member *member = connection->members; member; member = member->next)
        facts.leaving = facts.leaving || is_leaving(member);
    return connection_plan(&facts);
}

/* ---- facts ---- */

static void settle(Connection *connection);

/* Notes that what there is is not what is wanted: the next attempt waits. */
static void note_setback(Connection *connection, const char *reason)
{
    uint64_t wait = backoff_ms(connection->failures++);

    connection->not_before = now_usec(connection) + wait * USEC_PER_MS;
    connection->changed = true;
    (void)snprintf(connection->last_error, sizeof(connection->last_error), "%s", reason);
    if (connection->wanted && connection->retry && connection->config->reconnect)
        log_info("trying again in %.1f s", (double)wait / 1000);
}

/* The attempt has failed. */
static void note_failure(Connection *connection, IkeSaEnd end, const char *reason)
{
    if (find(connection, ROLE_UP)) {
        log_error("no second connection: %s; staying with the first", reason);
    } else {
        log_line(end == IKE_SA_DELETED_BY_PEER ? LOG_NOTICE : LOG_ERR, "not connected: %s", reason);
    }
    connection->advance = end == IKE_SA_FAILED;
    note_setback(connection, reason);
}

static void bury(Member *member)
{
    member->role = ROLE_GONE;
    (void)sd_event_source_set_enabled(member->connection->bury, SD_EVENT_ONESHOT);
}

static void on_closed(void *userdata, IkeSa *sa, IkeSaEnd end, const char *reason)
{
    Member *member = userdata;
    Connection *connection = member->connection;
    Role role = member->role;
    IkeSaInfo info;

    ike_sa_info(sa, &info);
    bury(member);
    if (is_leaving(&(Member){.role = role}) && connection->wanted) {
        log_info("the IKE SA that was replaced is gone: %s", reason);
    } else {
        (void)snprintf(connection->reason, sizeof(connection->reason), "%s", reason);
    }
    if (role == ROLE_COMING && end != IKE_SA_STOPPED) {
        note_failure(connection, end, reason);
    } else if (role == ROLE_UP && end != IKE_SA_STOPPED) {
        log_line(end == IKE_SA_DELETED_BY_PEER ? LOG_NOTICE : LOG_ERR,
                 "the connection has ended: %s", reason);
        connection->advance = info.silent;
        note_setback(connection, reason);
    }
    settle(connection);
}

static void replace(Connection *connection, Member *old)
{
    connection->renewal = false;
    if (!old)
        return;
    old->role = has_child(old) ? ROLE_LINGERING : ROLE_YIELDING;
    old->deadline = now_usec(connection) + (has_child(old) ? LINGER_USEC : 0);
}

static void on_established(void *userdata, IkeSa *sa)
{
    Member *member = userdata, *old;
    Connection *connection = member->connection;
    IkeSaInfo info;

    if (member->role != ROLE_COMING) /* it is to be deleted already */
        return;
    ike_sa_info(sa, &info);
    old = find(connection, ROLE_UP);
    if (!info.children && has_child(old)) {
        member->role = ROLE_DELETING;
        note_failure(connection, IKE_SA_FAILED, info.refusal);
        ike_sa_stop(sa);
        settle(connection);
        return;
    }
    replace(connection, old);
    member->role = ROLE_UP;
    connection->established = true;
    connection->changed = true;
    connection->advance = !info.children;
    if (info.children) {
        connection->failures = 0;
        connection->last_error[0] = 0;
    } else {
        note_setback(connection, info.refusal);
    }
    settle(connection);
}

static void on_child_deleted(void *userdata, IkeSa *sa)
{
    Member *member = userdata;
    IkeSaInfo info;

    ike_sa_info(sa, &info);
    if (member->role != ROLE_UP || info.children)
        return;
    log_notice("the SeGW deleted the Child SA: no traffic can pass");
    note_setback(member->connection, "the SeGW deleted the Child SA");
    settle(member->connection);
}

/* ---- attempts ---- */

static const IkeSaHandlers sa_handlers = {on_established, on_child_deleted, on_closed};

static int add_member(Connection *connection, Member **ret)
{
    bool alone = !find(connection, ROLE_UP);

    for (const Member *member = connection->members; member; member = member->next)
        alone = alone && !is_leaving(member);
    Member *member = calloc(1, sizeof(*member));
    if (!member)
        return -ENOMEM;
    int r =
        ike_sa_new(connection->event, connection->tre, connection->config, &connection->segw,
                   alone && connection->config->initial_contact, &sa_handlers, member, &member->sa);
    if (r < 0) {
        free(member);
        return r;
    }
    member->connection = connection;
    member->next = connection->members;
    connection->members = member;
    *ret = member;
    return 0;
}

static void begin_at(Connection *connection, const Endpoint *segw)
{
    char text[ENDPOINT_TEXT_SIZE];
    Member *member = NULL;

    connection->segw = *segw;
    int r = add_member(connection, &member);
    if (r == 0) {
        ike_sa_start(member->sa);
        return;
    }
    (void)snprintf(connection->reason, sizeof(connection->reason),
                   "there is no way to the SeGW at %s (%s): check the network and [segw] address",
                   endpoint_text(segw, text), strerror(-r));
    note_failure(connection, IKE_SA_FAILED, connection->reason);
}

/* The address that was in use, or the one after it if that failed. */
static const Endpoint *choose(const Connection *connection, const Endpoint *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(endpoint_address(&addresses[i]), endpoint_address(&connection->segw)))
            return &addresses[(i + connection->advance) % count];
    }
    return &addresses[0];
}

static void on_resolved(void *userdata, const Endpoint *addresses, size_t count,
                        const char *problem)
{
    Connection *connection = userdata;

    connection->resolving = false;
    if (count > 0) {
        begin_at(connection, choose(connection, addresses, count));
    } else {
        (void)snprintf(
            connection->reason, sizeof(connection->reason),
            "the SeGW \"%s\" has no address: %s; check [segw] address and the name server",
            connection->config->segw_address, problem);
        note_failure(connection, IKE_SA_FAILED, connection->reason);
    }
    settle(connection);
}

static void begin(Connection *connection)
{
    const Config *config = connection->config;
    Endpoint segw;

    connection->asked = false;
    if (endpoint_from_literal(config->segw_address, (uint16_t)config->port, &segw) == 0) {
        begin_at(connection, &segw);
        return;
    }
    connection->resolving = true;
    int r = resolver_start(&connection->resolver, config->segw_address, (uint16_t)config->port);
    if (r < 0)
        on_resolved(connection, NULL, 0, strerror(-r));
}

/* ---- what follows from the facts ---- */

static void tell(Connection *connection, ConnectionState state)
{
    ConnectionState before = connection->shown;

    if (state != before || connection->changed) {
        connection->shown = state;
        connection->changed = false;
        connection->handlers->changed(connection->userdata);
    }
    if (connection->established) {
        connection->established = false;
        connection->handlers->established(connection->userdata);
    }
    if (state != before && (state == CONNECTION_IDLE || state == CONNECTION_WAITING))
        connection->handlers->closed(connection->userdata, connection->reason);
}

/* Moves an SA on that is on its way out, or that is to be. Its end may come before this returns. */
static void tend(Member *member, const ConnectionPlan *plan, uint64_t now)
{
    bool over = is_leaving(member) && now >= member->deadline;

    if (plan->close && member->role != ROLE_DELETING) {
        member->role = ROLE_DELETING;
        ike_sa_hold_delete(member->sa, false);
        ike_sa_stop(member->sa);
    } else if (member->role == ROLE_UP) {
        ike_sa_hold_delete(member->sa, plan->state == CONNECTION_CONNECTING);
    } else if (member->role == ROLE_LINGERING && over) {
        member->role = ROLE_YIELDING;
        member->deadline = now + REPLACED_PATIENCE_USEC;
        ike_sa_hold_delete(member->sa, false);
    } else if (member->role == ROLE_YIELDING && over) {
        log_info("the SeGW keeps the IKE SA that was replaced: deleting it");
        member->role = ROLE_DELETING;
        ike_sa_hold_delete(member->sa, false);
        ike_sa_stop(member->sa);
    }
}

static void tend_all(Connection *connection, const ConnectionPlan *plan, uint64_t now)
{
    unsigned leaving = 0;

    for (Member *member = connection->members; member; member = member->next) {
        if (member->role == ROLE_GONE)
            continue;
        if (plan->close && now >= connection->close_deadline) {
            (void)snprintf(connection->reason, sizeof(connection->reason),
                           "stopped; the SeGW did not answer our Delete");
            bury(member);
            connection->again = true;
        } else if (is_leaving(member) && ++leaving > LEAVING_MAX) {
            bury(member);
        } else {
            tend(member, plan, now);
        }
    }
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source, (void)usec;
    settle(userdata);
    return 0;
}

/* Sets the timer for whatever comes first of what is to come. */
static void set_timer(Connection *connection, const ConnectionPlan *plan)
{
    uint64_t due = plan->wait ? connection->not_before : NEVER;

    if (plan->close)
        due = sooner(due, connection->close_deadline);
    for (const Member *member = connection->members; member; member = member->next) {
        if (member->role == ROLE_LINGERING || member->role == ROLE_YIELDING)
            due = sooner(due, member->deadline);
    }
    int r = sd_event_source_set_time(connection->timer, due);
    if (r >= 0)
        r = sd_event_source_set_enabled(connection->timer,
                                        due == NEVER ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
    if (r < 0)
        log_error("the connection's timer can't be set: %s", strerror(-r));
}

static void step(Connection *connection)
{
    ConnectionPlan plan = plan_of(connection);

    if (plan.state == CONNECTION_IDLE || plan.close)
        connection->wanted = false;
    if (!plan.close) {
        connection->close_deadline = NEVER;
    } else if (connection->close_deadline == NEVER) {
        connection->close_deadline = now_usec(connection) + CLOSE_PATIENCE_USEC;
    }
    tell(connection, plan.state);
    if (connection->again)
        return;
    if (plan.begin) {
        connection->again = true;
        begin(connection);
        return;
    }
    tend_all(connection, &plan, now_usec(connection));
    set_timer(connection, &plan);
}

/* Called after every change of a fact, also from handlers that are called in here. */
static void settle(Connection *connection)
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
    ConnectionState state = plan_of(connection).state;

    if (state == CONNECTION_CONNECTING || state == CONNECTION_CLOSING)
        return;
    connection->wanted = true;
    connection->asked = true;
    settle(connection);
}

void connection_close(Connection *connection)
{
    if (!connection->wanted)
        return;
    connection->wanted = false;
    connection->asked = false;
    connection->renewal = false;
    connection->resolving = false;
    resolver_cancel(&connection->resolver);
    (void)snprintf(connection->reason, sizeof(connection->reason), "stopped");
    settle(connection);
}

void connection_allow_retry(Connection *connection, bool allow)
{
    connection->retry = allow;
    settle(connection);
}

void connection_lose(Connection *connection, const char *exchange, const char *reason)
{
    for (Member *member = connection->members; member; member = member->next) {
        if (member->role != ROLE_GONE)
            ike_sa_lose(member->sa, exchange, reason);
    }
}

void connection_renew(Connection *connection, const char *exchange)
{
    const Member *up = find(connection, ROLE_UP);

    if (!up || !ike_sa_is(up->sa, exchange) || !connection->wanted)
        return;
    log_notice("the Child SA is due to be replaced; connecting anew");
    connection->renewal = true;
    connection->asked = plan_of(connection).state != CONNECTION_CONNECTING;
    settle(connection);
}

void connection_info(const Connection *connection, ConnectionInfo *ret)
{
    static const char *const names[CONNECTION_STATES] = {
        [CONNECTION_IDLE] = "idle",
        [CONNECTION_CONNECTING] = "connecting",
        [CONNECTION_ESTABLISHED] = "established",
        [CONNECTION_ESTABLISHED_NO_CHILD] = "established-no-child",
        [CONNECTION_WAITING] = "waiting",
        [CONNECTION_CLOSING] = "closing",
    };
    ConnectionState state = plan_of(connection).state;
    const Member *member = find(connection, ROLE_UP);

    if (!member)
        member = find(connection, ROLE_COMING);
    *ret = (ConnectionInfo){
        .state = state, .state_name = names[state], .last_error = connection->last_error};
    if (member) {
        ike_sa_info(member->sa, &ret->sa);
    } else {
        ret->sa = (IkeSaInfo){.identity = "", .segw_identity = "", .suite = "", .refusal = ""};
    }
}

/* ---- the life of one ---- */

static void free_members(Connection *connection, bool all)
{
    Member **place = &connection->members;

    while (*place) {
        Member *member = *place;
        if (!all && member->role != ROLE_GONE) {
            place = &member->next;
            continue;
        }
        *place = member->next;
        ike_sa_free(member->sa);
        free(member);
    }
}

static int on_bury(sd_event_source *source, void *userdata)
{
    (void)source;
    free_members(userdata, false);
    return 0;
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
    connection->close_deadline = NEVER;
    resolver_init(&connection->resolver, event, on_resolved, connection);
    int r = sd_event_add_defer(event, &connection->bury, on_bury, connection);
    if (r >= 0)
        r = sd_event_source_set_enabled(connection->bury, SD_EVENT_OFF);
    if (r >= 0) {
        r = sd_event_add_time(event, &connection->timer, CLOCK_MONOTONIC, NEVER, ACCURACY_USEC,
                              on_timer, connection);
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
    free_members(connection, true);
    resolver_deinit(&connection->resolver);
    sd_event_source_disable_unref(connection->bury);
    sd_event_source_disable_unref(connection->timer);
    free(connection);
}
