/* ikeclient: the HeNB's IKE process. It holds no key and no right; tred holds both. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/manager.h"
#include "base/program.h"
#include "base/reason.h"
#include "ikeclient/bus.h"
#include "ikeclient/connections.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef enum RunMode {
    RUN_SERVICE, /* connect, stay, connect again */
    RUN_ONCE,    /* one connection; its end is ours */
    RUN_COUNT,   /* connect and delete a number of times */
} RunMode;

/* ---- a run, from its start to its exit status ---- */

/* How the event loop ends when nothing was in the way but that there is no connection; main() ends
 * with 1 then. It is another number than EXIT_FAILURE, with which sd-bus ends the loop. */
enum { NOT_CONNECTED = 100 };

typedef struct Run {
    sd_event *event;
    sd_bus *bus;
    Connections *connections;
    RunMode mode;
    bool stopping;
    bool was_established; /* with a Child SA */
    unsigned wanted;      /* RUN_COUNT … */
    unsigned passed;
    unsigned failed;
    bool this_passed;
    double *times_ms; /* of those that passed */
} Run;

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void finish_count(Run *run)
{
    if (run->passed > 0)
        qsort(run->times_ms, run->passed, sizeof(run->times_ms[0]), compare_doubles);
    printf("%u passed, %u failed", run->passed, run->failed);
    if (run->passed > 0) {
        printf("; milliseconds to established: median %.2f, least %.2f, most %.2f",
               run->times_ms[run->passed / 2], run->times_ms[0], run->times_ms[run->passed - 1]);
    }
    printf("\n");
    (void)sd_event_exit(run->event,
                        run->failed == 0 && run->passed == run->wanted ? EX_OK : NOT_CONNECTED);
}

/* An IKE SA whose Child SA was refused carries nothing: it is no connection. */
static void on_established(void *userdata, Connection *connection)
{
    Run *run = userdata;
    ConnectionInfo info;

    connection_info(connection, &info);
    const bool has_child = info.state == CONNECTION_ESTABLISHED;
    run->was_established = run->was_established || has_child;
    connection_allow_retry(connection, run->mode != RUN_COUNT);
    if (run->mode != RUN_COUNT)
        return;
    run->this_passed = has_child;
    if (has_child)
        run->times_ms[run->passed] = info.sa.milliseconds;
    connection_close(connection);
}

static void end_one(Run *run, Connection *connection)
{
    if (run->this_passed) {
        run->passed++;
    } else if (!run->stopping) {
        run->failed++;
        log_error("that was connection %u of %u", run->passed + run->failed, run->wanted);
    }
    run->this_passed = false;
    if (run->stopping || run->passed + run->failed == run->wanted) {
        finish_count(run);
    } else {
        connection_open(connection);
    }
}

static void on_closed(void *userdata, Connection *connection, const char *reason)
{
    Run *run = userdata;
    ConnectionInfo info;

    (void)reason;
    connection_info(connection, &info);
    if (run->mode == RUN_COUNT) {
        end_one(run, connection);
    } else if (run->stopping) {
        if (connections_are_idle(run->connections)) {
            (void)sd_event_exit(run->event, run->mode == RUN_SERVICE || run->was_established
                                                ? EX_OK
                                                : NOT_CONNECTED);
        }
    } else if (run->mode == RUN_ONCE && info.state == CONNECTION_IDLE) {
        (void)sd_event_exit(run->event, run->was_established ? EX_OK : NOT_CONNECTED);
    }
}

static const ConnectionsHandlers handlers = {on_established, on_closed};

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    Run *run = userdata;
    (void)source;
    (void)info;

    run->stopping = true;
    manager_notify("STOPPING=1");
    if (connections_are_idle(run->connections)) {
        on_closed(run, connections_first(run->connections), "stopped");
    } else {
        connections_close(run->connections);
    }
    return 0;
}

/* Whoever has the name is the one ikeclient of this device: two would take the SeGW's addresses and
 * tred's tunnel from each other. */
static int claim_name(Run *run)
{
    int r = bus_face_claim_name(run->bus);
    if (r < 0) {
        log_error("the bus name org.tred.IkeClient1 can't be had (%s): %s", strerror(-r),
                  r == -EEXIST
                      ? "another ikeclient has it; stop that one first"
                      : "install the bus policy, and run ikeclient as the user that it names");
    }
    return r;
}

static int open_bus(Run *run)
{
    int r = sd_bus_open_system(&run->bus);
    if (r < 0) {
        log_error("the system bus can't be reached (%s): is dbus running? DBUS_SYSTEM_BUS_ADDRESS "
                  "names another one",
                  strerror(-r));
    }
    return r;
}

static int attach(Run *run)
{
    int r = sd_event_default(&run->event);
    /* Without the bus our unique name, and with it every exchange, is gone. */
    if (r >= 0)
        r = sd_bus_set_exit_on_disconnect(run->bus, true);
    if (r >= 0)
        r = sd_bus_attach_event(run->bus, run->event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = sd_event_add_signal(run->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, on_stop, run);
    if (r >= 0)
        r = sd_event_add_signal(run->event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, on_stop, run);
    return r < 0 ? r : sd_event_set_watchdog(run->event, true);
}

static int set_up(Run *run, const Configs *configs)
{
    int r = attach(run);
    if (r >= 0) {
        r = connections_new(run->event, run->bus, configs, &handlers, run, &run->connections);
    }
    if (r < 0)
        log_error("ikeclient can't start: %s", strerror(-r));
    return r;
}

static void tear_down(Run *run)
{
    if (run->connections)
        connections_free(run->connections);
    sd_bus_flush_close_unref(run->bus);
    sd_event_unref(run->event);
    free(run->times_ms);
}

/* sd-bus ends the loop when the bus does, with a status that none of ours is: it is no answer. */
static int loop(Run *run)
{
    int r = sd_event_loop(run->event);

    if (r < 0)
        log_error("ikeclient ends: %s", strerror(-r));
    if (r == EXIT_FAILURE)
        log_error("ikeclient ends: the system bus is gone");
    if (r == EXIT_FAILURE)
        return EX_UNAVAILABLE;
    return r < 0 ? EX_OSERR : r;
}

/* Who counts, or tries once, is not to wait for what was before. */
static void begin(Run *run)
{
    const char *folder = getenv("STATE_DIRECTORY"); /* from StateDirectory of the unit */

    if (run->mode != RUN_SERVICE) {
        connection_open(connections_first(run->connections));
    } else {
        connections_start(run->connections, folder && folder[0] == '/' ? folder : NULL);
    }
}

/* A connection has two sockets at the most; the hard limit is the unit's to set. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Runs until it is over, logs what goes wrong, and returns the exit status. */
static int run(const Configs *configs, RunMode mode, unsigned count)
{
    _cleanup_(tear_down) Run run = {.mode = mode, .wanted = count};

    if (mode == RUN_COUNT) {
        run.times_ms = calloc(count, sizeof(run.times_ms[0]));
        if (!run.times_ms) {
            log_error("out of memory");
            return EX_OSERR;
        }
    }
    if (configs->count > 1)
        raise_descriptors();
    int r = open_bus(&run);
    if (r >= 0)
        r = set_up(&run, configs);
    if (r >= 0)
        r = claim_name(&run);
    if (r < 0)
        return exit_status(r, EX_UNAVAILABLE);
    connections_allow_retry(run.connections, mode == RUN_SERVICE);
    manager_notify("READY=1");
    begin(&run);
    r = loop(&run);
    return r == NOT_CONNECTED ? 1 : r;
}

/* ---- the command line ---- */

enum { COUNT_MAX = 1000000 };

typedef struct Arguments {
    const char *config;
    RunMode mode;
    unsigned count;
} Arguments;

enum { ONCE = 256, COUNT };

static const CommandOption command_options[] = {
    {"config", "FILE", 'c', "configuration (default /etc/tred/ikeclient.conf)"},
    {"once", NULL, ONCE, "end with the first connection"},
    {"count", "N", COUNT, "connect and delete N times, then print how many passed"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine command_line = {
    .program = "ikeclient",
    .usage = "Usage: ikeclient [--config FILE] [--once | --count N]\n"
             "Connects a Home eNodeB to its security gateway. See ikeclient(8).\n",
    .options = command_options,
};

static int parse_count(const char *text, unsigned *ret)
{
    char *end = NULL;

    errno = 0;
    unsigned long count = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || count == 0 || count > COUNT_MAX) {
        return commandline_error(&command_line,
                                 "--count %s can't be used, write a number from 1 to %d", text,
                                 COUNT_MAX);
    }
    *ret = (unsigned)count;
    return 0;
}

static int take_option(int value, const char *argument, void *userdata)
{
    Arguments *arguments = userdata;

    switch (value) {
    case 'c':
        arguments->config = argument;
        return 0;
    case ONCE:
        arguments->mode = RUN_ONCE;
        return 0;
    default:
        arguments->mode = RUN_COUNT;
        return parse_count(argument, &arguments->count);
    }
}

/* The exit status, or COMMANDLINE_GO_ON. */
static int parse_arguments(int argc, char **argv, Arguments *ret)
{
    return commandline_read(&command_line, argc, argv, take_option, ret);
}

/* Gives up every capability and the way back to one: no UDP port below 1024 is bound, and the keys
 * are tred's. 0 or a negative errno. */
static int rights_drop(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    /* libc has no wrapper, and libcap is not worth a library for this one call. */
    if (syscall(SYS_capset, &header, none) < 0)
        return -errno;
    return 0;
}

int main(int argc, char **argv)
{
    Arguments arguments = {.config = "/etc/tred/ikeclient.conf"};
    _cleanup_(configs_deinit) Configs configs = {0};
    Reason reason;

    standard_open();
    log_to_journal();
    int r = parse_arguments(argc, argv, &arguments);
    if (r != COMMANDLINE_GO_ON)
        return standard_finish("ikeclient", r);
    r = rights_drop();
    if (r < 0) {
        log_error("capabilities can't be given up: %s", strerror(-r));
        return EX_OSERR;
    }
    r = configs_load(arguments.config, &configs, &reason);
    if (r < 0) {
        log_error("%s", reason.text);
        return config_status(r);
    }
    if (configs.count > 1 && arguments.mode != RUN_SERVICE) {
        log_error("%s has %zu sections [connection NAME], and --once and --count are for one "
                  "connection: name a file with one by --config",
                  arguments.config, configs.count);
        return EX_CONFIG;
    }
    int level = configs_log_level(&configs);
    if (arguments.mode == RUN_COUNT && level == LOG_INFO)
        level = LOG_WARNING; /* thousands of connections: their failures are what matters */
    log_set_level(level);

    return run(&configs, arguments.mode, arguments.count);
}
