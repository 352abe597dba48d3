/* trectl doctor: what stands between this machine and a working TrE, in the order in which it
 * should be mended. */
#include "trectl/doctor.h"

#include "base/cleanup.h"
#include "base/exitstatus.h"
#include "base/reason.h"
#include "trectl/check.h"
#include "tred/config.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "Usage: trectl doctor [--config FILE] [--tred-net FILE]\n"
    "Says what stands between this machine and a working trusted environment, and what to do.\n"
    "\n"
    "  -c, --config FILE  tred's configuration (default /etc/tred/tred.conf)\n"
    "      --tred-net FILE  the program that the data plane is tried with (default " TRED_NET_PATH
    ")\n"
    "  -h, --help         print this and exit\n";

/* The rest of the checks need to know what tred was told to use. */
static void configured_check(Findings *findings, const char *path, const char *net_program)
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

int doctor_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"tred-net", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *path = "/etc/tred/tred.conf", *net_program = TRED_NET_PATH;
    Findings findings = {0};
    int option;

    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'n':
            net_program = optarg;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            return EX_OK;
        default:
            return EX_USAGE;
        }
    }
    check_users(&findings);
    check_bus(&findings);
    configured_check(&findings, path, net_program);
    if (findings.n_problems == 0) {
        (void)puts("Nothing stands in the way");
    } else {
        (void)printf("%u problem(s), each with its remedy above.\n", findings.n_problems);
    }
    return findings.n_problems == 0 ? EX_OK : EXIT_FAILURE;
}
