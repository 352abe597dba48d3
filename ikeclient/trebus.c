/* The calls to tred that are under way on the bus, and the signals that tred sends by itself. */
#include "ikeclient/trebus.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/reason.h"
#include "ikeclient/tremessage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* A slow TPM signs within seconds; what takes longer will not come. */
enum { CALL_TIMEOUT_USEC = 15 * 1000 * 1000 };

typedef struct Pending {
    TreBus *tre;       /* NULL: free */
    sd_bus_slot *slot; /* NULL: waits for `description`, or for tred to have loaded its identity */
    TreMethod method;
    TreHandler handler;
    void *userdata;
    bool by_channel;
    sd_bus_message
        *held; /* an answer that waits for signals which it may have overtaken, or NULL */
} Pending;

struct TreBus {
    Tre face; /* first, so that tre_bus_call() finds its way back */
    sd_bus *bus;
    sd_bus *channel; /* past the bus daemon: what calls go over; NULL: they go over the bus */
    sd_bus_slot *channel_slot;
    sd_bus_message
        *description;        /* the answer to TRE_DESCRIBE, while nothing has changed; or NULL, */
    TreReply known;          /* and what it says, whose views are the message's */
    sd_event_source *answer; /* gives it to who waits for it */
    sd_bus_slot *owner_slot;
    sd_bus_slot *closed_slot;
    sd_bus_slot *lifetime_slot;
    sd_bus_slot *expires_slot;
    sd_bus_slot *changed_slot;
    TreBusLost lost;
    TreBusLifetime lifetime;
    TreBusExpires expires;
    void *userdata;
    Pending pending[TRE_PENDING_MAX];
};

/* A tred that has just started says who it is once its TPM has told it. */
static bool is_loading(const TreReply *reply)
{
    return reply->method == TRE_DESCRIBE && reply->outcome == TRE_DONE &&
           strcmp(reply->description.state, "loading") == 0;
}

static void place_free(Pending *place)
{
    sd_bus_slot_unref(place->slot);
    sd_bus_message_unref(place->held);
    *place = (Pending){0};
}

/* ---- answers that came faster than signals ---- */

/* The signals that tred had sent are here, and none of them has ended what asked. */
static int on_signals_here(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Pending *place = userdata;
    const Pending pending = *place;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *held = sd_bus_message_ref(pending.held);
    Reason reason;
    TreReply reply;
    (void)m, (void)unused;

    place_free(place);
    if (held) {
        tre_message_read(held, pending.method, &reason, &reply);
    } else {
        reason_set(&reason, 0,
                   "the trusted environment (" TRE_NAME ") has closed the channel that it was "
                   "called over: see tred's log");
        reply = (TreReply){
            .method = pending.method, .outcome = TRE_GONE, .error = "", .text = reason.text};
    }
    pending.handler(pending.userdata, &reply);
    return 0;
}

/* Closed, which says why, and the end of tred are told over the bus; the error that follows from
 * either comes over the channel, and earlier. So the error waits for the answer to a Ping over the
 * bus, which comes after them. `m` is NULL where the channel has ended instead. */
static void await_signals(Pending *place, sd_bus_message *m)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *ping = NULL;
    TreBus *tre = place->tre;

    place->by_channel = false;
    place->held = sd_bus_message_ref(m);
    place->slot = sd_bus_slot_unref(place->slot);
    int r = sd_bus_message_new_method_call(tre->bus, &ping, TRE_NAME, TRE_PATH,
                                           "org.freedesktop.DBus.Peer", "Ping");
    if (r >= 0)
        r = sd_bus_message_set_auto_start(ping, false);
    if (r >= 0) {
        r = sd_bus_call_async(tre->bus, &place->slot, ping, on_signals_here, place,
                              CALL_TIMEOUT_USEC);
    }
    if (r < 0)
        (void)on_signals_here(NULL, place, NULL);
}

/* True of an error that is not tred's own answer. */
static bool may_have_overtaken(sd_bus_message *m)
{
    const sd_bus_error *error = sd_bus_message_get_error(m);

    return error && strncmp(error->name, TRE_ERROR_PREFIX, strlen(TRE_ERROR_PREFIX)) != 0;
}

static void description_keep(TreBus *tre, sd_bus_message *m, const TreReply *reply)
{
    tre->description = sd_bus_message_ref(m);
    tre->known = *reply;
    tre->known.text = ""; /* as it is of what is done */
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Pending *place = userdata;
    const Pending pending = *place;
    Reason reason;
    TreReply reply;
    (void)unused;

    if (place->by_channel && may_have_overtaken(m)) {
        await_signals(place, m);
        return 0;
    }
    tre_message_read(m, pending.method, &reason, &reply);
    if (is_loading(&reply)) {
        place->slot = sd_bus_slot_unref(place->slot);
        return 0;
    }
    if (pending.method == TRE_DESCRIBE && reply.outcome == TRE_DONE && !pending.tre->description)
        description_keep(pending.tre, m, &reply);
    place_free(place);
    pending.handler(pending.userdata, &reply);
    return 0;
}

/* ---- the channel ---- */

static void channel_drop(TreBus *tre)
{
    for (size_t i = 0; i < ELEMENTS(tre->pending); i++) {
        if (tre->pending[i].by_channel)
            await_signals(&tre->pending[i], NULL);
    }
    tre->channel_slot = sd_bus_slot_unref(tre->channel_slot);
    if (tre->channel)
        (void)sd_bus_detach_event(tre->channel);
    tre->channel = sd_bus_close_unref(tre->channel);
}

/* The descriptor is the message's. */
static int channel_begin(TreBus *tre, int fd)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int r = own < 0 ? -errno : sd_bus_new(&tre->channel);

    if (r >= 0)
        r = sd_bus_set_fd(tre->channel, own, own);
    if (r < 0) {
        close_fdp(&own);
        return r;
    }
    r = sd_bus_set_anonymous(tre->channel, true); /* the bus said who we are */
    if (r >= 0)
        r = sd_bus_negotiate_fds(tre->channel, true);
    if (r >= 0)
        r = sd_bus_start(tre->channel);
    if (r >= 0) {
        r = sd_bus_attach_event(tre->channel, sd_bus_get_event(tre->bus), SD_EVENT_PRIORITY_NORMAL);
    }
    return r;
}

static int on_channel(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    TreBus *tre = userdata;
    int fd = -1;
    (void)unused;

    tre->channel_slot = sd_bus_slot_unref(tre->channel_slot);
    if (sd_bus_message_is_method_error(m, NULL)) /* tred will be asked again when it has come */
        return 0;
    int r = sd_bus_message_read(m, "h", &fd);
    if (r >= 0)
        r = channel_begin(tre, fd);
    if (r < 0) {
        log_warning("calls to tred go over the bus, as no channel can be had: %s", strerror(-r));
        channel_drop(tre);
    }
    return 0;
}

/* Whatever fails here: the bus does, too, and takes a little longer. */
static void channel_ask(TreBus *tre)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

    channel_drop(tre);
    int r = sd_bus_message_new_method_call(tre->bus, &m, TRE_NAME, TRE_PATH, TRE_MANAGER,
                                           "OpenChannel");
    if (r >= 0) /* there is time until a connection is wanted */
        r = sd_bus_message_set_auto_start(m, false);
    if (r >= 0) {
        r = sd_bus_call_async(tre->bus, &tre->channel_slot, m, on_channel, tre, CALL_TIMEOUT_USEC);
    }
    if (r < 0)
        log_warning("tred can't be asked for a channel: %s", strerror(-r));
}

/* What the next call goes over. A channel that tred has closed is no reason to give up. */
static sd_bus *way(TreBus *tre)
{
    if (tre->channel && sd_bus_is_open(tre->channel) <= 0)
        channel_ask(tre);
    return tre->channel ? tre->channel : tre->bus;
}

/* Properties stay as they are until tred announces a change, on the same connection as it answers.
 */
static int on_answer(sd_event_source *source, void *userdata)
{
    TreBus *tre = userdata;
    (void)source;

    for (size_t i = 0; i < ELEMENTS(tre->pending); i++) {
        Pending *place = &tre->pending[i];
        if (!place->tre || place->slot || !tre->description)
            continue;
        /* Held, as the handler may have it forgotten. */
        sd_bus_message *held = sd_bus_message_ref(tre->description);
        const TreReply reply = tre->known;
        const Pending pending = *place;
        place_free(place);
        pending.handler(pending.userdata, &reply);
        sd_bus_message_unref(held);
    }
    return 0;
}

/* True if the answer is there already. */
static bool answer_known(TreBus *tre)
{
    return tre->description && sd_event_source_set_enabled(tre->answer, SD_EVENT_ONESHOT) >= 0;
}

static Pending *free_place(TreBus *tre)
{
    for (size_t i = 0; i < ELEMENTS(tre->pending); i++) {
        if (!tre->pending[i].tre)
            return &tre->pending[i];
    }
    return NULL;
}

static int tre_bus_call(Tre *face, const TreCall *call, TreHandler handler, void *userdata)
{
    TreBus *tre = (TreBus *)face;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

    if (!handler && call->method != TRE_CLOSE && call->method != TRE_REMOVE_CHILD)
        return -EINVAL;
    const bool is_description = call->method == TRE_DESCRIBE;
    /* Properties are read over the bus alone. */
    sd_bus *bus = is_description || call->method == TRE_TRAFFIC ? tre->bus : way(tre);

    int r = tre_message_new(bus, call, &m);
    if (r < 0)
        return r;
    if (!handler) {
        r = sd_bus_message_set_expect_reply(m, false);
        if (r >= 0)
            r = sd_bus_send(bus, m, NULL);
        return r < 0 ? r : 0;
    }

    Pending *place = free_place(tre);
    if (!place)
        return -EBUSY;
    *place = (Pending){.tre = tre,
                       .method = call->method,
                       .handler = handler,
                       .userdata = userdata,
                       .by_channel = bus == tre->channel};
    if (is_description && answer_known(tre))
        return 0;
    r = sd_bus_call_async(bus, &place->slot, m, on_reply, place, CALL_TIMEOUT_USEC);
    if (r < 0)
        *place = (Pending){0};
    return r < 0 ? r : 0;
}

/* Who asked for an exchange has gone before the answer: tred need not hold what nobody will use. */
static void on_unclaimed(void *userdata, const TreReply *reply)
{
    const TreCall close = {.method = TRE_CLOSE,
                           .exchange = reply->method == TRE_ADD_IKE_SA ? reply->exchange
                                                                       : reply->begun.exchange};

    if (reply->outcome == TRE_DONE)
        (void)tre_bus_call(userdata, &close, NULL, NULL);
}

static bool makes_exchange(TreMethod method)
{
    return method == TRE_BEGIN || method == TRE_FORK || method == TRE_ADD_IKE_SA;
}

static void tre_bus_forget(Tre *face, const void *userdata)
{
    TreBus *tre = (TreBus *)face;

    for (size_t i = 0; i < ELEMENTS(tre->pending); i++) {
        Pending *pending = &tre->pending[i];
        if (!pending->tre || pending->userdata != userdata)
            continue;
        if (makes_exchange(pending->method)) {
            pending->handler = on_unclaimed;
            pending->userdata = face;
        } else {
            place_free(pending);
        }
    }
}

/* ---- tred's own signals ---- */

static void description_forget(TreBus *tre)
{
    tre->description = sd_bus_message_unref(tre->description);
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const TreCall call = {.method = TRE_DESCRIBE};
    TreBus *tre = userdata;
    (void)m, (void)unused;

    description_forget(tre);
    for (size_t i = 0; i < ELEMENTS(tre->pending); i++) {
        Pending *place = &tre->pending[i];
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *again = NULL;
        if (!place->tre || place->slot)
            continue;
        int r = tre_message_new(tre->bus, &call, &again);
        if (r >= 0) {
            r = sd_bus_call_async(tre->bus, &place->slot, again, on_reply, place,
                                  CALL_TIMEOUT_USEC);
        }
        if (r < 0)
            log_warning("tred can't be asked again who this device is: %s", strerror(-r));
    }
    return 0;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    TreBus *tre = userdata;
    const char *name = NULL, *old = NULL, *new = NULL;
    (void)unused;

    int r = sd_bus_message_read(m, "sss", &name, &old, &new);
    description_forget(tre);
    if (r >= 0 && old[0] != 0) {
        tre->lost(tre->userdata, NULL,
                  "the trusted environment (tred) has ended, and its keys with it: see tred's log");
        channel_drop(tre);
    }
    if (r >= 0 && new[0] != 0)
        channel_ask(tre);
    return 0;
}

static int on_closed(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    TreBus *tre = userdata;
    const char *reason = NULL;
    (void)unused;

    int r = sd_bus_message_read(m, "s", &reason);
    if (r >= 0)
        tre->lost(tre->userdata, sd_bus_message_get_path(m), reason);
    return 0;
}

static int on_lifetime(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    TreBus *tre = userdata;
    uint32_t spi_in = 0;
    int hard = 0;
    (void)unused;

    int r = sd_bus_message_read(m, "ub", &spi_in, &hard);
    if (r >= 0)
        tre->lifetime(tre->userdata, sd_bus_message_get_path(m), spi_in, hard != 0);
    return 0;
}

static int on_expires(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    TreBus *tre = userdata;
    uint64_t when = 0;
    (void)unused;

    int r = sd_bus_message_read(m, "t", &when);
    if (r >= 0)
        tre->expires(tre->userdata, sd_bus_message_get_path(m), when);
    return 0;
}

int tre_bus_new(sd_bus *bus, TreBusLost lost, TreBusLifetime lifetime, TreBusExpires expires,
                void *userdata, TreBus **ret)
{
    _cleanup_(tre_bus_freep) TreBus *tre = calloc(1, sizeof(*tre));

    if (!tre)
        return -ENOMEM;
    tre->face = (Tre){tre_bus_call, tre_bus_forget};
    tre->bus = sd_bus_ref(bus);
    tre->lost = lost;
    tre->lifetime = lifetime;
    tre->expires = expires;
    tre->userdata = userdata;

    int r = sd_event_add_defer(sd_bus_get_event(bus), &tre->answer, on_answer, tre);
    if (r >= 0)
        r = sd_event_source_set_enabled(tre->answer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    r = sd_bus_add_match_async(bus, &tre->owner_slot,
                               "type='signal',sender='org.freedesktop.DBus',"
                               "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
                               "arg0='" TRE_NAME "'",
                               on_owner_changed, NULL, tre);
    if (r < 0)
        return r;
    r = sd_bus_add_match_async(bus, &tre->closed_slot,
                               "type='signal',sender='" TRE_NAME "',interface='" TRE_EXCHANGE "',"
                               "member='Closed'",
                               on_closed, NULL, tre);
    if (r < 0)
        return r;
    r = sd_bus_add_match_async(bus, &tre->lifetime_slot,
                               "type='signal',sender='" TRE_NAME "',interface='" TRE_EXCHANGE "',"
                               "member='LifetimeReached'",
                               on_lifetime, NULL, tre);
    if (r < 0)
        return r;
    r = sd_bus_add_match_async(bus, &tre->expires_slot,
                               "type='signal',sender='" TRE_NAME "',interface='" TRE_EXCHANGE "',"
                               "member='ExpiresSoon'",
                               on_expires, NULL, tre);
    if (r < 0)
        return r;
    r = sd_bus_add_match_async(bus, &tre->changed_slot,
                               "type='signal',sender='" TRE_NAME "',path='" TRE_PATH "',"
                               "interface='org.freedesktop.DBus.Properties',"
                               "member='PropertiesChanged'",
                               on_changed, NULL, tre);
    if (r < 0)
        return r;
    channel_ask(tre);
    *ret = steal_pointer(tre);
    return 0;
}

void tre_bus_free(TreBus *tre)
{
    for (size_t i = 0; i < ELEMENTS(tre->pending); i++)
        place_free(&tre->pending[i]);
    channel_drop(tre);
    description_forget(tre);
    sd_event_source_disable_unref(tre->answer);
    sd_bus_slot_unref(tre->owner_slot);
    sd_bus_slot_unref(tre->closed_slot);
    sd_bus_slot_unref(tre->lifetime_slot);
    sd_bus_slot_unref(tre->expires_slot);
    sd_bus_slot_unref(tre->changed_slot);
    sd_bus_unref(tre->bus);
    free(tre);
}

Tre *tre_bus_tre(TreBus *tre)
{
    return &tre->face;
}
