/* ikeclient: the HeNB's IKE process. It holds no key and no right; tred holds both. */
#include "base/cleanup.h"
#include "base/log.h"
#include "ikeclient/run.h"

#include <errno.h>
#include <getopt.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

enum { COUNT_MAX = 1000000, CONTINUE = -1 };

typedef struct Arguments {
    const char *config;
    RunMode mode;
    unsigned count;
} Arguments;

static void print_usage(FILE *stream)
{
    (void)fprintf(stream,
                  "Usage: ikeclient [--config FILE] [--once | --count N]\n"
                  "  --config FILE  read FILE instead of /etc/tred/ikeclient.conf\n"
                  "  --once         end with the first connection\n"
                  "  --count N      connect and delete N times, then print how many passed\n"
                  "  --help, --version\n"
                  "See ikeclient(8).\n");
}

static int parse_count(const char *text, unsigned *ret)
{
    char *end = NULL;

    errno = 0;
    unsigned long count = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || count == 0 || count > COUNT_MAX) {
        (void)fprintf(stderr, "--count %s can't be used; write a number from 1 to %d\n", text,
                      COUNT_MAX);
        return -EINVAL;
    }
    *ret = (unsigned)count;
    return 0;
}

/* The exit status, or CONTINUE. */
static int parse_arguments(int argc, char **argv, Arguments *ret)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"once", no_argument, NULL, 'o'},
        {"count", required_argument, NULL, 'n'},  {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},      {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            ret->config = optarg;
            break;
        case 'o':
            ret->mode = RUN_ONCE;
            break;
        case 'n':
            ret->mode = RUN_COUNT;
            if (parse_count(optarg, &ret->count) < 0)
                return EX_USAGE;
            break;
        case 'h':
            print_usage(stdout);
            return EX_OK;
        case 'v':
            puts("ikeclient " TRED_VERSION);
            return EX_OK;
        default:
            print_usage(stderr);
            return EX_USAGE;
        }
    }
    if (optind < argc) {
        print_usage(stderr);
        return EX_USAGE;
    }
    return CONTINUE;
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
    _cleanup_(config_deinit) Config config = {0};
    char error[CONFIG_ERROR_SIZE];

    int r = parse_arguments(argc, argv, &arguments);
    if (r != CONTINUE)
        return r;
    r = rights_drop();
    if (r < 0) {
        log_error("capabilities can't be given up: %s", strerror(-r));
        return EX_OSERR;
    }
    r = config_init(&config);
    if (r < 0) {
        log_error("out of memory");
        return EX_OSERR;
    }
    r = config_load(&config, arguments.config, error);
    if (r < 0) {
        log_error("%s", error);
        return EX_CONFIG;
    }
    int level = config_log_level(&config);
    if (arguments.mode == RUN_COUNT && level == LOG_INFO)
        level = LOG_WARNING; /* thousands of connections: their failures are what matters */
    log_set_level(level);

    return run(&config, arguments.mode, arguments.count);
}
