/* The life of an IKE SA: its beginning, silence, and its end by us. */
#include "ikeclient/ike_sa_internal.h"

#include "base/reason.h"
#include "ikeclient/liveness.h"
#include "ikeclient/mobike.h"
#include "ikeclient/pacing.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    USEC_PER_SEC = 1000000,
    ACCURACY_USEC = 100000,
    HINT_PERIOD_USEC = 10 * USEC_PER_SEC, /* strangers can't make us ask more often than that */
};

/* ---- silence ---- */

void ike_sa_found_authentic(IkeSa *sa)
{
    init_state_free(steal_pointer(sa->init));
    transport_settle(sa->transport);
    sa->handlers->authentic(sa->userdata, sa);
}

int ike_sa_establish(IkeSa *sa)
{
    sa->established = true;
    if (sa->established_ms == 0)
        sa->established_ms = steps_elapsed_ms(&sa->steps);
    int r = sd_event_now(sa->event, CLOCK_MONOTONIC, &sa->last_heard);
    sa->since = sa->last_heard;
    sa->lifetime = lifetime_usec(sa->config->ike_lifetime);
    if (r >= 0)
        r = upkeep_start(sa);
    if (r >= 0)
        r = liveness_start(sa);
    return r < 0 ? r : 0;
}

bool ike_sa_hint(IkeSa *sa, const char *format, ...)
{
    va_list arguments;
    uint64_t now = 0;

    va_start(arguments, format);
    reason_set_v(&sa->hint, 0, format, arguments);
    va_end(arguments);
    if (!sa->established) {
        if (sa->hinted) {
            report_line(sa->config, LOG_DEBUG, "%s", sa->hint.text);
        } else {
            report_line(
                sa->config, LOG_WARNING,
                "%s. Nobody vouches for that: another answer is waited for, for %.1f s in all",
                sa->hint.text, ike_sa_patience(sa));
        }
        sa->hinted = true;
        return true;
    }
    report_line(sa->config, LOG_DEBUG, "%s", sa->hint.text);
    (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &now);
    if (now < sa->next_hint)
        return false;
    sa->next_hint = now + HINT_PERIOD_USEC;
    ike_sa_check_liveness(sa);
    return true;
}

/* ---- the life of one ---- */

/* One without transport, and with nothing of what an SA has. */
static IkeSa *sa_alloc(sd_event *event, Tre *tre, const Config *config,
                       const IkeSaHandlers *handlers, void *userdata)
{
    _cleanup_(ike_sa_freep) IkeSa *sa = calloc(1, sizeof(*sa));

    if (!sa)
        return NULL;
    sa->event = event;
    sa->tre = tre;
    sa->config = config;
    for (size_t i = 0; i < ELEMENTS(sa->renew_at); i++)
        sa->renew_at[i] = LIFETIME_NEVER;
    sa->handlers = handlers;
    sa->userdata = userdata;
    sa->steps.told = handlers->step;
    sa->steps.config = config;
    sa->steps.userdata = userdata;
    tasks_init(sa);
    sa->tasks.late = mobike_try_others;
    sa->tasks.idle = upkeep_tend;
    peer_queue_init(sa);
    sa->scratch = malloc(IKE_MESSAGE_MAX);
    return sa->scratch ? steal_pointer(sa) : NULL;
}

int ike_sa_new(sd_event *event, Tre *tre, const Config *config, const Endpoint *segw,
               bool initial_contact, const IkeSaHandlers *handlers, void *userdata, IkeSa **ret)
{
    _cleanup_(ike_sa_freep) IkeSa *sa = sa_alloc(event, tre, config, handlers, userdata);

    if (!sa)
        return -ENOMEM;
    sa->initial_contact = initial_contact;
    int r = transport_new(event, segw, ike_sa_receive, ike_sa_network_error, sa, &sa->transport);
    if (r < 0)
        return r;
    *ret = steal_pointer(sa);
    return 0;
}

/* What an IKE SA that was rekeyed leaves to the new one, beside its Child SAs. */
static int copy_facts(const IkeSa *from, IkeSa *to)
{
    const TreDescription description = {.identity = from->identity.identity,
                                        .segw_identity = from->identity.segw_identity,
                                        .data_plane = from->identity.needs_udp ? "user" : "",
                                        .stronger_child = from->identity.stronger_child};

    memcpy(to->peer_identity, from->peer_identity, sizeof(to->peer_identity));
    to->nat = from->nat;
    to->refusal = from->refusal;
    to->assigned = from->assigned;
    memcpy(to->interface, from->interface, sizeof(to->interface));
    to->groups = from->groups;
    memcpy(to->configured, from->configured, sizeof(to->configured));
    to->renewal = from->renewal;
    to->mobike = from->mobike;
    to->heard_at = from->heard_at;
    to->mapping.changes = from->mapping.changes;
    to->stranded = from->stranded;
    to->move.untold = from->move.untold;
    to->own = from->own;
    to->segws = from->segws;
    to->watch.silence = from->watch.silence;
    memcpy(to->renew_at, from->renew_at, sizeof(to->renew_at)); /* RFC 4478 3 */
    to->established_ms = from->established_ms;
    steps_take_over(&to->steps, &from->steps);
    to->steps.spi = to->spi_i;
    return tre_identity_init(&to->identity, &description);
}

static void on_inherited(void *userdata, const TreReply *reply)
{
    IkeSa *heir = userdata;

    if (heir->closed)
        return;
    if (reply->outcome == TRE_DONE) {
        mobike_look(heir); /* the predecessor's move may have waited for its turn, or its word */
        return;
    }
    reason_set(&heir->reason, 0, "tred did not hand the Child SAs over to the new IKE SA: %s",
               reply->text);
    ike_sa_end(heir, IKE_SA_LOST);
}

/* From here on what comes for a Child SA concerns the heir; tred takes the calls in this order. */
static int inherit(IkeSa *sa, IkeSa *heir)
{
    const TreCall call = {.method = TRE_INHERIT_CHILDREN, .exchange = heir->exchange};

    int r = tre_call(sa->tre, &call, on_inherited, heir);
    if (r < 0)
        return r;
    sa->heir = heir;
    heir->predecessor = sa;
    heir->children = steal_pointer(sa->children);
    tasks_drop_waiting(sa);
    return 0;
}

int ike_sa_new_made(IkeSa *sa, const MadeIkeSa *made, bool inherits, const IkeSaHandlers *handlers,
                    void *userdata, IkeSa **ret)
{
    const TreCall close = {.method = TRE_CLOSE, .exchange = made->exchange};
    _cleanup_(ike_sa_freep) IkeSa *new =
        sa_alloc(sa->event, sa->tre, sa->config, handlers, userdata);

    if (!new) {
        (void)tre_call(sa->tre, &close, NULL, NULL);
        return -ENOMEM;
    }
    memcpy(new->exchange, made->exchange, sizeof(new->exchange));
    memcpy(new->suite, made->suite, sizeof(new->suite));
    new->responder = made->by_peer;
    new->spi_i = made->spi_i;
    new->spi_r = made->spi_r;
    int r = copy_facts(sa, new);
    if (r == 0)
        r = transport_share(sa->transport, ike_sa_receive, ike_sa_network_error, new);
    if (r < 0)
        return r;
    new->transport = sa->transport;
    if (inherits)
        r = inherit(sa, new);
    if (r == 0)
        r = ike_sa_establish(new);
    if (r == 0)
        *ret = steal_pointer(new);
    return r;
}

static void forget_kin(IkeSa *sa)
{
    if (sa->predecessor)
        sa->predecessor->heir = NULL;
    if (sa->heir)
        sa->heir->predecessor = NULL;
}

void ike_sa_free(IkeSa *sa)
{
    if (!sa->closed)
        ike_sa_close_exchange(sa);
    for (size_t i = 0; i < ELEMENTS(sa->flights); i++)
        flight_free(&sa->flights[i]);
    tasks_deinit(sa);
    peer_queue_deinit(sa);
    tre_forget(sa->tre, sa);
    liveness_stop(sa);
    mobike_stop(sa);
    sd_event_source_disable_unref(sa->upkeep);
    forget_kin(sa);
    if (sa->transport)
        transport_leave(sa->transport, sa);
    init_state_free(sa->init);
    child_sas_free(sa->children);
    tre_identity_deinit(&sa->identity);
    free(sa->segw_anchors);
    free(sa->scratch);
    free(sa);
}

int ike_sa_new_rival(IkeSa *sa, const IkeSaHandlers *handlers, void *userdata, IkeSa **ret)
{
    _cleanup_(ike_sa_freep) IkeSa *rival = NULL;
    Endpoint segw = *transport_remote(sa->transport);
    InitState *init = init_state_for_rival(sa);

    if (!init)
        return -ENOENT;
    endpoint_set_port(&segw, (uint16_t)sa->config->port);
    int r = ike_sa_new(sa->event, sa->tre, sa->config, &segw, sa->initial_contact, handlers,
                       userdata, &rival);
    if (r >= 0 && sa->segw_anchors) {
        rival->segw_anchors = malloc(sa->n_segw_anchors * TRE_HASH_SIZE + 1);
        r = rival->segw_anchors ? 0 : -ENOMEM;
    }
    if (r < 0) {
        init_state_free(init);
        return r;
    }
    if (sa->segw_anchors)
        memcpy(rival->segw_anchors, sa->segw_anchors, sa->n_segw_anchors * TRE_HASH_SIZE);
    rival->n_segw_anchors = sa->n_segw_anchors;
    rival->init = init;
    rival->spi_i = sa->spi_i;
    memcpy(rival->segw_identity, sa->segw_identity, sizeof(rival->segw_identity));
    steps_take_over(&rival->steps, &sa->steps);
    memcpy(rival->wanted, sa->wanted, sizeof(rival->wanted));
    rival->n_wanted = sa->n_wanted;
    (void)snprintf(rival->forked_from, sizeof(rival->forked_from), "%s", sa->exchange);
    *ret = steal_pointer(rival);
    return 0;
}

void ike_sa_ask_for(IkeSa *sa, const ChildAnswer *answer)
{
    memcpy(sa->wanted, answer->addresses, sizeof(sa->wanted));
    sa->n_wanted = answer->n_addresses;
}

void ike_sa_sent_by(IkeSa *sa, const Endpoint *segw)
{
    sa->redirected_from = *segw;
}

bool ike_sa_has_inner(const IkeSa *sa, const Endpoint *address)
{
    return mobike_has_inner(sa, address);
}

void ike_sa_look_around(IkeSa *sa)
{
    mobike_look(sa);
}

void ike_sa_expires(IkeSa *sa, uint64_t seconds)
{
    if (!sa->closed)
        ike_sa_limit(sa, IKE_SA_LIMIT_CERTIFICATE, seconds);
}

void ike_sa_start(IkeSa *sa)
{
    int r = task_add(sa, sa->forked_from[0] != 0 ? &rival_task : &init_task);
    if (r < 0)
        ike_sa_fail(sa, r);
}

/* True if the SeGW may hold an SA that it takes for authenticated, which a Delete has to end. */
static bool is_known_to_peer(const IkeSa *sa)
{
    const Task *task = task_find(sa, &auth_task);

    return sa->established || (task && task->phase >= TASK_SENT);
}

void ike_sa_stop(IkeSa *sa)
{
    if (sa->closed || ike_sa_is_closing(sa))
        return;
    reason_set(&sa->reason, 0, "stopped");
    if (!is_known_to_peer(sa)) {
        ike_sa_end(sa, IKE_SA_STOPPED);
        return;
    }
    int r = ike_sa_delete(sa, IKE_SA_STOPPED);
    if (r < 0)
        ike_sa_fail(sa, r);
}

void ike_sa_lose(IkeSa *sa, const char *exchange, const char *reason)
{
    if (sa->closed || sa->exchange[0] == 0 || (exchange && strcmp(exchange, sa->exchange) != 0))
        return;
    reason_set(&sa->reason, 0, "%s", reason);
    ike_sa_end(sa, IKE_SA_LOST);
}

void ike_sa_hold_delete(IkeSa *sa, bool hold)
{
    peer_queue_hold_delete(sa, hold);
}

bool ike_sa_is(const IkeSa *sa, const char *exchange)
{
    return strcmp(exchange, sa->exchange) == 0;
}

void ike_sa_info(const IkeSa *sa, IkeSaInfo *ret)
{
    uint64_t renew_at = LIFETIME_NEVER;

    for (size_t i = 0; i < ELEMENTS(sa->renew_at); i++)
        renew_at = sa->renew_at[i] < renew_at ? sa->renew_at[i] : renew_at;
    *ret = (IkeSaInfo){
        .exchange = sa->exchange,
        .spi_i = sa->spi_i,
        .identity = sa->identity.identity ? sa->identity.identity : "",
        .segw_identity = sa->peer_identity,
        .suite = sa->suite,
        .established = sa->established && !sa->closed && !ike_sa_is_closing(sa),
        .silent = sa->silent,
        .nat = sa->nat.here || sa->nat.there,
        .children = sa->children,
        .interface = sa->children ? sa->interface : "",
        .renew_at = renew_at,
        .refusal = sa->refusal.text,
        .segw = transport_remote(sa->transport),
        .external = sa->assigned.external.any.sa_family != 0 ? &sa->assigned.external : NULL,
        .milliseconds = sa->established_ms,
    };
    for (size_t i = 0; i < ELEMENTS(sa->configured); i++)
        ret->missing[i] = sa->configured[i].reason.text;
}

/* ---- rekeying ---- */

bool ike_sa_is_by_peer(const IkeSa *sa)
{
    return sa->responder;
}

bool ike_sa_has_current_child(const IkeSa *sa, uint32_t spi_in)
{
    const ChildSa *child = child_sas_find(sa->children, spi_in);

    return child && child_sa_is_current(sa->children, child);
}

void ike_sa_rekey_child(IkeSa *sa, uint32_t spi_in)
{
    for (ChildSa *child = sa->children; child; child = child->next)
        child->due = child->due || spi_in == 0 || child->spi_in == spi_in;
    upkeep_tend(sa);
}

void ike_sa_rekey(IkeSa *sa)
{
    sa->due = true;
    upkeep_tend(sa);
}

void ike_sa_retire(IkeSa *sa)
{
    sa->retired = true;
}
