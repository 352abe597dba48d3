/* Traffic selectors read from and written as address prefixes. */
#include "ikeclient/selectors.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX_TEXT_MAX = INET6_ADDRSTRLEN + sizeof("/128") };

static size_t address_size(const IkeSelector *selector)
{
    return selector->type == IKE_TS_IPV6_ADDR_RANGE ? 16 : 4;
}

static int address_family(const IkeSelector *selector)
{
    return selector->type == IKE_TS_IPV6_ADDR_RANGE ? AF_INET6 : AF_INET;
}

/* From an address to the first and last one that share its first `length` bits. */
static void spread(IkeSelector *selector, size_t length)
{
    for (size_t i = 0; i < address_size(selector); i++) {
        size_t bits = length <= i * 8 ? 0 : length - i * 8;
        const unsigned mask = bits >= 8 ? 0xff : 0xff00U >> bits & 0xff;
        selector->end[i] = (uint8_t)(selector->start[i] | ~mask);
        selector->start[i] = (uint8_t)(selector->start[i] & mask);
    }
}

static int parse_prefix(char *text, IkeSelector *ret)
{
    IkeSelector selector = {.end_port = UINT16_MAX};
    char *slash = strchr(text, '/');

    if (slash)
        *slash++ = 0;
    selector.type = strchr(text, ':') ? IKE_TS_IPV6_ADDR_RANGE : IKE_TS_IPV4_ADDR_RANGE;
    if (inet_pton(address_family(&selector), text, selector.start) != 1)
        return -EINVAL;

    unsigned long length = address_size(&selector) * 8;
    if (slash) {
        char *end = NULL;
        unsigned long given = strtoul(slash, &end, 10);
        if (*slash < '0' || *slash > '9' || *end || given > length)
            return -EINVAL;
        length = given;
    }
    spread(&selector, length);
    *ret = selector;
    return 0;
}

int selectors_parse(const char *text, IkeTs *ret)
{
    IkeTs ts = {0};

    do {
        char prefix[PREFIX_TEXT_MAX];
        text += strspn(text, " \t");
        size_t size = strcspn(text, ", \t");
        if (size >= sizeof(prefix) || ts.n_selectors == IKE_SELECTORS_MAX)
            return -EINVAL;
        memcpy(prefix, text, size);
        prefix[size] = 0;
        if (parse_prefix(prefix, &ts.selectors[ts.n_selectors]) < 0)
            return -EINVAL;
        ts.n_selectors++;
        text += size;
        text += strspn(text, " \t");
    } while (*text++ == ',');

    if (text[-1] != 0)
        return -EINVAL;
    *ret = ts;
    return 0;
}

void selectors_add_any(IkeTs *ts, uint8_t ts_type)
{
    IkeSelector any = {.type = ts_type, .end_port = UINT16_MAX};

    spread(&any, 0);
    if (ts->n_selectors < IKE_SELECTORS_MAX)
        ts->selectors[ts->n_selectors++] = any;
}

static bool intersect(const IkeSelector *a, const IkeSelector *b, IkeSelector *ret)
{
    const size_t size = address_size(a);

    if (a->type != b->type || (a->protocol != b->protocol && a->protocol != 0 && b->protocol != 0))
        return false;
    *ret = *a;
    ret->protocol = a->protocol != 0 ? a->protocol : b->protocol;
    if (b->start_port > ret->start_port)
        ret->start_port = b->start_port;
    if (b->end_port < ret->end_port)
        ret->end_port = b->end_port;
    if (memcmp(b->start, ret->start, size) > 0)
        memcpy(ret->start, b->start, size);
    if (memcmp(b->end, ret->end, size) < 0)
        memcpy(ret->end, b->end, size);
    return ret->start_port <= ret->end_port && memcmp(ret->start, ret->end, size) <= 0;
}

bool selectors_intersect(const IkeTs *a, const IkeTs *b, IkeTs *ret)
{
    IkeTs both = {0};

    for (size_t i = 0; i < a->n_selectors; i++) {
        for (size_t j = 0; j < b->n_selectors && both.n_selectors < IKE_SELECTORS_MAX; j++) {
            if (intersect(&a->selectors[i], &b->selectors[j], &both.selectors[both.n_selectors]))
                both.n_selectors++;
        }
    }
    *ret = both;
    return both.n_selectors > 0;
}

/* The prefix length of a range, or -1 if it is none. */
static int prefix_length(const IkeSelector *selector)
{
    for (size_t length = 0; length <= address_size(selector) * 8; length++) {
        IkeSelector candidate = *selector;
        spread(&candidate, length);
        if (memcmp(candidate.start, selector->start, sizeof(candidate.start)) == 0 &&
            memcmp(candidate.end, selector->end, sizeof(candidate.end)) == 0)
            return (int)length;
    }
    return -1;
}

const char *selectors_text(const IkeTs *ts, char *text)
{
    int n = 0;

    text[0] = 0;
    for (size_t i = 0; i < ts->n_selectors && n < SELECTORS_TEXT_SIZE; i++) {
        const IkeSelector *selector = &ts->selectors[i];
        char start[INET6_ADDRSTRLEN] = "?", end[INET6_ADDRSTRLEN] = "?";
        int length = prefix_length(selector);
        size_t left = (size_t)(SELECTORS_TEXT_SIZE - n);
        const char *comma = i > 0 ? ", " : "";

        (void)inet_ntop(address_family(selector), selector->start, start, sizeof(start));
        (void)inet_ntop(address_family(selector), selector->end, end, sizeof(end));
        if (length >= 0) {
            n += snprintf(text + n, left, "%s%s/%d", comma, start, length);
        } else {
            n += snprintf(text + n, left, "%s%s-%s", comma, start, end);
        }
    }
    return text;
}
