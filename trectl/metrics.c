/* trectl metrics: takes a snapshot and writes it where it is wanted. */
#include "trectl/metrics.h"

#include "base/commandline.h"
#include "base/exitstatus.h"
#include "base/file.h"
#include "base/reason.h"
#include "tred/bus_connection.h"

#include <errno.h>
#include <string.h>

enum { FILE_MODE = 0644 };

static const CommandOption options[] = {
    {"output", "FILE", 'o', "replace this file, in one step; else standard output"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine line = {
    .program = "trectl metrics",
    .usage = "Usage: trectl metrics [--output FILE]\n"
             "Writes what monitoring needs to know in the form of OpenMetrics, as Prometheus' node "
             "exporter\ntakes it from a file.\n",
    .options = options,
    .more = "Exit status: 0 written, 69 the bus can't be reached, 73 the file can't be written.\n",
};

static int option_take(int value, const char *argument, void *userdata)
{
    const char **output = userdata;

    (void)value;
    *output = argument;
    return 0;
}

static int fail(int status, const char *culprit, const char *text)
{
    (void)fprintf(stderr, "trectl metrics: %s%s%s\n", culprit, culprit[0] != '\0' ? ": " : "",
                  text);
    return status;
}

/* A reader meets the old file or the new one, and nothing between. */
static int file_put(const char *path, json_object *snapshot)
{
    _cleanup_(free_charp) char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (!stream)
        return fail(EX_OSERR, "", strerror(ENOMEM));
    metrics_print(stream, snapshot);
    if (fclose(stream) != 0)
        return fail(EX_OSERR, "", strerror(ENOMEM));
    int r = file_write_atomic(path, (Bytes){(const uint8_t *)text, size}, FILE_MODE);
    return r < 0 ? fail(EX_CANTCREAT, path, strerror(-r)) : EX_OK;
}

int metrics_main(int argc, char **argv)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(json_object_putp) json_object *snapshot = NULL;
    const char *output = NULL;
    Reason reason = {0};
    int r = commandline_read(&line, argc, argv, option_take, &output);

    if (r == COMMANDLINE_GO_ON)
        r = commandline_end(&line, argc, argv);
    if (r != COMMANDLINE_GO_ON)
        return r;
    r = bus_connection_open(&bus, &reason);
    if (r < 0)
        return fail(exit_status(r, EX_UNAVAILABLE), "", reason.text);
    r = snapshot_take(bus, &snapshot);
    if (r < 0)
        return fail(EX_OSERR, "", strerror(-r));
    if (output)
        return file_put(output, snapshot);
    metrics_print(stdout, snapshot);
    return EX_OK;
}
