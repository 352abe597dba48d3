/* trectl: what a person asks of the TrE (trectl(8)). */
#include "base/cleanup.h"
#include "base/program.h"
#include "trectl/commands.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
} commands[] = {
    {"status", "the tunnel, the TrE and certificates on one screen", status_main},
    {"watch", "the same, in place, whenever it changes", watch_main},
    {"up", "connect", up_main},
    {"down", "disconnect", down_main},
    {"flow", "the last exchange with the SeGW, step by step", flow_main},
    {"metrics", "what monitoring needs to know, as OpenMetrics", metrics_main},
    {"dns", "the SeGW's DNS servers in systemd-resolved while there is a tunnel", dns_main},
    {"doctor", "what stands between this machine and a working TrE", doctor_main},
    {"check-peer", "whether tred would take a SeGW's certificate, and if not, why",
     check_peer_main},
};

static const CommandLine line = {.program = "trectl", .usage = ""};

static int usage(void)
{
    (void)puts("Usage: trectl COMMAND [OPTION…]   (trectl COMMAND --help says more)\n");
    for (size_t i = 0; i < ELEMENTS(commands); i++)
        (void)printf("  %-12s %s\n", commands[i].name, commands[i].summary);
    (void)puts("\n  -h, --help     print this and exit\n"
               "      --version  print the version and exit");
    return EX_OK;
}

static int command_run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--version") == 0) {
        (void)puts("trectl " TRED_VERSION);
        return EX_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return usage();
    for (size_t i = 0; i < ELEMENTS(commands); i++) {
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    if (name[0] == '\0')
        return commandline_error(&line, "a command is missing");
    return commandline_error(&line, name[0] == '-' ? "%s is no option" : "%s is no command", name);
}

int main(int argc, char **argv)
{
    standard_open();
    return standard_finish("trectl", command_run(argc, argv));
}
