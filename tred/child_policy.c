/* What this device allows of a Child SA: its selectors, its addresses and its cipher. */
#include "tred/child_policy.h"

#include "base/cleanup.h"
#include "base/reason.h"
#include "tred/exchange_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
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

/* Takes `text` apart. */
static bool prefix_parse(char *text, IkeSelector *ret)
{
    const char *address = strsep(&text, "/");
    char *end = NULL;
    unsigned long length;

    *ret = (IkeSelector){.end_port = UINT16_MAX};
    /* strtoul() would take signs and blanks in front, too. */
    if (!text || !isdigit((unsigned char)*text))
        return false;
    length = strtoul(text, &end, 10);
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
    char v4[] = "0.0.0.0/0", v6[] = "::/0";

    *ret = (IkeTs){.n_selectors = 2};
    (void)prefix_parse(v4, &ret->selectors[0]);
    (void)prefix_parse(v6, &ret->selectors[1]);
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

/* ---- a Child SA, whatever the peer grants ---- */

enum {
    IPV4_SIZE = 4,
    IPV6_SIZE = 16,
};

/* What no host's address lies in, or what has a meaning of its own on every host (RFC 6890, RFC
 * 4291 2.4): an address in it would change where the host's own packets go. */
static const struct {
    size_t size;
    uint8_t length; /* of the prefix, in bits */
    uint8_t octets[IPV6_SIZE];
    const char *what;
} no_addresses[] = {
    {IPV4_SIZE, 8, {0}, "unspecified"},
    {IPV4_SIZE, 8, {127}, "loopback"},
    {IPV4_SIZE, 16, {169, 254}, "link-local"},
    {IPV4_SIZE, 4, {224}, "multicast"},
    {IPV4_SIZE, 4, {240}, "reserved or broadcast"},
    {IPV6_SIZE, 96, {0}, "unspecified, loopback or IPv4-compatible"},
    {IPV6_SIZE, 96, {[10] = 0xff, [11] = 0xff}, "IPv4-mapped"},
    {IPV6_SIZE, 10, {0xfe, 0x80}, "link-local"},
    {IPV6_SIZE, 8, {0xff}, "multicast"},
};

static bool shares_prefix(const uint8_t *a, const uint8_t *b, uint8_t length)
{
    size_t octets = length / 8;
    uint8_t mask = (uint8_t)(0xff00U >> (length % 8));

    return memcmp(a, b, octets) == 0 && (length % 8 == 0 || ((a[octets] ^ b[octets]) & mask) == 0);
}

static bool address_is(const struct sockaddr_storage *endpoint, const InnerAddress *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)endpoint;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)endpoint;

    if (endpoint->ss_family == AF_INET && address->size == IPV4_SIZE)
        return memcmp(&v4->sin_addr, address->octets, IPV4_SIZE) == 0;
    return endpoint->ss_family == AF_INET6 && address->size == IPV6_SIZE &&
           memcmp(&v6->sin6_addr, address->octets, IPV6_SIZE) == 0;
}

/* Those of all exchanges: with the outer address of another SeGW on this host's interface, what is
 * sent to that SeGW would not leave the host. */
static const char *outer_address_flaw(const Exchange *exchange, const InnerAddress *address)
{
    for (const Exchange *one = exchange->context->exchanges; one; one = one->next) {
        if (!one->transport)
            continue;
        if (address_is(&one->remote, address))
            return one->segw == exchange->segw ? "the SeGW's own" : "another SeGW's own";
        if (address_is(&one->transport->local, address))
            return "this host's own";
    }
    return NULL;
}

/* Why no tunnel may have that address; NULL: it may. */
static const char *address_flaw(const Exchange *exchange, const InnerAddress *address)
{
    IkeTs alone = {.n_selectors = 1, .selectors = {{.end_port = UINT16_MAX}}};
    IkeSelector *selector = &alone.selectors[0];

    for (size_t i = 0; i < ELEMENTS(no_addresses); i++) {
        if (no_addresses[i].size == address->size &&
            shares_prefix(no_addresses[i].octets, address->octets, no_addresses[i].length))
            return no_addresses[i].what;
    }
    const char *flaw = outer_address_flaw(exchange, address);
    if (flaw)
        return flaw;
    selector->type = address->size == IPV4_SIZE ? IKE_TS_IPV4_ADDR_RANGE : IKE_TS_IPV6_ADDR_RANGE;
    memcpy(selector->start, address->octets, address->size);
    memcpy(selector->end, address->octets, address->size);
    return ike_ts_is_subset(&alone, &exchange->segw->allowed_local)
               ? NULL
               : "not within allowed-local of tred.conf";
}

static int addresses_check(const Exchange *exchange, const ChildGrant *grant, Reason *reason)
{
    for (size_t i = 0; i < grant->n_addresses; i++) {
        const InnerAddress *address = &grant->addresses[i];
        const char *flaw = address_flaw(exchange, address);
        char text[INET6_ADDRSTRLEN] = "";

        if (!flaw)
            continue;
        (void)inet_ntop(address->size == IPV4_SIZE ? AF_INET : AF_INET6, address->octets, text,
                        sizeof(text));
        return reason_set(reason, EXCHANGE_E_ADDRESS_NOT_ALLOWED,
                          "The SeGW assigned the address %s, which is %s. Check its address "
                          "pool",
                          text, flaw);
    }
    return 0;
}

static int selectors_check(const char *which, const IkeTs *allowed, const IkeTs *ts, Reason *reason)
{
    const IkeSelector *breach = selector_policy_breach(allowed, ts);
    char text[SELECTOR_TEXT_SIZE];

    if (!breach)
        return 0;
    selector_text(breach, text);
    return reason_set(reason, EXCHANGE_E_SELECTORS_NOT_ALLOWED,
                      "The %s selector %s is not within allowed-%s of tred.conf. Have the "
                      "SeGW narrow it, or allow it there",
                      which, text, which);
}

/* The keys of a Child SA are no better kept than those of the IKE SA that they come from. */
static int strength_check(const Exchange *exchange, const ChildGrant *grant, Reason *reason)
{
    const Cipher *ike = exchange->suite.cipher, *esp = grant->suite.cipher;

    if (exchange->context->stronger_child || esp->key_size <= ike->key_size)
        return 0;
    return reason_set(
        reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
        "The Child SA's cipher, %s, is stronger than the IKE SA's, %s, by which its "
        "keys are made. Propose a stronger one for IKE, or set stronger-child = yes in "
        "[data-plane] of tred.conf",
        esp->name, ike->name);
}

/* Routes go where ts_remote does, so what is checked of it holds for them. */
int exchange_grant_judge(const Exchange *exchange, const ChildGrant *grant, Reason *reason)
{
    const Segw *segw = exchange->segw;
    int r;

    r = strength_check(exchange, grant, reason);
    if (r == 0)
        r = selectors_check("local", &segw->allowed_local, &grant->ts_local, reason);
    if (r == 0)
        r = selectors_check("remote", &segw->allowed_remote, &grant->ts_remote, reason);
    return r != 0 ? r : addresses_check(exchange, grant, reason);
}
