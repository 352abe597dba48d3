/* In which state does which event do what? An IKE SA's life as a table. */
#include "ikeclient/association_internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USEC_PER_SEC = 1000000, ACCURACY_USEC = 100000 };

typedef struct Transition {
    int (*act)(Association *a, const AssociationInput *input); /* NULL: the event is passed over */
    AssociationState next;                                     /* when act() returns 0 */
} Transition;

/* clang-format off */
static const Transition table[STATES][EVENTS] = {
    [STATE_IDLE] = {
        [EVENT_START]         = {action_describe,        STATE_PREPARING},
        [EVENT_STOP]          = {action_stop_now,        STATE_CLOSED},
    },
    [STATE_PREPARING] = {
        [EVENT_DESCRIBED]     = {action_begin,           STATE_PREPARING},
        [EVENT_BEGUN]         = {action_send_init,       STATE_INIT_SENT},
        [EVENT_STOP]          = {action_stop_now,        STATE_CLOSED},
    },
    [STATE_INIT_SENT] = { /* steps 1 and 2 */
        [EVENT_INIT_COOKIE]   = {action_send_init_again, STATE_INIT_SENT},
        [EVENT_INIT_GROUP]    = {action_choose_group,    STATE_REGROUPING},
        [EVENT_INIT_ANSWER]   = {action_agree,           STATE_AGREEING},
        [EVENT_GAVE_UP]       = {action_give_up,         STATE_CLOSED},
        [EVENT_STOP]          = {action_stop_now,        STATE_CLOSED},
    },
    [STATE_REGROUPING] = {
        [EVENT_GROUP_CHOSEN]  = {action_take_group,      STATE_INIT_SENT},
        [EVENT_GAVE_UP]       = {action_give_up,         STATE_CLOSED},
        [EVENT_STOP]          = {action_stop_now,        STATE_CLOSED},
    },
    [STATE_AGREEING] = {
        [EVENT_AGREED]        = {action_sign,            STATE_SIGNING},
        [EVENT_AGREE_REFUSED] = {action_keep_waiting,    STATE_INIT_SENT},
        [EVENT_GAVE_UP]       = {action_give_up,         STATE_CLOSED},
        [EVENT_STOP]          = {action_stop_now,        STATE_CLOSED},
    },
    [STATE_SIGNING] = { /* step 3 */
        [EVENT_TRANSPORT_OPENED] = {action_float,        STATE_SIGNING},
        [EVENT_SPI_ALLOCATED] = {action_take_spi,        STATE_SIGNING},
        [EVENT_SIGNED]        = {action_seal_auth,       STATE_SIGNING},
        [EVENT_SEALED]        = {action_send_auth,       STATE_AUTH_SENT},
        [EVENT_STOP]          = {action_stop_now,        STATE_CLOSED},
    },
    [STATE_AUTH_SENT] = { /* steps 4 and 5 */
        [EVENT_RESPONSE]      = {action_verify,          STATE_VERIFYING},
        [EVENT_GAVE_UP]       = {action_give_up,         STATE_CLOSED},
        [EVENT_STOP]          = {action_stop_later,      STATE_AUTH_SENT},
    },
    [STATE_VERIFYING] = { /* step 6 */
        [EVENT_VERIFIED]      = {action_add_child,       STATE_ADDING_CHILD},
        [EVENT_PEER_REFUSED]  = {action_refuse_peer,     STATE_REFUSING},
        [EVENT_STOP]          = {action_stop_later,      STATE_VERIFYING},
    },
    [STATE_ADDING_CHILD] = {
        [EVENT_CHILD_ADDED]   = {action_establish,       STATE_ESTABLISHED},
        [EVENT_CHILD_REFUSED] = {action_refuse_child,    STATE_DELETING},
        [EVENT_STOP]          = {action_stop_later,      STATE_ADDING_CHILD},
    },
    [STATE_ESTABLISHED] = { /* step 7 */
        [EVENT_REQUEST]       = {action_answer,          STATE_ESTABLISHED},
        [EVENT_SILENCE]       = {action_check,           STATE_ESTABLISHED},
        [EVENT_SEALED]        = {action_send_check,      STATE_ESTABLISHED},
        [EVENT_RESPONSE]      = {action_alive,           STATE_ESTABLISHED},
        [EVENT_GAVE_UP]       = {action_dead,            STATE_CLOSED},
        [EVENT_STOP]          = {action_delete,          STATE_DELETING},
    },
    [STATE_REFUSING] = {
        [EVENT_SEALED]        = {action_send_closing,    STATE_REFUSING},
        [EVENT_RESPONSE]      = {action_finish,          STATE_CLOSED},
        [EVENT_GAVE_UP]       = {action_finish,          STATE_CLOSED},
    },
    [STATE_DELETING] = {
        [EVENT_SEALED]        = {action_send_closing,    STATE_DELETING},
        [EVENT_REQUEST]       = {action_answer,          STATE_DELETING},
        [EVENT_RESPONSE]      = {action_finish,          STATE_CLOSED},
        [EVENT_GAVE_UP]       = {action_finish,          STATE_CLOSED},
    },
};
/* clang-format on */

void association_dispatch(Association *a, AssociationEvent event, const AssociationInput *input)
{
    const Transition *transition = &table[a->state][event];

    if (!transition->act)
        return;
    int r = transition->act(a, input);
    if (r < 0) {
        association_explain(a, "the IKE client failed: %s", strerror(-r));
        (void)association_end(a, ASSOCIATION_FAILED);
    } else if (r == 0) {
        a->state = transition->next;
    }
}

void association_explain(Association *a, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(a->reason, sizeof(a->reason), format, arguments);
    va_end(arguments);
}

int association_end(Association *a, AssociationEnd end)
{
    if (a->state == STATE_CLOSED)
        return ASSOCIATION_STATE_SET;
    a->state = STATE_CLOSED;
    retransmit_stop(&a->retransmit);
    if (a->exchange[0] != 0) {
        TreCall call = {.method = TRE_CLOSE, .exchange = a->exchange};
        (void)tre_call(a->tre, &call, NULL, NULL);
    }
    a->handlers->closed(a->userdata, a, end, a->reason);
    return ASSOCIATION_STATE_SET;
}

void association_drop(Association *a, const char *why)
{
    unsigned suppressed = 0;
    uint64_t now = 0;

    (void)sd_event_now(a->event, CLOCK_MONOTONIC, &now);
    if (ratelimit_allows(&a->drops, now, &suppressed))
        log_debug("dropped a datagram: %s (%u more before it)", why, suppressed);
}

/* ---- tred's answers as events ---- */

static const AssociationEvent done_events[TRE_METHODS] = {
    [TRE_DESCRIBE] = EVENT_DESCRIBED,        [TRE_BEGIN] = EVENT_BEGUN,
    [TRE_CHOOSE_GROUP] = EVENT_GROUP_CHOSEN, [TRE_AGREE] = EVENT_AGREED,
    [TRE_SIGN_AUTH] = EVENT_SIGNED,          [TRE_PROTECT] = EVENT_SEALED,
    [TRE_VERIFY_PEER] = EVENT_VERIFIED,      [TRE_ALLOCATE_SPI] = EVENT_SPI_ALLOCATED,
    [TRE_ADD_CHILD] = EVENT_CHILD_ADDED,     [TRE_OPEN_TRANSPORT] = EVENT_TRANSPORT_OPENED,
};

static void on_reply(void *userdata, const TreReply *reply)
{
    Association *a = userdata;
    AssociationInput input = {.reply = reply};

    if (reply->outcome == TRE_GONE) {
        association_explain(a, "%s", reply->text);
        (void)association_end(a, ASSOCIATION_LOST);
    } else if (reply->outcome == TRE_DONE) {
        association_dispatch(a, done_events[reply->method], &input);
    } else if (reply->method == TRE_AGREE) {
        association_dispatch(a, EVENT_AGREE_REFUSED, &input);
    } else if (reply->method == TRE_VERIFY_PEER) {
        association_dispatch(a, EVENT_PEER_REFUSED, &input);
    } else if (reply->method == TRE_ADD_CHILD) {
        association_dispatch(a, EVENT_CHILD_REFUSED, &input);
    } else {
        association_explain(a, "tred refused (%s): %s", reply->error, reply->text);
        (void)association_end(a, ASSOCIATION_FAILED);
    }
}

int association_call(Association *a, TreCall *call)
{
    call->exchange = a->exchange[0] != 0 ? a->exchange : NULL;
    return tre_call(a->tre, call, on_reply, a);
}

/* ---- what we send ---- */

void association_send_request(Association *a)
{
    transport_send_all(a->transport, &a->request);
}

void association_send_answer(Association *a)
{
    transport_send_all(a->transport, &a->answer);
}

static void on_retransmit(void *userdata, bool gave_up)
{
    Association *a = userdata;
    AssociationInput input = {0};

    if (!gave_up) {
        log_debug("no answer yet: sending the request again");
        association_send_request(a);
        return;
    }
    a->request_open = false;
    association_dispatch(a, EVENT_GAVE_UP, &input);
}

int association_await(Association *a, uint32_t message_id, unsigned tries_max)
{
    unsigned tries = (unsigned)a->config->retransmit_tries;
    RetransmitSchedule schedule = {a->config->retransmit_timeout,
                                   tries < tries_max ? tries : tries_max};

    a->request_open = true;
    a->request_id = message_id;
    return retransmit_start(&a->retransmit, schedule);
}

/* ---- what we listen for ---- */

static int on_liveness(sd_event_source *source, uint64_t usec, void *userdata)
{
    Association *a = userdata;
    uint64_t patience = a->config->liveness * USEC_PER_SEC;
    bool silent = usec - a->last_heard >= patience;
    AssociationInput input = {0};

    int r = sd_event_source_set_time(source, (silent ? usec : a->last_heard) + patience);
    if (r >= 0)
        r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    if (r >= 0 && silent)
        association_dispatch(a, EVENT_SILENCE, &input);
    return r < 0 ? r : 0;
}

int association_watch(Association *a)
{
    int r = sd_event_now(a->event, CLOCK_MONOTONIC, &a->last_heard);
    if (r < 0 || a->config->liveness == 0)
        return r < 0 ? r : 0;
    return sd_event_add_time(a->event, &a->liveness, CLOCK_MONOTONIC,
                             a->last_heard + a->config->liveness * USEC_PER_SEC, ACCURACY_USEC,
                             on_liveness, a);
}

/* ---- the life of one ---- */

int association_new(sd_event *event, Tre *tre, const Config *config, const Endpoint *segw,
                    bool initial_contact, const AssociationHandlers *handlers, void *userdata,
                    Association **ret)
{
    _cleanup_(association_freep) Association *a = calloc(1, sizeof(*a));

    if (!a)
        return -ENOMEM;
    a->event = event;
    a->tre = tre;
    a->config = config;
    a->segw = *segw;
    a->initial_contact = initial_contact;
    a->handlers = handlers;
    a->userdata = userdata;
    retransmit_init(&a->retransmit, event, on_retransmit, a);

    int r = transport_new(event, segw, association_receive, association_hint, a, &a->transport);
    if (r < 0)
        return r;
    *ret = steal_pointer(a);
    return 0;
}

void association_free(Association *a)
{
    if (a->state != STATE_CLOSED && a->exchange[0] != 0) {
        TreCall call = {.method = TRE_CLOSE, .exchange = a->exchange};
        (void)tre_call(a->tre, &call, NULL, NULL);
    }
    tre_forget(a->tre, a);
    for (size_t i = 0; i < ELEMENTS(a->opens); i++) {
        tre_forget(a->tre, &a->opens[i]);
        free(a->opens[i].request);
    }
    sd_event_source_disable_unref(a->liveness);
    retransmit_deinit(&a->retransmit);
    if (a->transport)
        transport_free(a->transport);
    datagrams_deinit(&a->request);
    datagrams_deinit(&a->answer);
    free(a->answered);
    tre_identity_deinit(&a->identity);
    free(a);
}

void association_start(Association *a)
{
    AssociationInput input = {0};

    association_dispatch(a, EVENT_START, &input);
}

void association_stop(Association *a)
{
    AssociationInput input = {0};

    association_dispatch(a, EVENT_STOP, &input);
}

void association_lose(Association *a, const char *exchange, const char *reason)
{
    if (a->exchange[0] == 0 || (exchange && strcmp(exchange, a->exchange) != 0))
        return;
    association_explain(a, "%s", reason);
    (void)association_end(a, ASSOCIATION_LOST);
}

bool association_is(const Association *a, const char *exchange)
{
    return strcmp(exchange, a->exchange) == 0;
}

void association_info(const Association *a, AssociationInfo *ret)
{
    *ret = (AssociationInfo){
        .identity = a->identity.identity ? a->identity.identity : "",
        .segw_identity = a->peer_identity,
        .suite = a->suite,
        .established = a->state == STATE_ESTABLISHED,
        .nat = a->nat.here || a->nat.there,
        .has_child = a->has_child,
        .child = &a->child,
        .segw = transport_remote(a->transport),
        .milliseconds = a->established_ms,
    };
}
