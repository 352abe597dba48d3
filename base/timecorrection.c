/* Reads the operator's corrections of last-known times. */
#include "base/timecorrection.h"

#include "base/fqdn.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LINE_MAX_SIZE = FQDN_SIZE_MAX + 64 };

static const char keyword[] = "last-known-time";

typedef struct Correction {
    char fqdn[FQDN_SIZE_MAX];
    unsigned days;
} Correction;

static Bytes without(Bytes octets, size_t size)
{
    return (Bytes){octets.data + size, octets.size - size};
}

static bool begins_with(Bytes octets, const char *text)
{
    const size_t size = strlen(text);

    return octets.size >= size && strncasecmp((const char *)octets.data, text, size) == 0;
}

/* The next line without its end, LF, CR LF or CR, and what is left after it. */
static Bytes line_take(Bytes *left)
{
    size_t size = 0;

    while (size < left->size && left->data[size] != '\n' && left->data[size] != '\r')
        size++;
    const Bytes line = {left->data, size};
    *left = without(*left, size);
    if (left->size > 0)
        *left = without(*left, begins_with(*left, "\r\n") ? 2 : 1);
    return line;
}

/* What an editor may have put before its first word. */
static Bytes line_trim(Bytes line)
{
    if (begins_with(line, "\xef\xbb\xbf"))
        line = without(line, strlen("\xef\xbb\xbf"));
    while (line.size > 0 && (line.data[0] == ' ' || line.data[0] == '\t'))
        line = without(line, 1);
    return line;
}

static int line_read(Bytes line, Correction *ret)
{
    char text[LINE_MAX_SIZE], days[8] = "";
    int end = 0;

    if (line.size >= sizeof(text))
        return -EINVAL;
    memcpy(text, line.data, line.size);
    text[line.size] = '\0';
    _Static_assert(sizeof(ret->fqdn) == 256, "the width below is one less");
    if (strlen(text) != line.size ||
        sscanf(text, "last-known-time %255s minus %7[0-9]%n", ret->fqdn, days, &end) != 2 ||
        text[end] != '\0' || !fqdn_is_valid(ret->fqdn, strlen(ret->fqdn)))
        return -EINVAL;
    ret->days = (unsigned)strtoul(days, NULL, 10);
    return ret->days > 0 && ret->days <= TIME_CORRECTION_DAYS_MAX ? 0 : -EINVAL;
}

int time_correction_read(Bytes bundle, const char *fqdn, unsigned *ret, Reason *reason)
{
    unsigned number = 0;
    Bytes left = bundle;

    *ret = 0;
    while (left.size > 0) {
        const Bytes line = line_trim(line_take(&left));
        Correction correction;

        number++;
        if (!begins_with(line, keyword))
            continue;
        if (line_read(line, &correction) < 0) {
            return reason_set(reason, -EINVAL,
                              "line %u of the anchors is no correction like 'last-known-time "
                              "henb-0001.vendor.example minus 3650'",
                              number);
        }
        if (!fqdn) {
            (*ret)++;
        } else if (strcasecmp(correction.fqdn, fqdn) == 0) {
            if (*ret > 0) {
                return reason_set(reason, -EINVAL,
                                  "line %u of the anchors is a second correction for %s; make one "
                                  "of both",
                                  number, fqdn);
            }
            *ret = correction.days;
        }
    }
    return 0;
}
