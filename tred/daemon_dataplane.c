/* The daemon's data plane: opened at the start, and what its events and its loss mean for the
 * exchanges. */
#include "tred/daemon_dataplane.h"

#include "base/log.h"
#include "base/messages.h"
#include "base/reason.h"
#include "tred/bus.h"
#include "tred/callers.h"

/* What somebody else took away; NULL for an event that is none of these. */
static const char *gone(DataPlaneEventType type)
{
    switch (type) {
    case DATAPLANE_INTERFACE_GONE:
        return "the tunnel's interface was deleted or taken down";
    case DATAPLANE_ADDRESS_GONE:
        return "an inner address was removed from the tunnel's interface";
    case DATAPLANE_ROUTE_GONE:
        return "a route of the tunnel was removed";
    case DATAPLANE_STATE_GONE:
        return "an ESP state was removed from the kernel";
    case DATAPLANE_POLICY_GONE:
        return "an IPsec policy was removed from the kernel";
    default:
        return NULL;
    }
}

/* An exchange whose tunnel carries nothing any more is closed, so that its owner connects again. */
static void on_event(const DataPlaneEvent *event, void *userdata)
{
    Daemon *daemon = userdata;
    CallerExchange *held = caller_exchange_find_child(daemon, event->spi_in);
    const char *what = gone(event->type);

    if (!held)
        return;
    if (!what) {
        bus_exchange_lifetime_reached(held, event->spi_in, event->type == DATAPLANE_HARD_LIFETIME);
        return;
    }
    Reason reason;
    reason_set(&reason, 0, "Somebody else changed the network: %s. Connect again", what);
    bus_exchange_closed(held, reason.text);
    caller_exchange_free(held);
}

static void on_lost(const char *reason, void *userdata)
{
    Daemon *daemon = userdata;
    Reason text;

    const LogFields fields = {.message_id = MESSAGE_DATA_PLANE_FAILED, .error = reason};

    log_fields(LOG_ERR, &fields, "The data plane failed: %s. It is opened again", reason);
    reason_set(&text, 0, "The data plane failed: %s. Connect again", reason);
    callers_close_all(daemon, text.text);
    bus_exchange_children_counted(daemon);
}

static void on_opened(void *userdata)
{
    const Daemon *daemon = userdata;

    const LogFields fields = {.message_id = MESSAGE_DATA_PLANE_OPEN};

    log_fields(LOG_INFO, &fields, "Data plane: %s, opened again",
               dataplane_name(daemon->dataplane));
}

int daemon_dataplane_begin(Daemon *daemon)
{
    Reason reason = {0};

    daemon->protect = (ProtectOrder){
        .mode = (ProtectMode)daemon->config.protect,
        .networks = daemon->config.allowed_remote,
        .except = daemon->config.protect_except,
    };
    daemon->dataplane_options = (DataPlaneOptions){
        .mode = (DataPlaneMode)daemon->config.data_plane,
        .interface = daemon->config.interface,
        .net_socket = daemon->config.net_socket,
        .esp_program = daemon->config.esp_helper,
        .copy_dscp = daemon->config.copy_dscp,
        .ecn = daemon->config.ecn,
        .protect = &daemon->protect,
        .event = daemon->event,
        .callbacks = {on_event, on_lost, on_opened, daemon},
    };
    int r = dataplane_begin(&daemon->dataplane_options, &daemon->dataplane, &reason);
    if (r < 0)
        log_error("%s", reason.text);
    return r;
}

int daemon_dataplane_await(Daemon *daemon)
{
    Reason reason = {0};
    int r = dataplane_await(daemon->dataplane, &reason);

    if (r < 0) {
        log_error("%s", reason.text);
        return r;
    }
    log_info("Data plane: %s", dataplane_name(daemon->dataplane));
    daemon->exchange_context.dataplane = daemon->dataplane;
    return 0;
}
