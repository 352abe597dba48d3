/* trectl doctor: what stands between this machine and a working TrE, in the order in which it
 * should be mended. */
#include "base/cleanup.h"
#include "base/program.h"
#include "base/reason.h"
#include "trectl/check.h"
#include "trectl/commands.h"
#include "tred/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NET_PROGRAM = 256, CLIENT_CONFIG, JSON };

static const CommandOption command_options[] = {
    {"config", "FILE", 'c', "tred's configuration (default /etc/tred/tred.conf)"},
    {"client-config", "FILE", CLIENT_CONFIG,
     "ikeclient's configuration (default /etc/tred/ikeclient.conf)"},
    {"tred-net", "FILE", NET_PROGRAM, "the program that the data plane is tried with"},
    {"json", NULL, JSON, "print the findings as JSON"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine line = {
    .program = "trectl doctor",
    .usage = "Usage: trectl doctor [OPTION…]\n"
             "Says what stands between this machine and a working trusted environment, and what to "
             "do.\n",
    .options = command_options,
    .more = "Exit status: 0 nothing stands in the way, 1 something does, 64 wrong usage.\n",
};

typedef struct DoctorOptions {
    const char *config, *client_config, *net_program;
    bool json;
} DoctorOptions;

/* The rest of the checks need to know what tred was told to use. */
static void configured_check(const Findings *findings, const char *path, const char *net_program)
{
    _cleanup_(tred_config_deinit) TredConfig config = {0};
    Reason reason = {0};
    int r = tred_config_read(path, &config, &reason);
    bool running;

    if (r < 0) {
        findings_add(findings, FINDING_PROBLEM, "configuration", "%s",
                     reason.text[0] != '\0' ? reason.text : strerror(-r));
        return;
    }
    findings_add(findings, FINDING_OK, "configuration", "%s; the SeGW is %s", path,
                 config.segw_name);
    check_dataplane(findings, &config, net_program);
    running = check_daemon(findings);
    check_identity(findings, &config, !running);
}

static int option_take(int value, const char *argument, void *userdata)
{
    DoctorOptions *options = userdata;

    switch (value) {
    case 'c':
        options->config = argument;
        return 0;
    case CLIENT_CONFIG:
        options->client_config = argument;
        return 0;
    case NET_PROGRAM:
        options->net_program = argument;
        return 0;
    default:
        options->json = true;
        return 0;
    }
}

static void end_print(const Findings *findings)
{
    if (findings->json) {
        (void)printf("\n  ],\n  \"problems\": %u,\n  \"warnings\": %u\n}\n",
                     findings->counts->n_problems, findings->counts->n_warnings);
    } else if (findings->counts->n_problems == 0) {
        (void)puts("Nothing stands in the way");
    } else {
        (void)printf("%u problem(s), each with its remedy above.\n", findings->counts->n_problems);
    }
}

int doctor_main(int argc, char **argv)
{
    DoctorOptions options = {.config = "/etc/tred/tred.conf",
                             .client_config = "/etc/tred/ikeclient.conf",
                             .net_program = TRED_NET_PATH};
    Findings findings = {0};
    int r = commandline_read(&line, argc, argv, option_take, &options);

    if (r != COMMANDLINE_GO_ON)
        return r;
    if (findings_init(&findings, options.json) < 0) {
        (void)fprintf(stderr, "trectl doctor: %s\n", strerror(ENOMEM));
        return EX_OSERR;
    }
    if (findings.json)
        (void)puts("{\n  \"findings\": [");
    check_users(&findings);
    check_bus(&findings);
    configured_check(&findings, options.config, options.net_program);
    check_client_configuration(&findings, options.client_config);
    check_client(&findings);
    end_print(&findings);
    return findings.counts->n_problems == 0 ? EX_OK : EXIT_FAILURE;
}
