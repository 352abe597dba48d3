/* trectl status: one screen, or JSON. trectl watch: the same, as it changes. */
#include "trectl/status.h"

#include "base/cleanup.h"
#include "base/program.h"
#include "base/reason.h"
#include "trectl/busjson.h"
#include "trectl/commands.h"
#include "trectl/snapshot.h"
#include "tred/bus_connection.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define USEC_PER_SEC 1000000ULL

typedef struct StatusOptions {
    bool json;
    const char *connection; /* NULL: the first one */
    unsigned interval;      /* of watch, in seconds */
} StatusOptions;

enum { CONNECTION = 256, INTERVAL_MAX = 3600, DECIMAL = 10 };

static const CommandOption status_options[] = {
    {"connection", "NAME", CONNECTION, "the one of this name, not the first one"},
    {"json", NULL, 'j', "print what both services say of themselves as JSON"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine status_line = {
    .program = "trectl status",
    .usage = "Usage: trectl status [--connection NAME] [--json]\n"
             "Shows the tunnel, its SeGW, the TrE, certificates and CRLs on one screen, and the "
             "state of\n"
             "each connection where there are several.\n",
    .options = status_options,
    .more = "Exit status: 0 the tunnel is up, 1 it is not, 69 the bus can't be reached.\n",
};

static const CommandOption watch_options[] = {
    {"connection", "NAME", CONNECTION, "the one of this name, not the first one"},
    {"interval", "SECONDS", 'n', "look at least that often (default 2)"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine watch_line = {
    .program = "trectl watch",
    .usage = "Usage: trectl watch [--connection NAME] [--interval SECONDS]\n"
             "Shows what trectl status does, in place, whenever it changes. Ends with Ctrl-C.\n",
    .options = watch_options,
};

static int option_take(int value, const char *argument, void *userdata)
{
    StatusOptions *options = userdata;
    char *end = NULL;

    if (value == 'j') {
        options->json = true;
        return 0;
    }
    if (value == CONNECTION) {
        options->connection = argument;
        return 0;
    }
    const unsigned long seconds = strtoul(argument, &end, DECIMAL);
    if (argument[0] < '0' || argument[0] > '9' || *end != '\0' || seconds == 0 ||
        seconds > INTERVAL_MAX) {
        return commandline_error(&watch_line, "--interval %s can't be used, write 1 to %d",
                                 argument, INTERVAL_MAX);
    }
    options->interval = (unsigned)seconds;
    return 0;
}

/* The exit status, or COMMANDLINE_GO_ON. */
static int options_read(const CommandLine *line, int argc, char **argv, StatusOptions *ret)
{
    return commandline_read(line, argc, argv, option_take, ret);
}

int status_main(int argc, char **argv)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(json_object_putp) json_object *snapshot = NULL;
    _cleanup_(free_charp) char *path = NULL;
    StatusOptions options = {0};
    Reason reason = {0};
    int r = options_read(&status_line, argc, argv, &options);

    if (r != COMMANDLINE_GO_ON)
        return r;
    r = bus_connection_open(&bus, &reason);
    if (r >= 0)
        r = client_path_find(bus, options.connection, &path, &reason);
    if (r >= 0)
        r = snapshot_take(bus, path, &snapshot);
    if (r < 0) {
        (void)fprintf(stderr, "trectl status: %s\n",
                      reason.text[0] != '\0' ? reason.text : strerror(-r));
        return exit_status(r, EX_UNAVAILABLE);
    }
    if (options.json) {
        (void)puts(json_object_to_json_string_ext(snapshot, JSON_C_TO_STRING_PRETTY |
                                                                JSON_C_TO_STRING_NOSLASHESCAPE));
    } else {
        status_print(&(Paper){stdout, terminal_has_colours()}, snapshot);
    }
    return status_is_up(snapshot) ? EX_OK : EXIT_FAILURE;
}

/* ---- watch ---- */

/* Written over the screen before, as far as the terminal has room. */
static int screen_show(json_object *snapshot, bool in_place)
{
    _cleanup_(free_charp) char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (!stream)
        return -ENOMEM;
    status_print(&(Paper){stream, terminal_has_colours()}, snapshot);
    if (fclose(stream) != 0)
        return -ENOMEM;
    if (!in_place) {
        (void)printf("%s\n", text);
        return fflush(stdout) == 0 ? 0 : -EIO;
    }
    struct winsize room = {0};
    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &room); /* 0 where it does not know */
    words_overwrite(stdout, text, room.ws_row, room.ws_col);
    return fflush(stdout) == 0 ? 0 : -EIO;
}

static int on_signal(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
    bool *changed = userdata;

    (void)signal, (void)error;
    *changed = true;
    return 0;
}

/* Whatever either service announces, and their coming and going. */
static int changes_watch(sd_bus *bus, bool *changed)
{
    static const char *const matches[] = {
        "type='signal',sender='" BUS_NAME "'",
        "type='signal',sender='" CLIENT_NAME "'",
        ("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
         "arg0namespace='org.tred'"),
    };
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ELEMENTS(matches); i++)
        r = sd_bus_add_match(bus, NULL, matches[i], on_signal, changed);
    return r;
}

/* Until something is announced or the time is over; a burst of signals makes one screen. */
static int change_await(sd_bus *bus, unsigned interval, bool *changed)
{
    int r = 0;

    *changed = false;
    while ((r = sd_bus_process(bus, NULL)) > 0) {
    }
    if (r < 0 || *changed)
        return r;
    r = sd_bus_wait(bus, interval * USEC_PER_SEC);
    return r == -EINTR ? 0 : r;
}

/* Where ikeclient does not run, there is no connection to be shown, and may be one soon. */
static int watch_take(sd_bus *bus, const char *connection, json_object **ret, Reason *reason)
{
    _cleanup_(free_charp) char *path = NULL;
    int r = client_path_find(bus, connection, &path, reason);

    if (r < 0 && r != -ENXIO)
        return r;
    *reason = (Reason){0}; /* what is shown says it */
    return snapshot_take(bus, path ? path : CLIENT_PATH, ret);
}

int watch_main(int argc, char **argv)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    StatusOptions options = {.interval = 2};
    const bool in_place = isatty(STDOUT_FILENO) == 1;
    bool changed = false;
    Reason reason = {0};
    int r = options_read(&watch_line, argc, argv, &options);

    if (r != COMMANDLINE_GO_ON)
        return r;
    r = bus_connection_open(&bus, &reason);
    if (r >= 0)
        r = changes_watch(bus, &changed);
    if (in_place)
        (void)fputs("\033[2J", stdout);
    while (r >= 0) {
        _cleanup_(json_object_putp) json_object *snapshot = NULL;

        r = watch_take(bus, options.connection, &snapshot, &reason);
        if (r >= 0)
            r = screen_show(snapshot, in_place);
        if (r >= 0)
            r = change_await(bus, options.interval, &changed);
    }
    (void)fprintf(stderr, "trectl watch: %s\n",
                  reason.text[0] != '\0' ? reason.text : strerror(-r));
    return exit_status(r, EX_UNAVAILABLE);
}
