/* What does the command line of trectl check-peer ask for? */
#include "trectl/check_peer_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "Usage: trectl check-peer --cert FILE [OPTION…]\n"
    "Says whether tred would take this certificate from a SeGW, and if not, why.\n"
    "\n"
    "      --cert FILE        the SeGW's certificate; what follows in the file is its chain\n"
    "      --chain FILE       certificates that it sends beside; may be repeated\n"
    "      --crl FILE|DIR     CRLs beside the configured ones; may be repeated\n"
    "      --ocsp FILE        an OCSP response, as it comes in IKE; may be repeated\n"
    "      --anchors FILE     anchors; the configuration is then not read\n"
    "      --profile FILE     a profile, or 3gpp\n"
    "      --name FQDN        the name that it must prove\n"
    "      --revocation MODE  off, if-available or require\n"
    "      --time TIME        judge as of then: 2026-01-31T12:00:00Z, or seconds since 1970\n"
    "      --json             print the result as JSON\n"
    "  -c, --config FILE      tred's configuration (default /etc/tred/tred.conf)\n"
    "  -h, --help             print this and exit\n"
    "\n"
    "Exit status: 0 accepted, 1 refused, 64 wrong usage, 65 could not judge.\n";

void check_peer_usage(void)
{
    (void)fputs(usage, stdout);
}

static int problem(const char *what, const char *value)
{
    (void)fprintf(stderr, "trectl check-peer: %s%s\n", what, value);
    return -EINVAL;
}

static int list_add(const char **list, size_t *count, const char *value)
{
    if (*count == CHECK_PEER_FILES_MAX)
        return problem("too many files; put several into one, beginning with ", value);
    list[(*count)++] = value;
    return 0;
}

static int time_read(const char *text, time_t *ret)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    char *digits_end = NULL;
    long long seconds;

    if (end && *end == '\0') {
        *ret = timegm(&tm);
        return 0;
    }
    seconds = strtoll(text, &digits_end, 10);
    if (*text == '\0' || *digits_end != '\0')
        return problem("this is no time like 2026-01-31T12:00:00Z: ", text);
    *ret = (time_t)seconds;
    return 0;
}

enum { CERT = 256, CHAIN, CRL, OCSP, ANCHORS, PROFILE, NAME, REVOCATION, TIME, JSON };

static int option_take(int option, const char *value, CheckPeerOptions *ret)
{
    switch (option) {
    case CERT:
        ret->certificate = value;
        return 0;
    case CHAIN:
        return list_add(ret->chains, &ret->n_chains, value);
    case CRL:
        return list_add(ret->crls, &ret->n_crls, value);
    case OCSP:
        return list_add(ret->ocsp, &ret->n_ocsp, value);
    case ANCHORS:
        ret->anchors = value;
        return 0;
    case PROFILE:
        ret->profile = value;
        return 0;
    case NAME:
        ret->name = value;
        return 0;
    case REVOCATION:
        ret->revocation = value;
        return 0;
    case TIME:
        return time_read(value, &ret->time);
    case JSON:
        ret->json = true;
        return 0;
    case 'c':
        ret->config = value;
        return 0;
    case 'h':
        ret->help = true;
        return 0;
    default:
        return -EINVAL;
    }
}

int check_peer_options_read(int argc, char **argv, CheckPeerOptions *ret)
{
    static const struct option options[] = {
        {"cert", required_argument, NULL, CERT},
        {"chain", required_argument, NULL, CHAIN},
        {"crl", required_argument, NULL, CRL},
        {"ocsp", required_argument, NULL, OCSP},
        {"anchors", required_argument, NULL, ANCHORS},
        {"profile", required_argument, NULL, PROFILE},
        {"name", required_argument, NULL, NAME},
        {"revocation", required_argument, NULL, REVOCATION},
        {"time", required_argument, NULL, TIME},
        {"json", no_argument, NULL, JSON},
        {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    *ret = (CheckPeerOptions){.config = "/etc/tred/tred.conf", .time = time(NULL)};
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option_take(option, optarg, ret) < 0)
            return -EINVAL;
    }
    if (ret->help)
        return 0;
    if (optind < argc)
        return problem("what is this? ", argv[optind]);
    if (!ret->certificate)
        return problem("--cert is missing; name the SeGW's certificate", "");
    return 0;
}
