/* What the IKE SAs of a connection tell it: each handler notes a fact, and lets connection_settle()
 * say what follows. */
#include "ikeclient/connection_internal.h"

#include "base/messages.h"

#include <stdlib.h>

/* Between two IKE SAs that are replaced as no ESP comes through them. */
#define DEAF_PERIOD_USEC (UINT64_C(600) * USEC_PER_SEC)

static void on_closed(void *userdata, IkeSa *sa, IkeSaEnd end, const char *reason)
{
    SaMember *member = userdata;
    Connection *connection = member->owner;
    bool leaving = sa_member_is_leaving(member);
    SaRole role = member->role;
    IkeSaInfo info;

    ike_sa_info(sa, &info);
    if (end == IKE_SA_DELETED_BY_PEER) {
        sa_member_end(member, connection_now(connection));
    } else {
        sa_list_bury(&connection->sas, member);
    }
    if (leaving && connection->wanted) {
        report_line(connection->config, LOG_INFO, "the IKE SA that was replaced is gone: %s",
                    reason);
    } else {
        reason_set(&connection->reason, 0, "%s", reason);
    }
    if (role == SA_COMING && sa_list_find(&connection->sas, SA_COMING)) {
        report_line(connection->config, LOG_INFO, "one of several attempts led nowhere: %s",
                    reason);
    } else if (role == SA_COMING && end == IKE_SA_FAILED && connection->other.any.sa_family != 0) {
        report_line(connection->config, LOG_INFO, "one address of the SeGW led nowhere: %s",
                    reason);
        connection_begin_other(connection);
    } else if (role == SA_COMING && end != IKE_SA_STOPPED) {
        connection_attempt_failed(connection, end, reason);
    } else if (role == SA_UP && end != IKE_SA_STOPPED) {
        const LogFields fields = {.message_id = MESSAGE_CONNECTION_LOST,
                                  .peer = info.segw_identity,
                                  .spi = info.spi_i,
                                  .error = reason};

        report_fields(connection->config, end == IKE_SA_DELETED_BY_PEER ? LOG_NOTICE : LOG_ERR,
                      &fields, "the connection has ended: %s", reason);
        if (info.silent)
            targets_lost(&connection->targets, connection_now(connection));
        connection->totals.losses++;
        connection_set_back(connection, reason);
    }
    connection_settle(connection);
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
        connection_attempt_failed(connection, IKE_SA_FAILED, info.refusal);
        sa_member_delete(member);
        connection_settle(connection);
        return;
    }
    if (old)
        sa_member_replace(old, connection_now(connection));
    connection->renewal = false;
    member->role = SA_UP;
    connection->since = time(NULL);
    connection->totals.established++;
    connection->established = true;
    connection->changed = true;
    connection->returning = false;
    targets_worked(&connection->targets, info.segw, connection_now(connection));
    if (info.children) {
        connection->granted = info.children->answer;
        retry_succeeded(&connection->attempts);
        connection->last_error.text[0] = 0;
    } else {
        (void)targets_failed(&connection->targets, connection_now(connection));
        connection_set_back(connection, info.refusal);
    }
    connection_settle(connection);
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

    report_fields(connection->config, LOG_NOTICE, &fields,
                  "the SeGW deleted the Child SA: no traffic can pass");
    connection_set_back(connection, fields.error);
    connection_settle(connection);
}

static void on_changed(void *userdata, IkeSa *sa)
{
    const SaMember *member = userdata;
    Connection *connection = member->owner;
    (void)sa;

    connection->changed = true;
    connection_settle(connection);
}

void connection_renew(Connection *connection, const char *reason)
{
    if (!connection->wanted || connection->renewal)
        return;
    report_line(connection->config, LOG_NOTICE, "%s; connecting anew", reason);
    connection->renewal = true;
    connection->asked = connection_plan_of(connection).state != CONNECTION_CONNECTING;
    connection_settle(connection);
}

static void on_renew(void *userdata, IkeSa *sa, const char *reason)
{
    const SaMember *member = userdata;
    (void)sa;

    if (member->role == SA_UP)
        connection_renew(member->owner, reason);
}

/* Traffic that goes one way by its nature must not lead from one IKE SA to the next. */
static void on_due(void *userdata, IkeSa *sa, IkeSaDue why)
{
    const SaMember *member = userdata;
    Connection *connection = member->owner;
    (void)sa;

    if (why == IKE_SA_DUE_LIFETIME) {
        connection_settle(connection);
        return;
    }
    if (member->role != SA_UP || !connection->wanted ||
        connection_now(connection) < connection->not_deaf_before)
        return;
    connection->not_deaf_before = connection_now(connection) + DEAF_PERIOD_USEC;
    connection_renew(connection,
                     "the SeGW answers, and its ESP does not come, as a NAT between may have "
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
    if (!redirect_allows(&connection->redirections, connection_now(connection)))
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
    connection_settle(connection);
    return true;
}

static void on_step(void *userdata, const Step *step)
{
    const SaMember *member = userdata;
    Connection *connection = member->owner;

    flow_add(&connection->flow, step);
}

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
        if (!endpoint_same_address(info.segw, first.segw))
            sa_list_bury(&connection->sas, member);
    }
}

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

    if (!member ||
        ike_sa_new_made(sa, made, inherits, &connection_sa_handlers, member, &member->sa) < 0) {
        report_line(connection->config, LOG_ERR, "no memory for the IKE SA that was rekeyed");
        free(member);
        return;
    }
    member->role = inherits ? old->role : SA_COMING;
    sa_list_add(&connection->sas, member);
    leave_to(inherits ? old : member, ike_sa_is_by_peer(member->sa), connection_now(connection));
    connection->changed = true;
    connection_settle(connection);
}

static void on_another(void *userdata, IkeSa *sa)
{
    const SaMember *member = userdata;
    Connection *connection = member->owner;
    SaMember *rival = member->role == SA_COMING ? sa_member_new(connection) : NULL;

    if (!rival)
        return;
    if (ike_sa_new_rival(sa, &connection_sa_handlers, rival, &rival->sa) < 0) {
        free(rival);
        return;
    }
    report_line(
        connection->config, LOG_INFO,
        "another answer to IKE_SA_INIT has come: going on with each until the SeGW is known by "
        "an authentic one (RFC 7296 2.4)");
    sa_list_add(&connection->sas, rival);
    ike_sa_start(rival->sa);
    connection_settle(connection);
}

static bool on_is_inner(void *userdata, const Endpoint *address)
{
    const SaMember *member = userdata;
    const Connection *connection = member->owner;

    return connection->handlers->is_inner(connection->userdata, address);
}

const IkeSaHandlers connection_sa_handlers = {.another = on_another,
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
                                              .step = on_step,
                                              .is_inner = on_is_inner};
