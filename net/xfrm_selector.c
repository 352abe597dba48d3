/* Which XFRM selectors cover these traffic selectors? */
#include "net/xfrm_selector.h"

#include "net/prefix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

enum { PORT_MASKS_MAX = 32 };

typedef struct PortMask {
    uint16_t port;
    uint16_t mask; /* 0: any */
} PortMask;

typedef struct Selectors {
    size_t n;
    int error;
    struct xfrm_selector *list;
} Selectors;

/* The fewest masks that cover the ports and nothing else: prefixes of 16 bits. */
static size_t port_masks(const IkeSelector *selector, PortMask ret[PORT_MASKS_MAX])
{
    size_t n = 0;
    for (uint32_t start = selector->start_port; start <= selector->end_port;) {
        uint32_t size = start == 0 ? 0x10000 : start & -start;
        while (start + size - 1 > selector->end_port)
            size /= 2;
        ret[n++] = (PortMask){(uint16_t)start, (uint16_t)(0x10000 - size)};
        start += size;
    }
    return n;
}

/* A whole range of addresses is one prefix here: a policy has no default route to collide with. */
static size_t address_prefixes(const IkeSelector *selector, Prefix ret[PREFIXES_MAX])
{
    size_t n = prefixes_of_selector(selector, ret);
    if (n == 2 && ret[0].length == 1 && ret[1].length == 1) {
        ret[0].length = 0;
        n = 1;
    }
    return n;
}

static void append(Selectors *selectors, const struct xfrm_selector *selector)
{
    if (selectors->n == XFRM_SELECTORS_MAX) {
        selectors->error = -E2BIG;
    } else {
        selectors->list[selectors->n++] = *selector;
    }
}

static bool any_port(const IkeSelector *selector)
{
    return selector->start_port == 0 && selector->end_port == UINT16_MAX;
}

static void combine_ports(Selectors *selectors, struct xfrm_selector base,
                          const IkeSelector *source, const IkeSelector *destination)
{
    PortMask from[PORT_MASKS_MAX], to[PORT_MASKS_MAX];
    /* XFRM has type and code of ICMP in the place of ports, one each: it can't say a range of both.
     */
    if ((base.proto == IPPROTO_ICMP || base.proto == IPPROTO_ICMPV6) &&
        !(any_port(source) && any_port(destination))) {
        selectors->error = -EOPNOTSUPP;
        return;
    }
    size_t n_from = port_masks(source, from), n_to = port_masks(destination, to);
    for (size_t i = 0; i < n_from; i++) {
        for (size_t j = 0; j < n_to; j++) {
            base.sport = htons(from[i].port);
            base.sport_mask = htons(from[i].mask);
            base.dport = htons(to[j].port);
            base.dport_mask = htons(to[j].mask);
            append(selectors, &base);
        }
    }
}

static void combine(Selectors *selectors, const IkeSelector *source, const IkeSelector *destination)
{
    Prefix from[PREFIXES_MAX], to[PREFIXES_MAX];
    size_t n_from = address_prefixes(source, from), n_to = address_prefixes(destination, to);
    for (size_t i = 0; i < n_from; i++) {
        for (size_t j = 0; j < n_to && selectors->error == 0; j++) {
            struct xfrm_selector selector = {
                .family = source->type == IKE_TS_IPV4_ADDR_RANGE ? AF_INET : AF_INET6,
                .prefixlen_s = from[i].length,
                .prefixlen_d = to[j].length,
                .proto = source->protocol ? source->protocol : destination->protocol,
            };
            memcpy(&selector.saddr, from[i].octets, from[i].size);
            memcpy(&selector.daddr, to[j].octets, to[j].size);
            combine_ports(selectors, selector, source, destination);
        }
    }
}

static bool fit_together(const IkeSelector *source, const IkeSelector *destination)
{
    return source->type == destination->type &&
           (source->protocol == 0 || destination->protocol == 0 ||
            source->protocol == destination->protocol);
}

int xfrm_selectors(const IkeTs *source, const IkeTs *destination,
                   struct xfrm_selector ret[XFRM_SELECTORS_MAX])
{
    Selectors selectors = {.list = ret};
    for (size_t i = 0; i < source->n_selectors; i++) {
        for (size_t j = 0; j < destination->n_selectors; j++) {
            if (fit_together(&source->selectors[i], &destination->selectors[j]))
                combine(&selectors, &source->selectors[i], &destination->selectors[j]);
        }
    }
    return selectors.error < 0 ? selectors.error : (int)selectors.n;
}
