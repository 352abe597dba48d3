/* Starts what the program consists of, in order, serves, and ends it; SIGHUP reloads. What becomes
 * of the data plane meanwhile is for the exchanges to know. Before all that it keeps the
 * process's memory to itself. */
#include "tred/daemon.h"

#include "base/log.h"
#include "base/messages.h"
#include "base/program.h"
#include "base/reason.h"
#include "base/rest.h"
#include "tred/bus.h"
#include "tred/bus_connection.h"
#include "tred/callers.h"
#include "tred/channel.h"
#include "tred/clock.h"
#include "tred/daemon_identity.h"
#include "tred/daemon_state.h"
#include "tred/device.h"
#include "tred/rejudge.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* ---- what this process denies itself and others ---- */

/* What systemd gave us is for us alone: a program that we start gets no capability. */
static int capabilities_keep(void)
{
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? -errno : 0;
}

/* Raises the limit on open descriptors to `wanted`, or as far as it may be; a warning says so where
 * that is less. */
static void process_raise_descriptors(size_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted) {
        log_warning("At most %llu descriptors can be open, and fewer exchanges at once therefore: "
                    "set LimitNOFILE=%zu in the unit",
                    (unsigned long long)limit.rlim_cur, wanted);
    }
}

int process_harden(void)
{
    const struct rlimit no_core = {0, 0};

    if (setrlimit(RLIMIT_CORE, &no_core) < 0)
        return -errno;
    /* Also makes /proc/PID root's, so that another process of this user can't read our memory. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    (void)umask(S_IRWXG | S_IRWXO);
    memory_lock_all();
    return capabilities_keep();
}

/* ---- from start to stop ---- */

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    Daemon *daemon = userdata;

    (void)source, (void)info;
    (void)sd_notify(0, "RELOADING=1");
    log_info("Reading key, certificates, anchors and CRLs again");
    daemon_load_identity(daemon);
    return 0;
}

static int signals_attach(Daemon *daemon)
{
    sd_event *event = daemon->event;

    (void)signal(SIGPIPE, SIG_IGN);
    int r = sd_event_add_signal(event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
    if (r >= 0) /* it ends the loop, as that does */
        r = sd_event_add_signal(event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
    if (r >= 0)
        r = sd_event_add_signal(event, NULL, SIGHUP | SD_EVENT_SIGNAL_PROCMASK, on_reload, daemon);
    return r;
}

/* While the bus is still there: sd-bus flushes and closes it when the loop ends, after this. */
static int on_exit_of_loop(sd_event_source *source, void *userdata)
{
    Daemon *daemon = userdata;

    (void)source;
    (void)sd_notify(0, "STOPPING=1");
    callers_close_all(daemon, "tred stops");
    bus_exchange_children_counted(daemon); /* whoever still asked is answered */
    return 0;
}

static int exit_attach(Daemon *daemon)
{
    sd_event_source *source = NULL;
    int r = sd_event_add_exit(daemon->event, &source, on_exit_of_loop, daemon);

    if (r >= 0)
        r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT);
    if (r >= 0)
        r = sd_event_source_set_floating(source, true);
    sd_event_source_unref(source);
    return r;
}

static int event_init(Daemon *daemon)
{
    int r;

    r = sd_event_new(&daemon->event);
    if (r >= 0)
        r = signals_attach(daemon);
    if (r >= 0)
        r = exit_attach(daemon);
    if (r >= 0)
        r = sd_event_set_watchdog(daemon->event, true);
    if (r >= 0)
        r = rest_new(daemon->event, &daemon->rest);
    if (r < 0)
        log_error("The event loop can't be set up: %s", strerror(-r));
    return r;
}

static int bus_init(Daemon *daemon)
{
    Reason reason = {0};
    int r;

    r = bus_connection_open(&daemon->bus, &reason);
    if (r < 0) {
        log_error("%s", reason.text);
        return r;
    }
    r = callers_watch(daemon);
    if (r >= 0)
        r = bus_manager_register(daemon);
    if (r >= 0)
        r = bus_exchange_register(daemon);
    if (r < 0) {
        log_error("The bus objects can't be set up: %s", strerror(-r));
        return r;
    }
    r = bus_connection_take_name(daemon->bus, &reason);
    if (r < 0)
        log_error("%s", reason.text);
    return r;
}

/* From here on calls are answered; those that came before have waited. */
static int bus_serve(Daemon *daemon)
{
    int r = sd_bus_attach_event(daemon->bus, daemon->event, SD_EVENT_PRIORITY_NORMAL);

    if (r >= 0)
        r = sd_bus_set_exit_on_disconnect(daemon->bus, true);
    if (r < 0)
        log_error("The bus can't be served: %s", strerror(-r));
    return r;
}

/* 0, or -errno, which is logged: -EBADMSG where what is configured can't be read, which trying
 * again does not mend. A helper that itself failed (VERIFIER_E_FAILED) may do better the next time.
 */
static int helper_check(int r, const char *error)
{
    if (r != 0)
        log_error("%s", error[0] != '\0' ? error : strerror(-r));
    if (r == VERIFIER_E_FAILED)
        return -EIO;
    return r == 0 || r == -ENOMEM || r == -EMFILE || r == -ENFILE ? r : -EBADMSG;
}

/* tred-tpm starts while the rest does. */
static int device_start(Daemon *daemon)
{
    const DeviceCallbacks callbacks = {daemon_device_failed, daemon_device_revived, daemon};
    DeviceFiles files;
    Reason reason = {0};
    int r = identity_files(&daemon->config, &files, &reason);

    if (r == 0) {
        r = device_open(daemon->config.tpm_socket, &files, daemon->event, &callbacks,
                        &daemon->device);
    }
    return helper_check(r, reason.text);
}

/* Before there is any secret. */
static int verifier_start(Daemon *daemon)
{
    const VerifierOptions options = identity_verifier_options(&daemon->config);
    Reason reason = {0};
    int r = verifier_begin(&options, &daemon->verifier, &reason);

    return helper_check(r, reason.text);
}

/* A profile that can't be read is no state of the device's, but a fault in the configuration. */
static int verifier_await(Daemon *daemon)
{
    Reason reason = {0};
    int r = verifier_take(daemon->verifier, &reason);

    return helper_check(r, reason.text);
}

static void exchange_context_init(Daemon *daemon)
{
    const TredConfig *config = &daemon->config;

    daemon->exchange_context = (ExchangeContext){
        .revocation = (RevocationMode)config->revocation,
        .stronger_child = config->stronger_child,
        .soft = config->soft,
        .hard = config->hard,
    };
}

/* ---- the data plane, its events and its loss ---- */

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

static int plane_begin(Daemon *daemon)
{
    Reason reason = {0};

    daemon->protect = (ProtectOrder){
        .mode = (ProtectMode)daemon->config.protect,
        .networks = daemon->config.allowed_remote,
        .except = daemon->config.protect_except,
    };
    daemon->dataplane_options = (DataPlaneOptions){
        .mode = (DataPlaneMode)daemon->config.data_plane,
        .interfaces = daemon->config.interfaces,
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

static int plane_await(Daemon *daemon)
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

/* ---- start and stop ---- */

/* Three helpers, the bus and the TPM are waited for together, and each begins as early as it may.
 */
int daemon_init(Daemon *daemon, TredConfig *config)
{
    int r;

    *daemon = (Daemon){.config = *config};
    daemon->crls.on_changed = daemon_crls_changed;
    daemon->crls.userdata = daemon;
    *config = (TredConfig){0};
    exchange_context_init(daemon);
    process_raise_descriptors(DESCRIPTORS_MAX);
    users_init(&daemon->users, daemon->config.max_exchanges);
    r = verifier_start(daemon);
    if (r == 0)
        r = event_init(daemon);
    if (r >= 0)
        r = device_start(daemon);
    /* The name is ours alone: a second tred ends here, before it changes anything. */
    if (r >= 0)
        r = bus_init(daemon);
    if (r >= 0)
        r = clock_start(daemon);
    if (r >= 0)
        r = rejudge_start(daemon);
    if (r >= 0)
        r = plane_begin(daemon);
    if (r >= 0)
        r = verifier_await(daemon);
    if (r < 0)
        return r;
    (void)sd_notify(0, "STATUS=loading");
    daemon_load_identity(daemon); /* while the data plane's helpers start */
    r = plane_await(daemon);
    if (r >= 0)
        r = bus_serve(daemon);
    if (r < 0)
        return r;
    /* A slow TPM takes minutes. Who reads State is answered meanwhile, who begins an exchange once
     * it is done. */
    daemon->serves = true;
    daemon_ready_tell(daemon);
    return 0;
}

int daemon_run(Daemon *daemon)
{
    int r = sd_event_loop(daemon->event);

    if (r < 0)
        log_error("The event loop failed: %s", strerror(-r));
    /* sd-bus ends the loop like this, and whoever can't go on. */
    if (r > 0)
        log_error("tred ends as it can't go on; systemd starts it anew");
    /* Stopped by its operator, and by nothing else. */
    if (r == 0)
        dataplane_unprotect(daemon->dataplane);
    return r > 0 ? -ENOTCONN : r;
}

void daemon_deinit(Daemon *daemon)
{
    callers_deinit(daemon);
    rejudge_stop(daemon);
    dataplane_close(daemon->dataplane);
    channels_close_all(daemon);
    work_drop_all(daemon);
    daemon_drop_identity(daemon);
    device_close(daemon->device);
    verifier_unref(daemon->verifier);
    verifier_unref(daemon->last_verifier);
    crls_in_force_deinit(&daemon->crls);
    peer_key_deinit(&daemon->exchange_context.peer_key);
    sd_bus_flush_close_unref(daemon->bus);
    sd_event_source_disable_unref(daemon->patience);
    sd_event_source_disable_unref(daemon->key_care);
    sd_event_source_disable_unref(daemon->clock);
    sd_event_source_disable_unref(daemon->count_timer);
    sd_event_source_disable_unref(daemon->ahead);
    sd_event_source_disable_unref(daemon->changes);
    sd_event_source_disable_unref(daemon->rest);
    sd_event_unref(daemon->event);
    bus_announced_deinit(&daemon->announced);
    tred_config_deinit(&daemon->config);
}
