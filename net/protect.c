/* What the rules follow from: the order, the SAs, and the networks that the host is in. */
#include "net/protect.h"

#include "base/log.h"
#include "net/protect_rules.h"
#include "net/route.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* What an SA pair brings. */
typedef struct Need {
    uint32_t spi_in;
    bool in_kernel; /* tred-esp's packets pass as those of tred's user, and need no way */
    ProtectWay way;
    uint8_t interface; /* its place */
    size_t n_addresses;
    InnerAddress addresses[DATAPLANE_ADDRESSES_MAX];
} Need;

struct Protection {
    Netlink *nft;
    Netlink *route;
    NetlinkWatch *rules_watch;
    NetlinkWatch *networks_watch; /* NULL where local networks are no exception */
    ProtectOrder order;
    ProtectRules rules; /* as they are in force */
    bool touched;       /* the kernel may have others, or none */
    int told;           /* why it did not take them, as the log has it; not negative: nothing */
    IkeTs local;
    size_t n_needs;
    Need needs[DATAPLANE_SAS_MAX + 1];   /* one pair may be on its move */
    Need last[DATAPLANE_INTERFACES_MAX]; /* of each interface, the one that went last */
};

static bool address_equal(const InnerAddress *a, const InnerAddress *b)
{
    return a->size == b->size && memcmp(a->octets, b->octets, a->size) == 0;
}

static void add_inner(ProtectRules *rules, const InnerAddress *address)
{
    for (size_t i = 0; i < rules->n_inner; i++) {
        if (address_equal(&rules->inner[i], address))
            return;
    }
    rules->inner[rules->n_inner++] = *address;
}

static bool way_equal(const ProtectWay *a, const ProtectWay *b)
{
    return a->udp_encapsulated == b->udp_encapsulated &&
           memcmp(&a->local, &b->local, sizeof(a->local)) == 0 &&
           memcmp(&a->remote, &b->remote, sizeof(a->remote)) == 0;
}

static void add_way(ProtectRules *rules, const ProtectWay *way)
{
    for (size_t i = 0; i < rules->n_ways; i++) {
        if (way_equal(&rules->ways[i], way))
            return;
    }
    rules->ways[rules->n_ways++] = *way;
}

static void add_inner_of(ProtectRules *rules, const Need *need)
{
    for (size_t i = 0; i < need->n_addresses; i++)
        add_inner(rules, &need->addresses[i]);
}

/* The rules that follow from what there is. An interface that is between two tunnels has no
 * address, but what is still sent from or to its last ones belongs into the tunnel, and into
 * nothing else. */
static ProtectRules derive(const Protection *protection)
{
    ProtectRules rules = protection->rules;
    bool up[DATAPLANE_INTERFACES_MAX] = {false};
    rules.n_ways = 0;
    rules.n_inner = 0;
    for (size_t i = 0; i < protection->n_needs; i++) {
        const Need *need = &protection->needs[i];
        up[need->interface] = true;
        if (need->in_kernel)
            add_way(&rules, &need->way);
        add_inner_of(&rules, need);
    }
    for (size_t i = 0; i < DATAPLANE_INTERFACES_MAX; i++) {
        if (!up[i])
            add_inner_of(&rules, &protection->last[i]);
    }
    return rules;
}

/* Has the kernel take them, in the place of those before. Until it has said so nobody knows which
 * it has: an answer may be lost. */
static int install(Protection *protection, const ProtectRules *rules)
{
    protection->touched = true;
    _cleanup_(nft_batch_freep) NftBatch *batch = NULL;
    int r = nft_batch_new(PROTECT_TABLE, &batch);
    if (r < 0)
        return r;
    protect_rules_write(rules, batch);
    r = nft_batch_commit(batch, protection->nft);
    if (r < 0)
        return r;
    protection->rules = *rules;
    protection->touched = false;
    return 0;
}

static bool rules_equal(const ProtectRules *a, const ProtectRules *b)
{
    if (a->n_ways != b->n_ways || a->n_inner != b->n_inner)
        return false;
    for (size_t i = 0; i < a->n_ways; i++) {
        if (!way_equal(&a->ways[i], &b->ways[i]))
            return false;
    }
    for (size_t i = 0; i < a->n_inner; i++) {
        if (!address_equal(&a->inner[i], &b->inner[i]))
            return false;
    }
    return true;
}

typedef struct Heard {
    uint32_t own_port;
    bool deleted;
} Heard;

static int hear_rules(const struct nlmsghdr *header, void *userdata)
{
    Heard *heard = userdata;
    if (header->nlmsg_pid != heard->own_port && nft_tells_deletion(header, PROTECT_TABLE))
        heard->deleted = true;
    return MNL_CB_OK;
}

static bool are_touched(Protection *protection)
{
    Heard heard = {.own_port = netlink_port(protection->nft)};
    bool lost = netlink_watch_read(protection->rules_watch, hear_rules, &heard);
    if (heard.deleted) {
        log_warning("Somebody else deleted rules of the table inet %s: they are put back",
                    PROTECT_TABLE);
    }
    protection->touched = protection->touched || heard.deleted || lost;
    return protection->touched;
}

/* A pair comes or goes, most often with a way and addresses that others had: writing all rules anew
 * costs the kernel more than all else that a tunnel needs of it. Those that are the same are left,
 * if they are there. */
static int update(Protection *protection)
{
    const ProtectRules rules = derive(protection);
    if (!are_touched(protection) && rules_equal(&rules, &protection->rules))
        return 0;
    return install(protection, &rules);
}

static int watch(Protection *protection)
{
    static const int rules[] = {NFNLGRP_NFTABLES};
    static const int networks[] = {RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR};
    int r = netlink_watch_new(NETLINK_NETFILTER, rules, ELEMENTS(rules), &protection->rules_watch);
    if (r < 0 || !protect_rules_heed_local(&protection->order))
        return r;
    r = netlink_watch_new(NETLINK_ROUTE, networks, ELEMENTS(networks), &protection->networks_watch);
    if (r >= 0)
        r = netlink_new(NETLINK_ROUTE, &protection->route);
    return r < 0 ? r : local_networks(protection->route, &protection->local);
}

/* The watches first: what changes from then on is heard of. */
static int prepare(Protection *protection)
{
    int r = netlink_new(NETLINK_NETFILTER, &protection->nft);
    if (r >= 0)
        r = watch(protection);
    return r < 0 ? r : install(protection, &protection->rules);
}

int protection_open(const ProtectOrder *order, const uid_t users[2], Protection **ret,
                    Reason *reason)
{
    *ret = NULL;
    if (order->mode == PROTECT_NO) {
        int r = protection_remove();
        return r < 0 ? reason_set(reason, r, "The table inet %s can't be deleted: %s",
                                  PROTECT_TABLE, strerror(-r))
                     : 0;
    }
    _cleanup_(protection_freep) Protection *protection = calloc(1, sizeof(*protection));
    if (!protection)
        return reason_set(reason, -ENOMEM, "Out of memory");
    protection->order = *order;
    protection->rules = (ProtectRules){
        .order = &protection->order,
        .users = {users[0], users[1]},
        .local = &protection->local,
    };
    int r = prepare(protection);
    if (r < 0) {
        return reason_set(reason, r,
                          "The kernel does not take the rules of nf_tables by which nothing leaves "
                          "past the tunnel: %s. Load the module nf_tables, or set protect = no",
                          strerror(-r));
    }
    *ret = steal_pointer(protection);
    return 0;
}

void protection_free(Protection *protection)
{
    if (!protection)
        return;
    netlink_watch_free(protection->networks_watch);
    netlink_watch_free(protection->rules_watch);
    netlink_free(protection->route);
    netlink_free(protection->nft);
    free(protection);
}

/* Where the kernel has no nf_tables there are no rules. The table is made first, as one that is not
 * there can't be deleted. */
int protection_remove(void)
{
    _cleanup_(netlink_freep) Netlink *nft = NULL;
    _cleanup_(nft_batch_freep) NftBatch *batch = NULL;
    int r = netlink_new(NETLINK_NETFILTER, &nft);
    if (r == -EPROTONOSUPPORT)
        return 0;
    if (r >= 0)
        r = nft_batch_new(PROTECT_TABLE, &batch);
    if (r < 0)
        return r;
    nft_add_table(batch);
    nft_delete_table(batch);
    r = nft_batch_commit(batch, nft);
    return r == -EOPNOTSUPP ? 0 : r;
}

static int add_need(Protection *protection, const Need *need, Reason *reason)
{
    protection->needs[protection->n_needs++] = *need;
    int r = update(protection);
    if (r < 0) {
        protection->n_needs--;
        reason_set(reason, r, "the kernel did not take the rules that protect the tunnel: %s",
                   strerror(-r));
    }
    return r;
}

int protection_add_sa(Protection *protection, const SaOrder *order, Reason *reason)
{
    if (protection->n_needs >= DATAPLANE_SAS_MAX || order->n_addresses > DATAPLANE_ADDRESSES_MAX ||
        order->interface >= DATAPLANE_INTERFACES_MAX)
        return -ENOSPC;
    Need need = {
        .spi_in = order->spi_in,
        .in_kernel = order->encr_in != NULL,
        .way =
            {
                .udp_encapsulated = order->udp_encapsulated,
                .local = order->local,
                .remote = order->remote,
            },
        .interface = order->interface,
        .n_addresses = order->n_addresses,
    };
    memcpy(need.addresses, order->addresses, sizeof(need.addresses));
    return add_need(protection, &need, reason);
}

static Need *need_find(Protection *protection, uint32_t spi_in)
{
    for (size_t i = 0; i < protection->n_needs; i++) {
        if (protection->needs[i].spi_in == spi_in)
            return &protection->needs[i];
    }
    return NULL;
}

int protection_add_way(Protection *protection, uint32_t spi_in, const SaPath *path, Reason *reason)
{
    const Need *moving = need_find(protection, spi_in);
    if (!moving)
        return -ENOENT;
    Need need = *moving;
    need.way.udp_encapsulated = path->udp_encapsulated;
    need.way.local = path->local;
    need.way.remote = path->remote;
    return add_need(protection, &need, reason);
}

/* Each second anew where they are tried again, and so of each reason once. */
static void log_failure(Protection *protection, int r)
{
    if (r < 0 && r != protection->told)
        log_error("The rules that protect the tunnel can't be changed: %s", strerror(-r));
    protection->told = r;
}

static void install_again(Protection *protection)
{
    const ProtectRules rules = derive(protection);
    log_failure(protection, install(protection, &rules));
}

bool protection_is_touched(const Protection *protection)
{
    return protection->touched;
}

void protection_try_again(Protection *protection)
{
    if (protection->touched)
        install_again(protection);
}

void protection_end_move(Protection *protection, uint32_t spi_in, bool moved)
{
    Need *before = need_find(protection, spi_in);
    if (!before)
        return;
    if (moved)
        *before = protection->needs[protection->n_needs - 1];
    protection->n_needs--;
    log_failure(protection, update(protection));
}

void protection_undo_sa(Protection *protection)
{
    protection->n_needs--;
    log_failure(protection, update(protection));
}

void protection_remove_sa(Protection *protection, uint32_t spi_in)
{
    size_t n = 0;
    for (size_t i = 0; i < protection->n_needs; i++) {
        const Need *need = &protection->needs[i];
        if (need->spi_in == spi_in) {
            protection->last[need->interface] = *need;
        } else {
            protection->needs[n++] = *need;
        }
    }
    protection->n_needs = n;
    log_failure(protection, update(protection));
}

int protection_counters(Protection *protection, ProtectionCounters *ret)
{
    int r = nft_counter_get(protection->nft, PROTECT_TABLE, PROTECT_IN, &ret->dropped_in);
    return r < 0 ? r
                 : nft_counter_get(protection->nft, PROTECT_TABLE, PROTECT_OUT, &ret->dropped_out);
}

size_t protection_poll(const Protection *protection, struct pollfd polled[PROTECTION_POLL_MAX])
{
    size_t n = 0;
    polled[n++] =
        (struct pollfd){.fd = netlink_watch_fd(protection->rules_watch), .events = POLLIN};
    if (protection->networks_watch) {
        polled[n++] =
            (struct pollfd){.fd = netlink_watch_fd(protection->networks_watch), .events = POLLIN};
    }
    return n;
}

static int note_change(const struct nlmsghdr *header, void *userdata)
{
    (void)header;
    *(bool *)userdata = true;
    return MNL_CB_OK;
}

static void look_at_networks(Protection *protection)
{
    bool changed = false;
    bool lost = netlink_watch_read(protection->networks_watch, note_change, &changed);
    IkeTs now;
    if ((!changed && !lost) || local_networks(protection->route, &now) < 0 ||
        memcmp(&now, &protection->local, sizeof(now)) == 0)
        return;
    protection->local = now;
    install_again(protection);
}

void protection_watch(Protection *protection, const struct pollfd *polled, size_t n_polled)
{
    if (n_polled > 0 && polled[0].revents != 0 && are_touched(protection))
        install_again(protection);
    if (n_polled > 1 && polled[1].revents != 0)
        look_at_networks(protection);
}
