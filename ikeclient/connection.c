/* When there is to be an IKE SA, and what happens when there is none. Everything that happens is
 * noted as a fact; settle() then derives from all facts what to do, and sets the one timer. */
#include "ikeclient/connection.h"

#include "base/log.h"
#include "base/messages.h"
#include "base/reason.h"
#include "ikeclient/netwatch.h"
#include "ikeclient/resolver.h"
#include "ikeclient/retry.h"
#include "ikeclient/sa_list.h"
#include "ikeclient/targets.h"

#include <errno.h>
#include <string.h>

enum {
    USEC_PER_MS = 1000,
    USEC_PER_SEC = 1000000,
    CLOSE_PATIENCE_USEC = 5000 * USEC_PER_MS,
    LINGER_USEC =
        200 * USEC_PER_MS, /* what was sent through an SA that was replaced is on its way */
    REPLACED_PATIENCE_USEC = 10000 * USEC_PER_MS, /* how long the SeGW may take to delete that SA */
    ACCURACY_USEC = 1000,
};

/* RFC 8305 5: before an address of the other family is tried, too. */
#define RACE_USEC (250 * USEC_PER_MS)

/* Between two IKE SAs that are replaced as no ESP comes through them. */
#define DEAF_PERIOD_USEC (UINT64_C(600) * USEC_PER_SEC)

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
    Netwatch *netwatch; /* NULL: there is none */
    sd_event_source *timer;
    bool settling;
    bool again;
};

/* ---- the time, and what follows from what there is ---- */

static uint64_t now_usec(const Connection *connection)
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

/* When a SeGW that is preferred to the one in use is to be tried. */
static uint64_t return_at(const Connection *connection)
{
    return sa_list_find(&connection->sas, SA_UP) && connection->retry &&
                   connection->config->reconnect
               ? targets_return_at(&connection->targets)
               : SA_LIST_NEVER;
}

static bool renewal_is_due(const Connection *connection)
{
    return connection->renewal || renew_at(connection) <= now_usec(connection);
}

static ConnectionPlan plan_of(const Connection *connection)
{
    const SaMember *up = sa_list_find(&connection->sas, SA_UP);
    ConnectionFacts facts = {
        .wanted = connection->wanted,
        .repeat = connection->retry && connection->config->reconnect,
        .asked = connection->asked,
        .ready = now_usec(connection) >= connection->attempts.not_before,
        .up = up,
        .child = up && sa_member_has_child(up),
        .renewal = renewal_is_due(connection) || return_at(connection) <= now_usec(connection),
        .attempt = connection->resolving || sa_list_find(&connection->sas, SA_COMING),
        .leaving = sa_list_has_leaving(&connection->sas),
    };

    return connection_plan(&facts);
}

/* ---- facts ---- */

static void settle(Connection *connection);
static void begin_other(Connection *connection);

/* Rounded up. */
static time_t seconds_until(const Connection *connection, uint64_t when)
{
    const uint64_t now = now_usec(connection);

    return when > now ? (time_t)((when - now + USEC_PER_SEC - 1) / USEC_PER_SEC) : 0;
}

/* Notes that what there is is not what is wanted: the next attempt waits. */
static void note_setback(Connection *connection, const char *reason)
{
    retry_failed(&connection->attempts);
    connection->next_attempt =
        time(NULL) + seconds_until(connection, connection->attempts.not_before);
    connection->changed = true;
    reason_set(&connection->last_error, 0, "%s", reason);
}

/* The attempt has failed. */
static void note_failure(Connection *connection, IkeSaEnd end, const char *reason)
{
    const LogFields fields = {.message_id = MESSAGE_NOT_CONNECTED,
                              .peer = flow_peer(&connection->flow),
                              .spi = connection->flow.spi,
                              .error = reason};

    if (sa_list_find(&connection->sas, SA_UP)) {
        log_fields(LOG_ERR, &fields, "no second connection: %s; staying with the first", reason);
    } else {
        log_fields(end == IKE_SA_DELETED_BY_PEER ? LOG_NOTICE : LOG_ERR, &fields,
                   "not connected: %s", reason);
    }
    connection->totals.failures++;
    if (connection->returning) { /* which is no reason to burden anybody less, or more */
        connection->returning = false;
        (void)targets_failed(&connection->targets, now_usec(connection));
        targets_rest(&connection->targets);
    } else if (end == IKE_SA_FAILED && targets_failed(&connection->targets, now_usec(connection))) {
        log_notice("trying the next SeGW");
        connection->asked = true;
    } else {
        note_setback(connection, reason);
    }
}

static void on_closed(void *userdata, IkeSa *sa, IkeSaEnd end, const char *reason)
{
    SaMember *member = userdata;
    Connection *connection = member->owner;
    bool leaving = sa_member_is_leaving(member);
    SaRole role = member->role;
    IkeSaInfo info;

    ike_sa_info(sa, &info);
    if (end == IKE_SA_DELETED_BY_PEER) {
        sa_member_end(member, now_usec(connection));
    } else {
        sa_list_bury(&connection->sas, member);
    }
    if (leaving && connection->wanted) {
        log_info("the IKE SA that was replaced is gone: %s", reason);
    } else {
        reason_set(&connection->reason, 0, "%s", reason);
    }
    if (role == SA_COMING && sa_list_find(&connection->sas, SA_COMING)) {
        log_info("one of several attempts led nowhere: %s", reason);
    } else if (role == SA_COMING && end == IKE_SA_FAILED && connection->other.any.sa_family != 0) {
        log_info("one address of the SeGW led nowhere: %s", reason);
        begin_other(connection);
    } else if (role == SA_COMING && end != IKE_SA_STOPPED) {
        note_failure(connection, end, reason);
    } else if (role == SA_UP && end != IKE_SA_STOPPED) {
        const LogFields fields = {.message_id = MESSAGE_CONNECTION_LOST,
                                  .peer = info.segw_identity,
                                  .spi = info.spi_i,
                                  .error = reason};

        log_fields(end == IKE_SA_DELETED_BY_PEER ? LOG_NOTICE : LOG_ERR, &fields,
                   "the connection has ended: %s", reason);
        if (info.silent)
            targets_lost(&connection->targets, now_usec(connection));
        connection->totals.losses++;
        note_setback(connection, reason);
    }
    settle(connection);
}

static void on_established(void *userdata, IkeSa *sa)
{
    SaMember *member = userdata, *old;
    Connection *connection = member->owner;
    IkeSaInfo info;

    if (member->role != SA_COMING) /* it is to be deleted already */
        return;
    ike_sa_info(sa, &info);
    old = sa_list_find(&connection->sas, SA_UP);
    if (!info.children && old && sa_member_has_child(old)) {
        note_failure(connection, IKE_SA_FAILED, info.refusal);
        sa_member_delete(member);
        settle(connection);
        return;
    }
    if (old)
        sa_member_replace(old, now_usec(connection));
    connection->renewal = false;
    member->role = SA_UP;
    connection->since = time(NULL);
    connection->totals.established++;
    connection->established = true;
    connection->changed = true;
    connection->returning = false;
    targets_worked(&connection->targets, info.segw, now_usec(connection));
    if (info.children) {
        connection->granted = info.children->answer;
        retry_succeeded(&connection->attempts);
        connection->last_error.text[0] = 0;
    } else {
        (void)targets_failed(&connection->targets, now_usec(connection));
        note_setback(connection, info.refusal);
    }
    settle(connection);
}

static void on_child_deleted(void *userdata, IkeSa *sa)
{
    SaMember *member = userdata;
    Connection *connection = member->owner;
    IkeSaInfo info;

    ike_sa_info(sa, &info);
    if (member->role != SA_UP || info.children)
        return;
    const LogFields fields = {.message_id = MESSAGE_NO_CHILD,
                              .peer = info.segw_identity,
                              .spi = info.spi_i,
                              .error = "the SeGW deleted the Child SA"};

    log_fields(LOG_NOTICE, &fields, "the SeGW deleted the Child SA: no traffic can pass");
    note_setback(connection, fields.error);
    settle(connection);
}

static void on_changed(void *userdata, IkeSa *sa)
{
    const SaMember *member = userdata;
    Connection *connection = member->owner;
    (void)sa;

    connection->changed = true;
    settle(connection);
}

/* A second connection is to replace the one in use. */
static void renew(Connection *connection, const char *reason)
{
    if (!connection->wanted || connection->renewal)
        return;
    log_notice("%s; connecting anew", reason);
    connection->renewal = true;
    connection->asked = plan_of(connection).state != CONNECTION_CONNECTING;
    settle(connection);
}

static void on_renew(void *userdata, IkeSa *sa, const char *reason)
{
    const SaMember *member = userdata;
    (void)sa;

    if (member->role == SA_UP)
        renew(member->owner, reason);
}

/* ---- attempts ---- */

static void on_another(void *userdata, IkeSa *sa);

/* Traffic that goes one way by its nature must not lead from one IKE SA to the next. */
static void on_due(void *userdata, IkeSa *sa, IkeSaDue why)
{
    const SaMember *member = userdata;
    Connection *connection = member->owner;
    (void)sa;

    if (why == IKE_SA_DUE_LIFETIME) {
        settle(connection);
        return;
    }
    if (member->role != SA_UP || !connection->wanted ||
        now_usec(connection) < connection->not_deaf_before)
        return;
    connection->not_deaf_before = now_usec(connection) + DEAF_PERIOD_USEC;
    renew(connection, "the SeGW answers, and its ESP does not come, as a NAT between may have "
                      "forgotten this host");
}

/* The others have answered to nobody's name; what they began is wiped without a word to them. */
static void on_authentic(void *userdata, IkeSa *sa)
{
    const SaMember *known = userdata;
    Connection *connection = known->owner;

    for (SaMember *member = connection->sas.first; member; member = member->next) {
        if (member->role == SA_COMING && member->sa != sa)
            sa_list_bury(&connection->sas, member);
    }
}

/* Make-before-break, where there is something to break. */
static bool on_redirected(void *userdata, IkeSa *sa, const Redirect *to)
{
    const SaMember *known = userdata;
    Connection *connection = known->owner;
    IkeSaInfo info;

    if (!connection->wanted || (known->role != SA_COMING && known->role != SA_UP))
        return true;
    if (!redirect_allows(&connection->redirections, now_usec(connection)))
        return false;
    ike_sa_info(sa, &info);
    connection->redirected = false;
    connection->redirect = *to;
    connection->sent_by = *info.segw;
    connection->other = (Endpoint){0};
    for (SaMember *member = connection->sas.first; member; member = member->next) {
        if (member->role == SA_COMING && member->sa != sa)
            sa_list_bury(&connection->sas, member);
    }
    connection->asked = true;
    settle(connection);
    return true;
}

static void on_step(void *userdata, const Step *step)
{
    const SaMember *member = userdata;
    Connection *connection = member->owner;

    flow_add(&connection->flow, step);
}

static void on_rekeyed(void *userdata, IkeSa *sa, const MadeIkeSa *made, bool inherits);

/* Somebody has answered at this address first. What was sent to the other one is forgotten before a
 * second IKE_AUTH could deny the first (RFC 7296 2.4, INITIAL_CONTACT). */
static void on_agreed(void *userdata, IkeSa *sa)
{
    const SaMember *known = userdata;
    Connection *connection = known->owner;
    IkeSaInfo first, info;

    connection->other = (Endpoint){0};
    ike_sa_info(sa, &first);
    for (SaMember *member = connection->sas.first; member; member = member->next) {
        if (member->role != SA_COMING || member->sa == sa)
            continue;
        ike_sa_info(member->sa, &info);
        if (!bytes_equal(endpoint_address(info.segw), endpoint_address(first.segw)))
            sa_list_bury(&connection->sas, member);
    }
}

static const IkeSaHandlers sa_handlers = {.another = on_another,
                                          .agreed = on_agreed,
                                          .authentic = on_authentic,
                                          .established = on_established,
                                          .child_deleted = on_child_deleted,
                                          .rekeyed = on_rekeyed,
                                          .renew = on_renew,
                                          .changed = on_changed,
                                          .closed = on_closed,
                                          .redirected = on_redirected,
                                          .due = on_due,
                                          .step = on_step};

/* Whoever began a rekeying deletes what it makes redundant. */
static void leave_to(SaMember *member, bool peer, uint64_t now)
{
    if (peer) {
        sa_member_replace(member, now);
    } else {
        sa_member_delete(member);
    }
}

static void on_rekeyed(void *userdata, IkeSa *sa, const MadeIkeSa *made, bool inherits)
{
    SaMember *old = userdata, *member = sa_member_new(old->owner);
    Connection *connection = old->owner;

    if (!member || ike_sa_new_made(sa, made, inherits, &sa_handlers, member, &member->sa) < 0) {
        log_error("no memory for the IKE SA that was rekeyed");
        free(member);
        return;
    }
    member->role = inherits ? old->role : SA_COMING;
    sa_list_add(&connection->sas, member);
    leave_to(inherits ? old : member, ike_sa_is_by_peer(member->sa), now_usec(connection));
    connection->changed = true;
    settle(connection);
}

static void on_another(void *userdata, IkeSa *sa)
{
    const SaMember *member = userdata;
    Connection *connection = member->owner;
    SaMember *rival = member->role == SA_COMING ? sa_member_new(connection) : NULL;

    if (!rival)
        return;
    if (ike_sa_new_rival(sa, &sa_handlers, rival, &rival->sa) < 0) {
        free(rival);
        return;
    }
    log_info(
        "another answer to IKE_SA_INIT has come: going on with each until the SeGW is known by "
        "an authentic one (RFC 7296 2.4)");
    sa_list_add(&connection->sas, rival);
    ike_sa_start(rival->sa);
    settle(connection);
}

static int add_sa(Connection *connection, const Endpoint *segw, SaMember **ret)
{
    const SaList *sas = &connection->sas;
    bool alone = !sa_list_find(sas, SA_UP) && !sa_list_has_leaving(sas);
    SaMember *member = sa_member_new(connection);

    if (!member)
        return -ENOMEM;
    int r =
        ike_sa_new(connection->event, connection->tre, connection->config, segw,
                   alone && connection->config->initial_contact, &sa_handlers, member, &member->sa);
    if (r < 0) {
        free(member);
        return r;
    }
    ike_sa_ask_for(member->sa, &connection->granted);
    if (connection->sent_by.any.sa_family != 0)
        ike_sa_sent_by(member->sa, &connection->sent_by);
    sa_list_add(&connection->sas, member);
    *ret = member;
    return 0;
}

static void begin_at(Connection *connection, const Endpoint *segw)
{
    char text[ENDPOINT_TEXT_SIZE];
    SaMember *member = NULL;

    int r = add_sa(connection, segw, &member);
    if (r == 0) {
        ike_sa_start(member->sa);
        return;
    }
    reason_set(&connection->reason, 0,
               "there is no way to the SeGW at %s (%s): check the network and [segw] address",
               endpoint_text(segw, text), strerror(-r));
    if (connection->other.any.sa_family != 0) {
        log_info("%s", connection->reason.text);
        begin_other(connection);
    } else if (!sa_list_find(&connection->sas, SA_COMING)) {
        note_failure(connection, IKE_SA_FAILED, connection->reason.text);
    }
}

/* At an address of the other family, beside the first one or in its place. */
static void begin_other(Connection *connection)
{
    const Endpoint segw = connection->other;

    connection->other = (Endpoint){0};
    begin_at(connection, &segw);
}

static const char *name_now(const Connection *connection)
{
    return connection->redirect.name[0] != 0
               ? connection->redirect.name
               : connection->targets.list[connection->targets.current].name;
}

static void on_resolved(void *userdata, const Endpoint *addresses, size_t count,
                        const char *problem)
{
    Connection *connection = userdata;
    const Endpoint *first, *other;

    connection->resolving = false;
    connection->other = (Endpoint){0};
    if (count > 0) {
        first = targets_address(&connection->targets, addresses, count, &other);
        if (other)
            connection->other = *other;
        connection->race_at = now_usec(connection) + RACE_USEC;
        begin_at(connection, first);
    } else {
        reason_set(&connection->reason, 0,
                   "the SeGW \"%s\" has no address: %s; check [segw] address and the name server",
                   name_now(connection), problem);
        note_failure(connection, IKE_SA_FAILED, connection->reason.text);
    }
    settle(connection);
}

/* Which SeGW, and whether that is for its own sake alone. */
static bool choose(Connection *connection, bool asked)
{
    Targets *targets = &connection->targets;
    const bool up = sa_list_find(&connection->sas, SA_UP);

    if (targets->count == 0 &&
        targets_read(targets, connection->config->segw_address, connection->config->plmn) < 0)
        return false; /* the configuration was read before, and refused if that can be */
    targets->hold = connection->config->return_after;
    connection->returning = up && !asked && !renewal_is_due(connection) &&
                            return_at(connection) <= now_usec(connection);
    return targets_choose(targets, now_usec(connection), connection->returning);
}

/* At whoever is to be tried now. */
static void begin_there(Connection *connection)
{
    const uint16_t port = (uint16_t)connection->config->port;
    Endpoint segw;

    if (endpoint_from_literal(name_now(connection), port, &segw) == 0) {
        on_resolved(connection, &segw, 1, NULL);
        return;
    }
    connection->resolving = true;
    int r = resolver_start(&connection->resolver, name_now(connection), port);
    if (r < 0)
        on_resolved(connection, NULL, 0, strerror(-r));
}

/* A redirection is good for one attempt. */
static void begin(Connection *connection)
{
    const bool asked = connection->asked;

    connection->asked = false;
    if (connection->redirected) {
        connection->redirected = false;
        connection->redirect.name[0] = 0;
        connection->sent_by = (Endpoint){0};
    }
    connection->redirected = connection->redirect.name[0] != 0;
    if (!choose(connection, asked))
        return;
    connection->totals.attempts++;
    flow_begin(&connection->flow);
    if (connection->returning)
        log_info("trying the SeGW %s, which is preferred to this one", name_now(connection));
    begin_there(connection);
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
    bool over = now_usec(connection) >= connection->close_deadline;

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
    settle(userdata);
    return 0;
}

/* When the other family is to be tried, too; SA_LIST_NEVER. */
static uint64_t race_at(const Connection *connection)
{
    return connection->other.any.sa_family != 0 && sa_list_find(&connection->sas, SA_COMING)
               ? connection->race_at
               : SA_LIST_NEVER;
}

/* Sets the timer for whatever comes first of what is to come. */
static void set_timer(Connection *connection, const ConnectionPlan *plan)
{
    uint64_t due = sa_list_deadline(&connection->sas);

    const uint64_t now = now_usec(connection);
    const uint64_t others[] = {renew_at(connection), return_at(connection), race_at(connection)};

    for (size_t i = 0; i < ELEMENTS(others); i++)
        due = others[i] > now && others[i] < due ? others[i] : due;
    if (plan->wait && connection->attempts.not_before < due)
        due = connection->attempts.not_before;
    if (plan->close && connection->close_deadline < due)
        due = connection->close_deadline;
    if (plan->wait && connection->attempts.not_before != connection->announced) {
        connection->announced = connection->attempts.not_before;
        log_info("trying again in %.1f s",
                 ((double)connection->attempts.not_before - (double)now_usec(connection)) /
                     (double)USEC_PER_SEC);
    }
    int r = sd_event_source_set_time(connection->timer, due);
    if (r >= 0) {
        r = sd_event_source_set_enabled(connection->timer,
                                        due == SA_LIST_NEVER ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
    }
    if (r < 0)
        log_error("the connection's timer can't be set: %s", strerror(-r));
}

static void step(Connection *connection)
{
    ConnectionPlan plan = plan_of(connection);

    if (plan.state == CONNECTION_IDLE || plan.close)
        connection->wanted = false;
    if (!plan.close) {
        connection->close_deadline = SA_LIST_NEVER;
    } else if (connection->close_deadline == SA_LIST_NEVER) {
        connection->close_deadline = now_usec(connection) + CLOSE_PATIENCE_USEC;
    }
    if (plan.begin && renew_at(connection) <= now_usec(connection))
        log_notice("this authentication is about to end: making a new one");
    if (plan.begin) { /* first of all, as others can wait to hear of it */
        begin(connection);
        tell(connection, plan.state);
        connection->again = true;
        return;
    }
    if (race_at(connection) <= now_usec(connection) && !plan.close) {
        begin_other(connection);
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
    sa_list_tend(&connection->sas, now_usec(connection));
    set_timer(connection, &plan);
    retry_save(&connection->attempts);
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

void connection_start(Connection *connection)
{
    if (!connection->config->reconnect) {
        connection_open(connection);
        return;
    }
    connection->wanted = true;
    settle(connection);
}

int connection_remember(Connection *connection, const char *folder)
{
    int r = retry_remember(&connection->attempts, folder);

    if (r < 0)
        return r;
    connection->next_attempt =
        time(NULL) + seconds_until(connection, connection->attempts.not_before);
    settle(connection);
    return 0;
}

void connection_close(Connection *connection)
{
    if (!connection->wanted)
        return;
    connection->wanted = false;
    connection->asked = false;
    connection->renewal = false;
    connection->resolving = connection->returning = false;
    connection->other = (Endpoint){0};
    resolver_cancel(&connection->resolver);
    reason_set(&connection->reason, 0, "stopped");
    settle(connection);
}

void connection_allow_retry(Connection *connection, bool allow)
{
    connection->retry = allow;
    settle(connection);
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
        renew(connection, "the Child SA has come to its end");
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
    ConnectionState state = plan_of(connection).state;
    const SaMember *member = sa_list_find(&connection->sas, SA_UP);

    *ret =
        (ConnectionInfo){.state = state,
                         .state_name = connection_state_name(state),
                         .last_error = connection->last_error.text,
                         .since = member ? connection->since : 0,
                         .next_attempt = state == CONNECTION_WAITING ? connection->next_attempt : 0,
                         .flow = &connection->flow,
                         .totals = connection->totals};
    if (!member)
        member = sa_list_find(&connection->sas, SA_COMING);
    if (member) {
        ike_sa_info(member->sa, &ret->sa);
    } else {
        ret->sa = (IkeSaInfo){
            .exchange = "", .identity = "", .segw_identity = "", .suite = "", .refusal = ""};
    }
}

static void on_network(void *userdata)
{
    Connection *connection = userdata;
    SaMember *up = sa_list_find(&connection->sas, SA_UP);

    if (up)
        ike_sa_look_around(up->sa);
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
    resolver_init(&connection->resolver, event, on_resolved, connection);
    int r = sa_list_init(&connection->sas, event);
    if (r >= 0) {
        r = sd_event_add_time(event, &connection->timer, CLOCK_MONOTONIC, SA_LIST_NEVER,
                              ACCURACY_USEC, on_timer, connection);
    }
    if (r >= 0)
        r = sd_event_source_set_enabled(connection->timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    r = netwatch_new(event, on_network, connection, &connection->netwatch);
    if (r < 0) {
        log_warning("changes of this host's addresses are not noticed, as no netlink socket can be "
                    "had (%s): allow AF_NETLINK in the unit",
                    strerror(-r));
    }
    *ret = steal_pointer(connection);
    return 0;
}

void connection_free(Connection *connection)
{
    sa_list_deinit(&connection->sas);
    resolver_deinit(&connection->resolver);
    retry_deinit(&connection->attempts);
    if (connection->netwatch)
        netwatch_free(connection->netwatch);
    flow_deinit(&connection->flow);
    sd_event_source_disable_unref(connection->timer);
    free(connection);
}
