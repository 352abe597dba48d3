/* Attempts of a connection: at which SeGW and address, beside which other one, and what follows
 * from their failure. */
#include "ikeclient/connection_internal.h"

#include "base/messages.h"

#include <errno.h>
#include <string.h>

/* RFC 8305 5: before an address of the other family is tried, too. */
#define RACE_USEC (UINT64_C(250) * USEC_PER_MS)

time_t connection_seconds_until(const Connection *connection, uint64_t when)
{
    const uint64_t now = connection_now(connection);

    return when > now ? (time_t)((when - now + USEC_PER_SEC - 1) / USEC_PER_SEC) : 0;
}

void connection_set_back(Connection *connection, const char *reason)
{
    retry_failed(&connection->attempts);
    connection->next_attempt =
        time(NULL) + connection_seconds_until(connection, connection->attempts.not_before);
    connection->changed = true;
    reason_set(&connection->last_error, 0, "%s", reason);
}

void connection_attempt_failed(Connection *connection, IkeSaEnd end, const char *reason)
{
    const LogFields fields = {.message_id = MESSAGE_NOT_CONNECTED,
                              .peer = flow_peer(&connection->flow),
                              .spi = connection->flow.spi,
                              .error = reason};

    if (sa_list_find(&connection->sas, SA_UP)) {
        report_fields(connection->config, LOG_ERR, &fields,
                      "no second connection: %s; staying with the first", reason);
    } else {
        report_fields(connection->config, end == IKE_SA_DELETED_BY_PEER ? LOG_NOTICE : LOG_ERR,
                      &fields, "not connected: %s", reason);
    }
    connection->totals.failures++;
    if (connection->returning) { /* which is no reason to burden anybody less, or more */
        connection->returning = false;
        (void)targets_failed(&connection->targets, connection_now(connection));
        targets_rest(&connection->targets);
    } else if (end == IKE_SA_FAILED &&
               targets_failed(&connection->targets, connection_now(connection))) {
        report_line(connection->config, LOG_NOTICE, "trying the next SeGW");
        connection->asked = true;
    } else {
        targets_rest(&connection->targets);
        connection_set_back(connection, reason);
    }
}

static int add_sa(Connection *connection, const Endpoint *segw, SaMember **ret)
{
    const SaList *sas = &connection->sas;
    /* The SeGW drops what else it has of us (RFC 7296 2.4), that of our other connections, too. */
    bool alone = !sa_list_find(sas, SA_UP) && !sa_list_has_leaving(sas) &&
                 !connection->handlers->others_have_sa_with(connection->userdata, segw);
    SaMember *member = sa_member_new(connection);

    if (!member)
        return -ENOMEM;
    int r = ike_sa_new(connection->event, connection->tre, connection->config, segw,
                       alone && connection->config->initial_contact, &connection_sa_handlers,
                       member, &member->sa);
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
        report_line(connection->config, LOG_INFO, "%s", connection->reason.text);
        connection_begin_other(connection);
    } else if (!sa_list_find(&connection->sas, SA_COMING)) {
        connection_attempt_failed(connection, IKE_SA_FAILED, connection->reason.text);
    }
}

void connection_begin_other(Connection *connection)
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

uint64_t connection_race_at(const Connection *connection)
{
    return connection->other.any.sa_family != 0 && sa_list_find(&connection->sas, SA_COMING)
               ? connection->race_at
               : SA_LIST_NEVER;
}

void connection_resolved(void *userdata, const Endpoint *addresses, size_t count,
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
        connection->race_at = connection_now(connection) + RACE_USEC;
        begin_at(connection, first);
    } else {
        reason_set(&connection->reason, 0,
                   "the SeGW \"%s\" has no address: %s; check [segw] address and the name server",
                   name_now(connection), problem);
        connection_attempt_failed(connection, IKE_SA_FAILED, connection->reason.text);
    }
    connection_settle(connection);
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
    connection->returning = up && !asked && !connection_renewal_is_due(connection) &&
                            connection_return_at(connection) <= connection_now(connection);
    return targets_choose(targets, connection_now(connection), connection->returning);
}

/* At whoever is to be tried now. */
static void begin_there(Connection *connection)
{
    const uint16_t port = (uint16_t)connection->config->port;
    Endpoint segw;

    if (endpoint_from_literal(name_now(connection), port, &segw) == 0) {
        connection_resolved(connection, &segw, 1, NULL);
        return;
    }
    connection->resolving = true;
    int r = resolver_start(&connection->resolver, name_now(connection), port);
    if (r < 0)
        connection_resolved(connection, NULL, 0, strerror(-r));
}

void connection_begin(Connection *connection)
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
    if (connection->returning) {
        report_line(connection->config, LOG_INFO,
                    "trying the SeGW %s, which is preferred to this one", name_now(connection));
    }
    begin_there(connection);
}
