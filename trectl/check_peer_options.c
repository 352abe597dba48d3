/* Reads the command line of trectl check-peer. */
#include "trectl/check_peer_options.h"

#include "base/fqdn.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* 9999-12-31 23:59:59 UTC */
#define TIME_LAST 253402300799LL

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

static int list_add(const char **list, size_t *count, const char *value, Reason *reason)
{
    if (*count == CHECK_PEER_FILES_MAX) {
        return reason_set(reason, -EINVAL,
                          "too many files; put several into one, beginning with %s", value);
    }
    list[(*count)++] = value;
    return 0;
}

/* A day that there is: timegm() would make March of February's 31st. */
static bool date_is_real(const struct tm *tm, time_t time)
{
    struct tm again;

    return gmtime_r(&time, &again) && again.tm_year == tm->tm_year && again.tm_mon == tm->tm_mon &&
           again.tm_mday == tm->tm_mday && again.tm_hour == tm->tm_hour &&
           again.tm_min == tm->tm_min && again.tm_sec == tm->tm_sec;
}

/* Up to the last second of the year 9999, which is the last that a certificate can name. */
static bool seconds_read(const char *text, time_t *ret)
{
    enum { DIGITS = 10 };
    char *end = NULL;
    long long seconds;

    errno = 0;
    seconds = strtoll(text, &end, DIGITS);
    *ret = (time_t)seconds;
    return errno == 0 && end != text && *end == '\0' && seconds >= 0 && seconds <= TIME_LAST;
}

static int time_read(const char *text, time_t *ret, Reason *reason)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

    if (end && *end == '\0') {
        const struct tm written = tm;

        *ret = timegm(&tm);
        if (date_is_real(&written, *ret) && *ret >= 0 && *ret <= TIME_LAST)
            return 0;
    } else if (seconds_read(text, ret)) {
        return 0;
    }
    return reason_set(reason, -EINVAL,
                      "this is no time like 2026-01-31T12:00:00Z, nor seconds since 1970: %s",
                      text);
}

static int name_read(const char *text, const char **ret, Reason *reason)
{
    *ret = text;
    return fqdn_is_valid(text, strlen(text))
               ? 0
               : reason_set(reason, -EINVAL, "--name is no FQDN in A-label form: '%s'", text);
}

enum { CERT = 256, CHAIN, CRL, OCSP, ANCHORS, PROFILE, NAME, REVOCATION, TIME, JSON };

static int option_take(int option, const char *value, CheckPeerOptions *ret, Reason *reason)
{
    switch (option) {
    case CERT:
        ret->certificate = value;
        return 0;
    case CHAIN:
        return list_add(ret->chains, &ret->n_chains, value, reason);
    case CRL:
        return list_add(ret->crls, &ret->n_crls, value, reason);
    case OCSP:
        return list_add(ret->ocsp, &ret->n_ocsp, value, reason);
    case ANCHORS:
        ret->anchors = value;
        return 0;
    case PROFILE:
        ret->profile = value;
        return 0;
    case NAME:
        return name_read(value, &ret->name, reason);
    case REVOCATION:
        ret->revocation = value;
        return 0;
    case TIME:
        return time_read(value, &ret->time, reason);
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

int check_peer_options_read(int argc, char **argv, CheckPeerOptions *ret, Reason *reason)
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
    /* Wherever it stands: it says in which form the others' faults are told. */
    for (int i = 1; i < argc; i++)
        ret->json = ret->json || strcmp(argv[i], "--json") == 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:h", options, NULL)) != -1) {
        if (option == '?' || option == ':') {
            return reason_set(reason, -EINVAL, "%s: %s", argv[optind - 1],
                              option == ':' ? "a value is missing" : "no such option");
        }
        if (option_take(option, optarg, ret, reason) < 0)
            return -EINVAL;
    }
    if (ret->help)
        return 0;
    if (optind < argc)
        return reason_set(reason, -EINVAL, "what is this? %s", argv[optind]);
    if (!ret->certificate)
        return reason_set(reason, -EINVAL, "--cert is missing; name the SeGW's certificate");
    return 0;
}
