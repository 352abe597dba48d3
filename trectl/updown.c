/* trectl up, trectl down: tells ikeclient, and with --wait stays until it is done. What has become
 * of it is read from State after each signal, and not from the signals: those of an attempt before
 * may still be on their way. */
#include "base/cleanup.h"
#include "base/program.h"
#include "base/reason.h"
#include "trectl/busjson.h"
#include "trectl/commands.h"
#include "trectl/snapshot.h"
#include "tred/bus_connection.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct Order {
    const CommandLine *line;
    const char *method;        /* of org.tred.IkeClient1 */
    const char *wanted;        /* the State that it is to lead to */
    const char *on_the_way[2]; /* the States that may come before it */
    const char *done;          /* what to say then */
} Order;

enum { WAIT_MAX_USEC = 2 * 1000 * 1000 }; /* looked again, should a signal be lost */

enum { CONNECTION = 256 };

static const CommandOption options[] = {
    {"connection", "NAME", CONNECTION, "the one of this name, not the first one"},
    {"wait", NULL, 'w', "stay until it is done, and end with what has become of it"},
    {NULL, NULL, 0, NULL},
};

#define STATUSES                                                                                   \
    "Exit status: 0 done, 1 (--wait) it could not be done, 69 ikeclient does not run, 77 root "    \
    "alone\nmay do this.\n"

static const CommandLine up_line = {
    .program = "trectl up",
    .usage = "Usage: trectl up [--connection NAME] [--wait]\n"
             "Connects now. A tunnel that is up already is left as it is.\n",
    .options = options,
    .more = STATUSES,
};

static const CommandLine down_line = {
    .program = "trectl down",
    .usage =
        "Usage: trectl down [--connection NAME] [--wait]\n"
        "Deletes the tunnel, and makes no new one before trectl up, or a restart of ikeclient.\n",
    .options = options,
    .more = STATUSES,
};

/* What is still closing connects when that has ended. */
static const Order up = {
    &up_line, "Connect", "established", {"connecting", "closing"}, "The tunnel is up"};
static const Order down = {&down_line, "Disconnect", "idle", {"closing"}, "The tunnel is down"};

typedef struct UpDownOptions {
    bool wait;
    const char *connection; /* NULL: the first one */
} UpDownOptions;

static int option_take(int value, const char *argument, void *userdata)
{
    UpDownOptions *given = userdata;

    if (value == CONNECTION) {
        given->connection = argument;
    } else {
        given->wait = true;
    }
    return 0;
}

static int fail(const Order *order, int status, const char *text)
{
    (void)fprintf(stderr, "%s: %s\n", order->line->program, text);
    return status;
}

/* The exit status for a call that the bus or ikeclient refused. */
static int call_failed(const Order *order, int r, const sd_bus_error *error)
{
    if (sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED))
        return fail(order, EX_NOPERM, "Root alone may do this. Try: sudo trectl …");
    if (sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN,
                               SD_BUS_ERROR_NAME_HAS_NO_OWNER)) {
        return fail(order, EX_UNAVAILABLE,
                    "ikeclient does not run. Start it: systemctl start ikeclient");
    }
    return fail(order, exit_status(r, EX_UNAVAILABLE),
                error->message ? error->message : strerror(-r));
}

/* NULL: ikeclient has ended. */
static json_object *client_take(sd_bus *bus, const char *path)
{
    json_object *client = NULL;

    (void)bus_json_properties(bus, CLIENT_NAME, path, CLIENT_INTERFACE, &client);
    return client;
}

static bool is_done(const Order *order, json_object *client)
{
    return strcmp(json_text(client, "State"), order->wanted) == 0;
}

static bool is_on_the_way(const Order *order, const char *state)
{
    for (size_t i = 0; i < ELEMENTS(order->on_the_way) && order->on_the_way[i]; i++) {
        if (strcmp(state, order->on_the_way[i]) == 0)
            return true;
    }
    return false;
}

static int done_say(const Order *order, json_object *client)
{
    (void)printf("%s%s%s\n", order->done, order == &up ? ": " : "",
                 order == &up ? json_text(client, "SegwIdentity") : "");
    return EX_OK;
}

/* True once it is no longer under way, with the exit status. */
static bool has_ended(const Order *order, sd_bus *bus, const char *path, int *ret_status)
{
    _cleanup_(json_object_putp) json_object *client = client_take(bus, path);

    if (!client) {
        *ret_status = fail(order, EX_UNAVAILABLE, "ikeclient has ended. Its log says why");
        return true;
    }
    const char *state = json_text(client, "State"), *problem = json_text(client, "LastError");
    if (is_on_the_way(order, state))
        return false;
    if (is_done(order, client)) {
        *ret_status = done_say(order, client);
        return true;
    }
    (void)fprintf(stderr, "%s: %s: %s\n", order->line->program, state,
                  problem[0] != '\0' ? problem : "somebody else has told it otherwise");
    *ret_status = EXIT_FAILURE;
    return true;
}

static int on_signal(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
    (void)signal, (void)userdata, (void)error;
    return 0;
}

static int outcome_await(const Order *order, sd_bus *bus, const char *path)
{
    int status = EX_UNAVAILABLE, r = 0;

    while (!has_ended(order, bus, path, &status)) {
        r = sd_bus_wait(bus, WAIT_MAX_USEC);
        while (r >= 0 && (r = sd_bus_process(bus, NULL)) > 0) {
        }
        if (r < 0 && r != -EINTR)
            return fail(order, EX_UNAVAILABLE, strerror(-r));
    }
    return status;
}

static int carry_out(const Order *order, sd_bus *bus, const char *path, bool wait)
{
    _cleanup_(json_object_putp) json_object *before = client_take(bus, path), *after = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = 0;

    /* Connect would authenticate anew. What is idle may be a connection whose turn to start is
     * still to come, and is told nevertheless. */
    if (order == &up && is_done(order, before))
        return done_say(order, before);
    if (wait) {
        r = sd_bus_add_match(bus, NULL, "type='signal',sender='" CLIENT_NAME "'", on_signal, NULL);
        if (r < 0)
            return fail(order, EX_UNAVAILABLE, strerror(-r));
    }
    r = sd_bus_call_method(bus, CLIENT_NAME, path, CLIENT_INTERFACE, order->method, &error, NULL,
                           "");
    if (r < 0)
        return call_failed(order, r, &error);
    if (wait)
        return outcome_await(order, bus, path);
    /* One whose turn came in between is under way, and said nothing of. */
    after = client_take(bus, path);
    return is_done(order, before) && is_done(order, after) ? done_say(order, after) : EX_OK;
}

static int order_main(const Order *order, int argc, char **argv)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(free_charp) char *path = NULL;
    Reason reason = {0};
    UpDownOptions given = {0};
    int r = commandline_read(order->line, argc, argv, option_take, &given);

    if (r != COMMANDLINE_GO_ON)
        return r;
    r = bus_connection_open(&bus, &reason);
    if (r < 0)
        return fail(order, exit_status(r, EX_UNAVAILABLE), reason.text);
    r = client_path_find(bus, given.connection, &path, &reason);
    if (r < 0)
        return fail(order, exit_status(r, EX_UNAVAILABLE), reason.text);
    return carry_out(order, bus, path, given.wait);
}

int up_main(int argc, char **argv)
{
    return order_main(&up, argc, argv);
}

int down_main(int argc, char **argv)
{
    return order_main(&down, argc, argv);
}
