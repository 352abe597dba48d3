/* Reads the operator's corrections of last-known times. */
#include "base/timecorrection.h"

#include "base/fqdn.h"

#include <errno.h>
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

/* The next line without its end, and what is left after it. */
static Bytes line_take(Bytes *left)
{
    const uint8_t *end = left->size > 0 ? memchr(left->data, '\n', left->size) : NULL;
    const size_t size = end ? (size_t)(end - left->data) : left->size;
    const size_t taken = end ? size + 1 : size;
    Bytes line = {left->data, size};

    *left = (Bytes){left->data + taken, left->size - taken};
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
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
        const Bytes line = line_take(&left);
        Correction correction;

        number++;
        if (line.size < sizeof(keyword) - 1 || memcmp(line.data, keyword, sizeof(keyword) - 1) != 0)
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
