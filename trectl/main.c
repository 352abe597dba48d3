/* trectl: what a person asks of the TrE (trectl(8)). */
#include "base/cleanup.h"
#include "base/exitstatus.h"
#include "base/standard.h"
#include "trectl/check_peer.h"
#include "trectl/doctor.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
} commands[] = {
    {"check-peer", "whether tred would take a SeGW's certificate, and if not, why",
     check_peer_main},
    {"doctor", "what stands between this machine and a working TrE", doctor_main},
};

static int usage(FILE *stream)
{
    (void)fputs("Usage: trectl COMMAND …   (trectl COMMAND --help says more)\n\n", stream);
    for (size_t i = 0; i < ELEMENTS(commands); i++)
        (void)fprintf(stream, "  %-12s %s\n", commands[i].name, commands[i].summary);
    return stream == stdout ? EX_OK : EX_USAGE;
}

static int command_run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--version") == 0) {
        (void)puts("trectl " TRED_VERSION);
        return EX_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return usage(stdout);
    for (size_t i = 0; i < ELEMENTS(commands); i++) {
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    (void)fprintf(stderr, "trectl: unknown command \"%s\"\n", name);
    return usage(stderr);
}

int main(int argc, char **argv)
{
    standard_open();
    return standard_finish("trectl", command_run(argc, argv));
}
