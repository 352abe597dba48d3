/* Reads the command line of trectl check-peer. */
#include "trectl/check_peer_options.h"

#include "base/cleanup.h"
#include "base/fqdn.h"
#include "base/program.h"

#include <errno.h>
#include <string.h>

/* 9999-12-31 23:59:59 UTC */
#define TIME_LAST 253402300799LL

enum { CERT = 256, CHAIN, CRL, OCSP, ANCHORS, PROFILE, NAME, REVOCATION, TIME };

static const CommandOption command_options[] = {
    {"cert", "FILE", CERT, "the SeGW's certificate; what follows in the file is its chain"},
    {"chain", "FILE", CHAIN, "certificates that it sends beside; may be repeated"},
    {"crl", "FILE|DIR", CRL, "CRLs beside the configured ones; may be repeated"},
    {"ocsp", "FILE", OCSP, "an OCSP response, as it comes in IKE; may be repeated"},
    {"anchors", "FILE", ANCHORS, "anchors; the configuration is then not read"},
    {"profile", "FILE", PROFILE, "a profile, or 3gpp"},
    {"name", "FQDN", NAME, "the name that it must prove"},
    {"revocation", "MODE", REVOCATION, "off, if-available or require"},
    {"time", "TIME", TIME, "judge as of then: 2026-01-31T12:00:00Z, or seconds since 1970"},
    {"json", NULL, 'j', "print the result as JSON"},
    {"config", "FILE", 'c', "tred's configuration (default /etc/tred/tred.conf)"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine line = {
    .program = "trectl check-peer",
    .usage = "Usage: trectl check-peer --cert FILE [OPTION…]\n"
             "Says whether tred would take this certificate from a SeGW, and if not, why.\n",
    .options = command_options,
    .more = "Exit status: 0 accepted, 1 refused, 64 wrong usage, 65 could not judge.\n",
};

static int list_add(const char **list, size_t *count, const char *value)
{
    if (*count == CHECK_PEER_FILES_MAX) {
        return commandline_error(&line, "too many files; put several into one, beginning with %s",
                                 value);
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

static int time_read(const char *text, time_t *ret)
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
    return commandline_error(
        &line, "--time is no time like 2026-01-31T12:00:00Z, nor seconds since 1970: %s", text);
}

static int name_read(const char *text, const char **ret)
{
    *ret = text;
    return fqdn_is_valid(text, strlen(text))
               ? 0
               : commandline_error(&line, "--name is no FQDN in A-label form: '%s'", text);
}

static int option_take(int option, const char *value, void *userdata)
{
    CheckPeerOptions *ret = userdata;

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
        return name_read(value, &ret->name);
    case REVOCATION:
        ret->revocation = value;
        return 0;
    case TIME:
        return time_read(value, &ret->time);
    case 'j':
        ret->json = true;
        return 0;
    default:
        ret->config = value;
        return 0;
    }
}

int check_peer_options_read(int argc, char **argv, CheckPeerOptions *ret)
{
    *ret = (CheckPeerOptions){.config = "/etc/tred/tred.conf", .time = time(NULL)};
    int r = commandline_read(&line, argc, argv, option_take, ret);

    if (r == COMMANDLINE_GO_ON && !ret->certificate)
        return commandline_error(&line, "--cert is missing; name the SeGW's certificate");
    return r;
}
