/* Whether traffic selectors lie within what this device allows. */
#include "tred/selector_policy.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t address_octets(const IkeSelector *selector)
{
    return selector->type == IKE_TS_IPV4_ADDR_RANGE ? 4 : 16;
}

/* The range of all addresses that share the first `length` bits. False if bits beyond them are set:
 * such a prefix is rather a slip than a wish. */
static bool range_of_prefix(IkeSelector *selector, unsigned length)
{
    for (size_t i = 0; i < address_octets(selector); i++) {
        unsigned bits = length > 8 * i ? length - 8 * (unsigned)i : 0;
        const unsigned host = bits >= 8 ? 0 : 0xffU >> bits;

        if (selector->start[i] & host)
            return false;
        selector->end[i] = (uint8_t)(selector->start[i] | host);
    }
    return true;
}

static bool prefix_parse(const char *text, IkeSelector *ret)
{
    char address[INET6_ADDRSTRLEN] = "";
    const char *slash = strchr(text, '/');
    char *end = NULL;
    unsigned long length;

    *ret = (IkeSelector){.end_port = UINT16_MAX};
    /* strtoul() would take signs and blanks in front, too. */
    if (!slash || (size_t)(slash - text) >= sizeof(address) || !isdigit((unsigned char)slash[1]))
        return false;
    memcpy(address, text, (size_t)(slash - text));
    length = strtoul(slash + 1, &end, 10);
    if (*end != '\0')
        return false;
    if (inet_pton(AF_INET, address, ret->start) == 1) {
        ret->type = IKE_TS_IPV4_ADDR_RANGE;
    } else if (inet_pton(AF_INET6, address, ret->start) == 1) {
        ret->type = IKE_TS_IPV6_ADDR_RANGE;
    } else {
        return false;
    }
    return length <= 8 * address_octets(ret) && range_of_prefix(ret, (unsigned)length);
}

int selector_policy_parse(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    _cleanup_(free_charp) char *copy = strdup(value);
    char *rest = NULL;
    IkeTs ts = {0};

    (void)item;
    if (!copy)
        return -ENOMEM;
    for (char *word = strtok_r(copy, ", \t", &rest); word; word = strtok_r(NULL, ", \t", &rest)) {
        if (ts.n_selectors == IKE_SELECTORS_MAX ||
            !prefix_parse(word, &ts.selectors[ts.n_selectors++]))
            goto refuse;
    }
    if (ts.n_selectors == 0)
        goto refuse;
    memcpy(target, &ts, sizeof(ts));
    return 0;
refuse:
    return reason_set(
        allowed, -EINVAL,
        "1 to %d prefixes, as in \"10.0.0.0/8, 2001:db8::/32\", with no bit set beyond "
        "their length",
        IKE_SELECTORS_MAX);
}

void selector_policy_any(IkeTs *ret)
{
    *ret = (IkeTs){.n_selectors = 2};
    (void)prefix_parse("0.0.0.0/0", &ret->selectors[0]);
    (void)prefix_parse("::/0", &ret->selectors[1]);
}

const IkeSelector *selector_policy_breach(const IkeTs *allowed, const IkeTs *selectors)
{
    for (size_t i = 0; i < selectors->n_selectors; i++) {
        const IkeTs one = {.n_selectors = 1, .selectors = {selectors->selectors[i]}};

        if (!ike_ts_is_subset(&one, allowed))
            return &selectors->selectors[i];
    }
    return NULL;
}

static bool selectors_overlap(const IkeSelector *a, const IkeSelector *b)
{
    const size_t size = address_octets(a);

    return a->type == b->type && memcmp(a->start, b->end, size) <= 0 &&
           memcmp(b->start, a->end, size) <= 0;
}

const IkeSelector *selector_policy_overlap(const IkeTs *a, const IkeTs *b)
{
    for (size_t i = 0; i < a->n_selectors; i++) {
        for (size_t j = 0; j < b->n_selectors; j++) {
            if (selectors_overlap(&a->selectors[i], &b->selectors[j]))
                return &a->selectors[i];
        }
    }
    return NULL;
}

void selector_text(const IkeSelector *selector, char *text)
{
    int family = selector->type == IKE_TS_IPV4_ADDR_RANGE ? AF_INET : AF_INET6;
    char start[INET6_ADDRSTRLEN] = "", end[INET6_ADDRSTRLEN] = "";

    (void)inet_ntop(family, selector->start, start, sizeof(start));
    (void)inet_ntop(family, selector->end, end, sizeof(end));
    (void)snprintf(text, SELECTOR_TEXT_SIZE, "%s-%s", start, end);
}
