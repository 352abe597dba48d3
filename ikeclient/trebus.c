/* The calls to tred that are under way on the bus, and the signals that tred sends by itself. */
#include "ikeclient/trebus.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/reason.h"
#include "ikeclient/tremessage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A slow TPM signs within seconds; what takes longer will not come. */
enum { CALL_TIMEOUT_USEC = 15 * 1000 * 1000 };

typedef struct Pending {
    TreBus *tre;       /* NULL: free */
    sd_bus_slot *slot; /* NULL: tred is loading its identity, and is asked again after that */
    TreMethod method;
    TreHandler handler;
    void *userdata;
} Pending;

struct TreBus {
    Tre face; /* first, so that tre_bus_call() finds its way back */
    sd_bus *bus;
    sd_bus_slot *owner_slot;
    sd_bus_slot *closed_slot;
    sd_bus_slot *lifetime_slot;
    sd_bus_slot *changed_slot;
    TreBusLost lost;
    TreBusLifetime lifetime;
    void *userdata;
    Pending pending[TRE_PENDING_MAX];
};

/* A tred that has just started says who it is once its TPM has told it. */
static bool is_loading(const TreReply *reply)
{
    return reply->method == TRE_DESCRIBE && reply->outcome == TRE_DONE &&
           strcmp(reply->description.state, "loading") == 0;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Pending *place = userdata;
    Pending pending = *place;
    Reason reason;
    TreReply reply;
    (void)unused;

    sd_bus_slot_unref(pending.slot);
    tre_message_read(m, pending.method, &reason, &reply);
    if (is_loading(&reply)) {
        place->slot = NULL;
        return 0;
    }
    *place = (Pending){0};
    pending.handler(pending.userdata, &reply);
    return 0;
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

    int r = tre_message_new(tre->bus, call, &m);
    if (r < 0)
        return r;
    if (!handler) {
        r = sd_bus_message_set_expect_reply(m, false);
        return r < 0 ? r : sd_bus_send(tre->bus, m, NULL);
    }

    Pending *place = free_place(tre);
    if (!place)
        return -EBUSY;
    *place = (Pending){tre, NULL, call->method, handler, userdata};
    r = sd_bus_call_async(tre->bus, &place->slot, m, on_reply, place, CALL_TIMEOUT_USEC);
    if (r < 0)
        *place = (Pending){0};
    return r < 0 ? r : 0;
}

static void tre_bus_forget(Tre *face, const void *userdata)
{
    TreBus *tre = (TreBus *)face;

    for (size_t i = 0; i < ELEMENTS(tre->pending); i++) {
        Pending *pending = &tre->pending[i];
        if (!pending->tre || pending->userdata != userdata)
            continue;
        sd_bus_slot_unref(pending->slot);
        *pending = (Pending){0};
    }
}

/* ---- tred's own signals ---- */

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const TreCall call = {.method = TRE_DESCRIBE};
    TreBus *tre = userdata;
    (void)m, (void)unused;

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
    if (r >= 0 && old[0] != 0) {
        tre->lost(tre->userdata, NULL,
                  "the trusted environment (tred) has ended, and its keys with it: see tred's log");
    }
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
        tre->lifetime(tre->userdata, sd_bus_message_get_path(m), hard != 0);
    return 0;
}

int tre_bus_new(sd_bus *bus, TreBusLost lost, TreBusLifetime lifetime, void *userdata, TreBus **ret)
{
    _cleanup_(tre_bus_freep) TreBus *tre = calloc(1, sizeof(*tre));

    if (!tre)
        return -ENOMEM;
    tre->face = (Tre){tre_bus_call, tre_bus_forget};
    tre->bus = sd_bus_ref(bus);
    tre->lost = lost;
    tre->lifetime = lifetime;
    tre->userdata = userdata;

    int r = sd_bus_add_match_async(bus, &tre->owner_slot,
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
    r = sd_bus_add_match_async(bus, &tre->changed_slot,
                               "type='signal',sender='" TRE_NAME "',path='" TRE_PATH "',"
                               "interface='org.freedesktop.DBus.Properties',"
                               "member='PropertiesChanged'",
                               on_changed, NULL, tre);
    if (r < 0)
        return r;
    *ret = steal_pointer(tre);
    return 0;
}

void tre_bus_free(TreBus *tre)
{
    for (size_t i = 0; i < ELEMENTS(tre->pending); i++)
        sd_bus_slot_unref(tre->pending[i].slot);
    sd_bus_slot_unref(tre->owner_slot);
    sd_bus_slot_unref(tre->closed_slot);
    sd_bus_slot_unref(tre->lifetime_slot);
    sd_bus_slot_unref(tre->changed_slot);
    sd_bus_unref(tre->bus);
    free(tre);
}

Tre *tre_bus_tre(TreBus *tre)
{
    return &tre->face;
}
