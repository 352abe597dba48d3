/* The kernel's IPsec policies: made of traffic selectors, added and removed. */
#include "net/xfrm_policies.h"

#include "net/route.h"

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

enum { POLICIES_MAX = 3 * XFRM_SELECTORS_MAX };

typedef struct Entry {
    bool wanted;
    bool found; /* by xfrm_policies_lack() */
    XfrmPolicy policy;
} Entry;

/* Whose outbound policy it is where several pairs want the same: the first ones. */
typedef enum Rank { RANK_SENDS, RANK_STANDBY, RANK_EXPIRED, RANKS } Rank;

/* What one pair of SAs asks for. */
typedef struct Need {
    uint32_t spi_in;
    uint32_t spi_out;
    uint32_t reqid;
    uint8_t interface; /* its place */
    Rank rank;
    bool held; /* no outbound policy of its own */
    IkeTs ts_local;
    IkeTs ts_remote;
    struct sockaddr_storage local;
    struct sockaddr_storage remote;
} Need;

struct XfrmPolicies {
    Netlink *netlink;
    size_t n_entries;
    Entry entries[POLICIES_MAX];
    size_t n_needs;
    Need needs[DATAPLANE_SAS_MAX]; /* the newest last */
};

int xfrm_policies_new(Netlink *netlink, XfrmPolicies **ret)
{
    XfrmPolicies *policies = calloc(1, sizeof(*policies));
    if (!policies)
        return -ENOMEM;
    policies->netlink = netlink;
    *ret = policies;
    return 0;
}

void xfrm_policies_free(XfrmPolicies *policies)
{
    free(policies);
}

static bool selector_equal(const struct xfrm_selector *a, const struct xfrm_selector *b)
{
    return a->family == b->family && a->proto == b->proto && a->prefixlen_s == b->prefixlen_s &&
           a->prefixlen_d == b->prefixlen_d && a->sport == b->sport &&
           a->sport_mask == b->sport_mask && a->dport == b->dport &&
           a->dport_mask == b->dport_mask &&
           memcmp(a->saddr.a6, b->saddr.a6, sizeof(a->saddr.a6)) == 0 &&
           memcmp(a->daddr.a6, b->daddr.a6, sizeof(a->daddr.a6)) == 0;
}

static bool tunnel_equal(const XfrmPolicy *a, const XfrmPolicy *b)
{
    return a->spi == b->spi && a->reqid == b->reqid &&
           memcmp(&a->source, &b->source, sizeof(a->source)) == 0 &&
           memcmp(&a->destination, &b->destination, sizeof(a->destination)) == 0;
}

static Entry *entry_find(XfrmPolicies *policies, const XfrmPolicy *policy)
{
    for (size_t i = 0; i < policies->n_entries; i++) {
        Entry *entry = &policies->entries[i];
        if (entry->policy.direction == policy->direction &&
            entry->policy.interface == policy->interface &&
            selector_equal(&entry->policy.selector, &policy->selector))
            return entry;
    }
    return NULL;
}

static int want_policy(XfrmPolicies *policies, const XfrmPolicy *policy)
{
    Entry *entry = entry_find(policies, policy);
    if (entry && entry->wanted)
        return 0; /* by a pair that comes first, whose tunnel counts */
    if (!entry && policies->n_entries == POLICIES_MAX)
        return -ENOSPC;
    if (!entry || !tunnel_equal(&entry->policy, policy)) {
        int r = xfrm_policy_set(policies->netlink, policy);
        if (r < 0)
            return r;
    }
    if (!entry)
        entry = &policies->entries[policies->n_entries++];
    *entry = (Entry){.wanted = true, .policy = *policy};
    return 0;
}

static int want_direction(XfrmPolicies *policies, const Need *need, uint8_t direction)
{
    bool out = direction == XFRM_POLICY_OUT;
    struct xfrm_selector selectors[XFRM_SELECTORS_MAX];
    int n = xfrm_selectors(out ? &need->ts_local : &need->ts_remote,
                           out ? &need->ts_remote : &need->ts_local, selectors);
    int r = n;
    for (int i = 0; i < n && r >= 0; i++) {
        XfrmPolicy policy = {
            .direction = direction,
            .interface = need->interface,
            .selector = selectors[i],
            .source = out ? need->local : need->remote,
            .destination = out ? need->remote : need->local,
            .spi = out ? need->spi_out : 0,
            .reqid = need->reqid,
        };
        r = want_policy(policies, &policy);
    }
    return r;
}

static int want_all(XfrmPolicies *policies, const Need *need)
{
    int r = want_direction(policies, need, XFRM_POLICY_IN);
    if (r >= 0)
        r = want_direction(policies, need, XFRM_POLICY_FWD);
    if (r >= 0 && !need->held)
        r = want_direction(policies, need, XFRM_POLICY_OUT);
    return r < 0 ? r : 0;
}

static void delete_unwanted(XfrmPolicies *policies)
{
    size_t n = 0;
    for (size_t i = 0; i < policies->n_entries; i++) {
        if (policies->entries[i].wanted) {
            policies->entries[n++] = policies->entries[i];
        } else {
            (void)xfrm_policy_delete(policies->netlink, &policies->entries[i].policy);
        }
    }
    policies->n_entries = n;
}

/* Of those in standby the oldest comes first: where it sends already, as the one before it is gone,
 * a later one is to replace it, and waits for its turn. Of all others the newest. */
static const Need *need_at(const XfrmPolicies *policies, Rank rank, size_t place)
{
    return &policies->needs[rank == RANK_STANDBY ? place : policies->n_needs - 1 - place];
}

static int update(XfrmPolicies *policies)
{
    int r = 0;
    for (size_t i = 0; i < policies->n_entries; i++)
        policies->entries[i].wanted = false;
    for (Rank rank = 0; rank < RANKS; rank++) {
        for (size_t i = 0; i < policies->n_needs && r >= 0; i++) {
            const Need *need = need_at(policies, rank, i);
            if (need->rank == rank)
                r = want_all(policies, need);
        }
    }
    if (r >= 0)
        delete_unwanted(policies);
    return r;
}

int xfrm_policies_add(XfrmPolicies *policies, const SaOrder *order)
{
    if (policies->n_needs == DATAPLANE_SAS_MAX)
        return -ENOSPC;
    policies->needs[policies->n_needs++] = (Need){
        .spi_in = order->spi_in,
        .spi_out = order->spi_out,
        .reqid = xfrm_reqid(order->segw),
        .interface = order->interface,
        .rank = order->standby ? RANK_STANDBY : RANK_SENDS,
        .ts_local = order->ts_local,
        .ts_remote = order->ts_remote,
        .local = order->local,
        .remote = order->remote,
    };
    int r = update(policies);
    if (r < 0)
        xfrm_policies_remove(policies, order->spi_in);
    return r;
}

static Need *need_find(XfrmPolicies *policies, uint32_t spi_in)
{
    for (size_t i = 0; i < policies->n_needs; i++) {
        if (policies->needs[i].spi_in == spi_in)
            return &policies->needs[i];
    }
    return NULL;
}

static void need_drop(XfrmPolicies *policies, Need *need)
{
    const Need *last = &policies->needs[--policies->n_needs];
    memmove(need, need + 1, (size_t)(last - need) * sizeof(*need));
}

int xfrm_policies_use(XfrmPolicies *policies, uint32_t spi_in)
{
    Need *before = need_find(policies, spi_in);
    if (!before)
        return -ENOENT;
    Need need = *before;
    need.rank = RANK_SENDS;
    need_drop(policies, before);
    policies->needs[policies->n_needs++] = need;
    return update(policies);
}

void xfrm_policies_retire(XfrmPolicies *policies, uint32_t spi_in)
{
    Need *need = need_find(policies, spi_in);
    if (!need)
        return;
    need->rank = RANK_EXPIRED;
    (void)update(policies); /* there is nothing more to do for it */
}

int xfrm_policies_hold(XfrmPolicies *policies, uint32_t spi_in)
{
    Need *need = need_find(policies, spi_in);
    if (!need)
        return -ENOENT;
    need->held = true;
    return update(policies);
}

int xfrm_policies_move(XfrmPolicies *policies, uint32_t spi_in, const SaPath *path)
{
    Need *need = need_find(policies, spi_in);
    if (!need)
        return -ENOENT;
    need->held = false;
    need->local = path->local;
    need->remote = path->remote;
    return update(policies);
}

void xfrm_policies_remove(XfrmPolicies *policies, uint32_t spi_in)
{
    Need *need = need_find(policies, spi_in);
    if (need)
        need_drop(policies, need);
    (void)update(policies); /* what is left was there before */
}

static void mark_found(const XfrmPolicy *policy, void *userdata)
{
    Entry *entry = entry_find(userdata, policy);
    if (entry)
        entry->found = true;
}

unsigned xfrm_policies_lack(XfrmPolicies *policies)
{
    unsigned lacking = 0;
    for (size_t i = 0; i < policies->n_entries; i++)
        policies->entries[i].found = false;
    if (xfrm_policies_list(policies->netlink, mark_found, policies) < 0)
        return 0;
    for (size_t i = 0; i < policies->n_entries; i++) {
        if (!policies->entries[i].found)
            lacking |= 1U << policies->entries[i].policy.interface;
    }
    return lacking;
}
