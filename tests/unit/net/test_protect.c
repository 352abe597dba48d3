/* What do the rules follow from, and when are they put into the kernel anew? The kernel is played:
 * the linker puts these functions in the place of net/'s own (ld --wrap). */
#include "net/protect.h"
#include "net/protect_rules.h"
#include "net/route.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { NFT_FD = 7, ROUTE_FD = 8, OWN_PORT = 33 };

static struct {
    int netlink_error, watch_error, batch_error, commit_error, local_error, counter_error;
    unsigned n_netlinks, n_watches, n_batches; /* that somebody holds */
    unsigned n_commits, n_deleted;
    ProtectRules rules; /* as they were written last */
    IkeTs local, written_local;
    bool no_memory;
    bool lost, changed; /* what a watch hears */
    uint32_t teller;    /* who deletes rules; 0: nobody */
} played;

int __wrap_netlink_new(int family, Netlink **ret);
void __wrap_netlink_free(Netlink *netlink);
uint32_t __wrap_netlink_port(const Netlink *netlink);
int __wrap_netlink_watch_new(int family, const int *groups, size_t n_groups, NetlinkWatch **ret);
void __wrap_netlink_watch_free(NetlinkWatch *watch);
int __wrap_netlink_watch_fd(const NetlinkWatch *watch);
bool __wrap_netlink_watch_read(NetlinkWatch *watch, mnl_cb_t callback, void *userdata);
int __wrap_nft_batch_new(const char *table, NftBatch **ret);
void __wrap_nft_batch_free(NftBatch *batch);
void __wrap_nft_add_table(NftBatch *batch);
void __wrap_nft_delete_table(NftBatch *batch);
int __wrap_nft_batch_commit(NftBatch *batch, Netlink *netlink);
int __wrap_nft_counter_get(Netlink *netlink, const char *table, const char *name, uint64_t *ret);
bool __wrap_nft_tells_deletion(const struct nlmsghdr *header, const char *table);
void __wrap_protect_rules_write(const ProtectRules *rules, NftBatch *batch);
int __wrap_local_networks(Netlink *netlink, IkeTs *ret);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

/* What is given out is never looked into. */
static char netlink_there, rules_watch_there, networks_watch_there, batch_there;

int __wrap_netlink_new(int family, Netlink **ret)
{
    (void)family;
    if (played.netlink_error < 0)
        return played.netlink_error;
    played.n_netlinks++;
    *ret = (Netlink *)(void *)&netlink_there;
    return 0;
}

void __wrap_netlink_free(Netlink *netlink)
{
    if (netlink)
        played.n_netlinks--;
}

uint32_t __wrap_netlink_port(const Netlink *netlink)
{
    assert_ptr_equal(netlink, &netlink_there);
    return OWN_PORT;
}

int __wrap_netlink_watch_new(int family, const int *groups, size_t n_groups, NetlinkWatch **ret)
{
    assert_true(n_groups > 0 && groups[0] > 0);
    if (played.watch_error < 0)
        return played.watch_error;
    played.n_watches++;
    *ret = (NetlinkWatch *)(void *)(family == NETLINK_NETFILTER ? &rules_watch_there
                                                                : &networks_watch_there);
    return 0;
}

void __wrap_netlink_watch_free(NetlinkWatch *watch)
{
    if (watch)
        played.n_watches--;
}

int __wrap_netlink_watch_fd(const NetlinkWatch *watch)
{
    return (const char *)watch == &rules_watch_there ? NFT_FD : ROUTE_FD;
}

bool __wrap_netlink_watch_read(NetlinkWatch *watch, mnl_cb_t callback, void *userdata)
{
    const struct nlmsghdr header = {.nlmsg_pid = played.teller};
    const bool of_rules = (const char *)watch == &rules_watch_there;

    if (of_rules ? played.teller != 0 : played.changed)
        assert_int_equal(callback(&header, userdata), MNL_CB_OK);
    return played.lost;
}

int __wrap_nft_batch_new(const char *table, NftBatch **ret)
{
    assert_string_equal(table, PROTECT_TABLE);
    if (played.batch_error < 0)
        return played.batch_error;
    played.n_batches++;
    *ret = (NftBatch *)(void *)&batch_there;
    return 0;
}

void __wrap_nft_batch_free(NftBatch *batch)
{
    if (batch)
        played.n_batches--;
}

void __wrap_nft_add_table(NftBatch *batch)
{
    (void)batch;
}

void __wrap_nft_delete_table(NftBatch *batch)
{
    (void)batch;
    played.n_deleted++;
}

int __wrap_nft_batch_commit(NftBatch *batch, Netlink *netlink)
{
    assert_ptr_equal(batch, &batch_there);
    assert_ptr_equal(netlink, &netlink_there);
    played.n_commits++;
    return played.commit_error;
}

int __wrap_nft_counter_get(Netlink *netlink, const char *table, const char *name, uint64_t *ret)
{
    (void)netlink;
    assert_string_equal(table, PROTECT_TABLE);
    *ret = strcmp(name, PROTECT_IN) == 0 ? 3 : 4;
    return played.counter_error;
}

bool __wrap_nft_tells_deletion(const struct nlmsghdr *header, const char *table)
{
    (void)header;
    assert_string_equal(table, PROTECT_TABLE);
    return true;
}

void __wrap_protect_rules_write(const ProtectRules *rules, NftBatch *batch)
{
    (void)batch;
    played.rules = *rules;
    played.written_local = *rules->local;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return played.no_memory ? NULL : __real_calloc(n, size);
}

int __wrap_local_networks(Netlink *netlink, IkeTs *ret)
{
    assert_ptr_equal(netlink, &netlink_there);
    if (played.local_error == 0)
        *ret = played.local;
    return played.local_error;
}

static Protection *protection;

static int begin(void **state)
{
    (void)state;
    memset(&played, 0, sizeof(played));
    protection = NULL;
    return 0;
}

static int end(void **state)
{
    (void)state;
    protection_free(protection);
    assert_int_equal(played.n_netlinks, 0);
    assert_int_equal(played.n_watches, 0);
    assert_int_equal(played.n_batches, 0);
    return 0;
}

static int open_as(ProtectMode mode)
{
    static const uid_t users[2] = {1, 2};
    ProtectOrder order = {.mode = mode, .interfaces = {1, {"segw0"}}};
    Reason reason = {0};
    const int r = protection_open(&order, users, &protection, &reason);

    assert_int_equal(reason.text[0] == '\0', r == 0);
    assert_int_equal(protection == NULL, r < 0 || mode == PROTECT_NO);
    return r;
}

static InnerAddress inner(uint8_t last)
{
    return (InnerAddress){.size = 4, .octets = {10, 0, 0, last}};
}

static struct sockaddr_storage outer(in_port_t port)
{
    const struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_storage ret = {0};

    memcpy(&ret, &ipv4, sizeof(ipv4));
    return ret;
}

static in_port_t port_of(const ProtectWay *way)
{
    struct sockaddr_in ipv4;

    memcpy(&ipv4, &way->local, sizeof(ipv4));
    return ipv4.sin_port;
}

/* The kernel's has keys, and its way begins at `port`; tred-esp's is that of port 0. */
static int add_to(uint8_t interface, uint32_t spi, uint8_t address, in_port_t port)
{
    static char key; /* never looked into */
    SaOrder order = {.interface = interface,
                     .spi_in = spi,
                     .encr_in = port == 0 ? NULL : (Secret *)(void *)&key,
                     .local = outer(port),
                     .n_addresses = 1,
                     .addresses = {inner(address)}};
    Reason reason = {0};

    return protection_add_sa(protection, &order, &reason);
}

static int add_from(uint32_t spi, uint8_t address, in_port_t port)
{
    return add_to(0, spi, address, port);
}

/* One of the kernel's, with a way of its own. */
static int add(uint32_t spi, uint8_t address)
{
    return add_from(spi, address, (in_port_t)spi);
}

static void watched(size_t nth)
{
    struct pollfd polled[PROTECTION_POLL_MAX] = {0};

    polled[nth].revents = POLLIN;
    protection_watch(protection, polled, ELEMENTS(polled));
}

static void rules_are_in_force_once_they_are_opened(void **state)
{
    struct pollfd polled[PROTECTION_POLL_MAX];

    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(played.n_commits, 1);
    assert_int_equal(played.rules.n_ways, 0);
    assert_int_equal(played.rules.users[1], 2);
    assert_int_equal(protection_poll(protection, polled), 2);
    assert_int_equal(polled[0].fd, NFT_FD);
    assert_int_equal(polled[1].fd, ROUTE_FD);
}

static void strict_rules_heed_no_networks_of_the_host(void **state)
{
    struct pollfd polled[PROTECTION_POLL_MAX];

    (void)state;
    played.local_error = -EIO;
    assert_int_equal(open_as(PROTECT_STRICT), 0);
    assert_int_equal(protection_poll(protection, polled), 1);
}

static void what_fails_while_they_are_opened_is_told(void **state)
{
    int *const errors[] = {&played.netlink_error, &played.watch_error, &played.batch_error,
                           &played.commit_error, &played.local_error};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(errors); i++) {
        *errors[i] = -EPERM;
        assert_int_equal(open_as(PROTECT_YES), -EPERM);
        *errors[i] = 0;
    }
    played.no_memory = true;
    assert_int_equal(open_as(PROTECT_YES), -ENOMEM);
    played.no_memory = false;
}

static void where_none_are_wanted_those_before_are_deleted(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_NO), 0);
    assert_int_equal(played.n_deleted, 1);
    assert_int_equal(played.n_commits, 1);
    played.commit_error = -EPERM;
    assert_int_equal(open_as(PROTECT_NO), -EPERM);
    /* No nf_tables, no rules. */
    played.commit_error = -EOPNOTSUPP;
    assert_int_equal(open_as(PROTECT_NO), 0);
    played.netlink_error = -EPROTONOSUPPORT;
    assert_int_equal(open_as(PROTECT_NO), 0);
    played.netlink_error = -EMFILE;
    assert_int_equal(open_as(PROTECT_NO), -EMFILE);
    played.netlink_error = 0;
    played.batch_error = -ENOMEM;
    assert_int_equal(open_as(PROTECT_NO), -ENOMEM);
}

static void each_sa_brings_its_way_and_its_addresses_once(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(add(1, 5), 0);
    assert_int_equal(add(2, 5), 0);
    assert_int_equal(add(3, 6), 0);
    assert_int_equal(played.n_commits, 4);
    assert_int_equal(played.rules.n_ways, 3);
    assert_int_equal(port_of(&played.rules.ways[2]), 3);
    assert_int_equal(played.rules.n_inner, 2);
    protection_remove_sa(protection, 3);
    assert_int_equal(played.rules.n_ways, 2);
    assert_int_equal(played.rules.n_inner, 1);
    /* One that is not there changes nothing. */
    protection_remove_sa(protection, 9);
    assert_int_equal(played.n_commits, 5);
}

static void a_pair_that_brings_nothing_new_leaves_the_rules_as_they_are(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(add_from(1, 5, 40000), 0);
    assert_int_equal(played.n_commits, 2);
    /* A rekey. */
    assert_int_equal(add_from(2, 5, 40000), 0);
    protection_remove_sa(protection, 1);
    assert_int_equal(played.n_commits, 2);
    assert_int_equal(played.rules.n_ways, 1);
    /* Another port, another address: */
    assert_int_equal(add_from(3, 5, 40001), 0);
    assert_int_equal(played.n_commits, 3);
    assert_int_equal(add_from(4, 6, 40001), 0);
    assert_int_equal(played.n_commits, 4);
    /* No way outlives its last pair. */
    protection_remove_sa(protection, 3);
    protection_remove_sa(protection, 4);
    assert_int_equal(played.n_commits, 5);
    assert_int_equal(played.rules.n_ways, 1);
    assert_int_equal(played.rules.n_inner, 1);
    protection_remove_sa(protection, 2);
    assert_int_equal(played.n_commits, 6);
    assert_int_equal(played.rules.n_ways, 0);
}

static void what_tred_esp_sends_needs_no_way(void **state)
{
    Reason reason = {0};

    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(add_from(1, 5, 0), 0);
    assert_int_equal(played.rules.n_ways, 0);
    assert_int_equal(played.rules.n_inner, 1);
    assert_int_equal(protection_add_way(protection, 1, &(SaPath){.local = outer(7)}, &reason), 0);
    protection_end_move(protection, 1, true);
    protection_remove_sa(protection, 1);
    /* The next tunnel, with the same address. */
    assert_int_equal(add_from(2, 5, 0), 0);
    assert_int_equal(played.n_commits, 2);
    /* And one with another. */
    protection_remove_sa(protection, 2);
    assert_int_equal(add_from(3, 6, 0), 0);
    assert_int_equal(played.n_commits, 3);
    assert_int_equal(played.rules.inner[0].octets[3], 6);
}

static void the_last_addresses_stay_the_tunnels_own_between_two_tunnels(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(add(1, 5), 0);
    protection_remove_sa(protection, 1);
    assert_int_equal(played.rules.n_ways, 0);
    assert_int_equal(played.rules.n_inner, 1);
    assert_int_equal(add(2, 6), 0);
    assert_int_equal(played.rules.n_inner, 1);
    assert_int_equal(played.rules.inner[0].octets[3], 6);
}

static void an_interface_keeps_its_last_addresses_while_another_ones_tunnel_is_up(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(add_to(0, 1, 5, 0), 0);
    assert_int_equal(add_to(1, 2, 6, 0), 0);
    protection_remove_sa(protection, 1);
    assert_int_equal(played.rules.n_inner, 2);
    assert_int_equal(add_to(1, 3, 6, 0), 0);
    assert_int_equal(played.rules.n_inner, 2);
    assert_int_equal(played.rules.inner[0].octets[3], 6);
    assert_int_equal(played.rules.inner[1].octets[3], 5);
    assert_int_equal(add_to(0, 4, 7, 0), 0);
    assert_int_equal(played.rules.n_inner, 2);
    assert_int_equal(played.rules.inner[1].octets[3], 7);
}

static void a_pair_that_could_not_be_made_is_not_the_last_one(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(add(1, 5), 0);
    protection_remove_sa(protection, 1);
    assert_int_equal(add(2, 6), 0);
    protection_undo_sa(protection);
    assert_int_equal(played.rules.n_ways, 0);
    assert_int_equal(played.rules.n_inner, 1);
    assert_int_equal(played.rules.inner[0].octets[3], 5);
    /* Nor does one take another of the same SPI with it. */
    assert_int_equal(add_from(3, 7, 40000), 0);
    assert_int_equal(add_from(3, 8, 40001), 0);
    protection_undo_sa(protection);
    assert_int_equal(played.rules.n_ways, 1);
    assert_int_equal(port_of(&played.rules.ways[0]), 40000);
    assert_int_equal(played.rules.inner[0].octets[3], 7);
}

static void an_sa_of_no_interface_has_no_rules(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(add_to(DATAPLANE_INTERFACES_MAX, 1, 5, 0), -ENOSPC);
    assert_int_equal(played.n_commits, 1);
}

static void so_many_sas_have_rules_and_none_more(void **state)
{
    Reason reason = {0};

    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    for (uint32_t spi = 1; spi <= DATAPLANE_SAS_MAX; spi++)
        assert_int_equal(add(spi, (uint8_t)spi), 0);
    const unsigned before = played.n_commits;
    assert_int_equal(add(DATAPLANE_SAS_MAX + 1, 1), -ENOSPC);
    assert_int_equal(played.n_commits, before);
    /* One of them may be on its move. */
    assert_int_equal(protection_add_way(protection, 1, &(SaPath){0}, &reason), 0);
    assert_int_equal(played.rules.n_ways, DATAPLANE_SAS_MAX + 1);
}

static void an_sa_has_so_many_addresses_and_none_more(void **state)
{
    SaOrder order = {.spi_in = 1, .n_addresses = DATAPLANE_ADDRESSES_MAX};
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < DATAPLANE_ADDRESSES_MAX; i++)
        order.addresses[i] = inner((uint8_t)i);
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(protection_add_sa(protection, &order, &reason), 0);
    assert_int_equal(played.rules.n_inner, DATAPLANE_ADDRESSES_MAX);
    order.spi_in = 2;
    order.n_addresses++;
    assert_int_equal(protection_add_sa(protection, &order, &reason), -ENOSPC);
    assert_int_equal(played.n_commits, 2);
}

static void rules_that_the_kernel_does_not_take_leave_those_before(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    played.commit_error = -ENOBUFS;
    assert_int_equal(add(1, 5), -ENOBUFS);
    played.commit_error = 0;
    played.lost = true;
    watched(0);
    assert_int_equal(played.rules.n_ways, 0);
    assert_int_equal(played.rules.n_inner, 0);
    assert_int_equal(add(1, 5), 0);
    played.commit_error = -ENOBUFS;
    assert_int_equal(add(2, 6), -ENOBUFS);
    played.commit_error = 0;
    assert_int_equal(add(3, 7), 0);
    assert_int_equal(played.rules.n_ways, 2);
    assert_int_equal(port_of(&played.rules.ways[1]), 3);
    assert_int_equal(played.rules.n_inner, 2);
}

static void an_sa_that_moves_has_both_ways_until_its_move_ends(void **state)
{
    (void)state;
    for (int moved = 0; moved < 2; moved++) {
        Reason reason = {0};

        assert_int_equal(open_as(PROTECT_YES), 0);
        assert_int_equal(add(1, 5), 0);
        assert_int_equal(
            protection_add_way(protection, 2, &(SaPath){.udp_encapsulated = true}, &reason),
            -ENOENT);
        assert_int_equal(
            protection_add_way(protection, 1, &(SaPath){.udp_encapsulated = true}, &reason), 0);
        assert_int_equal(played.rules.n_ways, 2);
        assert_false(played.rules.ways[0].udp_encapsulated);
        assert_true(played.rules.ways[1].udp_encapsulated);
        assert_int_equal(played.rules.n_inner, 1);
        protection_end_move(protection, 1, moved);
        assert_int_equal(played.rules.n_ways, 1);
        assert_int_equal(played.rules.ways[0].udp_encapsulated, moved);
        /* Of one that is not there nothing ends. */
        const unsigned before = played.n_commits;
        protection_end_move(protection, 9, true);
        assert_int_equal(played.n_commits, before);
        protection_free(protection);
    }
    protection = NULL;
}

/* One of two that go the same way. */
static void after_a_move_the_rules_have_the_ways_as_the_pairs_have_them(void **state)
{
    Reason reason = {0};

    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(add_from(1, 5, 40000), 0);
    assert_int_equal(add_from(2, 5, 40000), 0);
    assert_int_equal(protection_add_way(protection, 1, &(SaPath){.local = outer(40001)}, &reason),
                     0);
    assert_int_equal(played.rules.n_ways, 2);
    protection_end_move(protection, 1, true);
    assert_int_equal(played.rules.n_ways, 2);
    assert_int_equal(port_of(&played.rules.ways[0]), 40001);
    assert_int_equal(port_of(&played.rules.ways[1]), 40000);
}

static void rules_that_somebody_else_deletes_are_put_back(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    watched(0); /* nothing was told */
    assert_int_equal(played.n_commits, 1);
    played.teller = OWN_PORT;
    watched(0);
    assert_int_equal(played.n_commits, 1);
    played.teller = OWN_PORT + 1;
    watched(0);
    assert_int_equal(played.n_commits, 2);
    played.teller = 0;
    played.lost = true; /* what it was nobody knows */
    watched(0);
    assert_int_equal(played.n_commits, 3);
}

static void no_pair_comes_or_goes_on_rules_that_are_missing(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(add_from(1, 5, 0), 0);
    assert_int_equal(played.n_commits, 2);
    played.teller = OWN_PORT + 1;
    assert_int_equal(add_from(2, 5, 0), 0);
    assert_int_equal(played.n_commits, 3);
    protection_remove_sa(protection, 2);
    assert_int_equal(played.n_commits, 4);
    /* What could not be put back is with the next pair, though nobody tells of it again. */
    played.commit_error = -ENOBUFS;
    assert_int_equal(add_from(2, 5, 0), -ENOBUFS);
    played.teller = 0;
    played.commit_error = 0;
    assert_int_equal(add_from(2, 5, 0), 0);
    assert_int_equal(played.n_commits, 6);
    protection_remove_sa(protection, 2);
    assert_int_equal(played.n_commits, 6);
}

/* The kernel may have taken what it was not heard to take. */
static void after_rules_of_which_nobody_knows_the_next_pair_brings_its_own(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(add_from(1, 5, 40000), 0);
    played.commit_error = -ETIMEDOUT;
    assert_int_equal(add_from(2, 6, 40001), -ETIMEDOUT);
    assert_int_equal(played.n_commits, 3);
    played.commit_error = 0;
    assert_int_equal(add_from(3, 5, 40000), 0);
    assert_int_equal(played.n_commits, 4);
    assert_int_equal(played.rules.n_ways, 1);
    assert_int_equal(played.rules.n_inner, 1);
    protection_remove_sa(protection, 1);
    assert_int_equal(played.n_commits, 4);
}

static void networks_that_the_rules_could_not_follow_are_followed_with_the_next_pair(void **state)
{
    int *const errors[] = {&played.batch_error, &played.commit_error};

    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(add_from(1, 5, 40000), 0);
    played.changed = true;
    for (size_t i = 0; i < ELEMENTS(errors); i++) {
        played.local.n_selectors++;
        *errors[i] = -ENOBUFS;
        watched(1);
        *errors[i] = 0;
        const unsigned before = played.n_commits;
        assert_int_equal(add_from(2, 5, 40000), 0);
        assert_int_equal(played.n_commits, before + 1);
        assert_int_equal(played.written_local.n_selectors, i + 1);
        protection_remove_sa(protection, 2);
        assert_int_equal(played.n_commits, before + 1);
    }
}

static void rules_that_are_missing_are_tried_again_until_the_kernel_takes_them(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_STRICT), 0);
    assert_false(protection_is_touched(protection));
    protection_try_again(protection);
    assert_int_equal(played.n_commits, 1);
    played.teller = OWN_PORT + 1;
    played.commit_error = -ENOMEM;
    watched(0);
    played.teller = 0;
    assert_true(protection_is_touched(protection));
    protection_try_again(protection);
    assert_true(protection_is_touched(protection));
    assert_int_equal(played.n_commits, 3);
    played.commit_error = 0;
    protection_try_again(protection);
    assert_false(protection_is_touched(protection));
    assert_int_equal(played.n_commits, 4);
}

static void what_was_not_polled_or_has_nothing_to_tell_is_not_looked_at(void **state)
{
    const struct pollfd silent[PROTECTION_POLL_MAX] = {0};
    const struct pollfd told[] = {{.revents = POLLIN}, {.revents = POLLIN}};

    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    played.changed = true;
    played.local.n_selectors = 1;
    protection_watch(protection, silent, ELEMENTS(silent));
    played.lost = true; /* of what is not polled */
    protection_watch(protection, told, 0);
    played.lost = false;
    for (size_t n_polled = 0; n_polled < ELEMENTS(told); n_polled++)
        protection_watch(protection, told, n_polled);
    assert_int_equal(played.n_commits, 1);
    protection_watch(protection, told, ELEMENTS(told));
    assert_int_equal(played.n_commits, 2);
}

static void the_exceptions_follow_the_networks_that_the_host_is_in(void **state)
{
    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    watched(1);
    played.changed = true; /* and yet the same */
    watched(1);
    assert_int_equal(played.n_commits, 1);
    played.local.n_selectors = 1;
    played.local_error = -EIO; /* not to be read: those before stay */
    watched(1);
    assert_int_equal(played.n_commits, 1);
    played.local_error = 0;
    watched(1);
    assert_int_equal(played.n_commits, 2);
    assert_int_equal(played.written_local.n_selectors, 1);
    played.local.n_selectors = 2;
    played.changed = false;
    watched(1); /* nobody says that they are others */
    assert_int_equal(played.n_commits, 2);
    played.lost = true;
    watched(1);
    assert_int_equal(played.n_commits, 3);
}

static void what_was_dropped_is_counted_each_way(void **state)
{
    ProtectionCounters counters = {0};

    (void)state;
    assert_int_equal(open_as(PROTECT_YES), 0);
    assert_int_equal(protection_counters(protection, &counters), 0);
    assert_int_equal(counters.dropped_in, 3);
    assert_int_equal(counters.dropped_out, 4);
    played.counter_error = -ENOENT;
    assert_int_equal(protection_counters(protection, &counters), -ENOENT);
}

#define PROTECT_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROTECT_TEST(rules_are_in_force_once_they_are_opened),
        PROTECT_TEST(strict_rules_heed_no_networks_of_the_host),
        PROTECT_TEST(what_fails_while_they_are_opened_is_told),
        PROTECT_TEST(where_none_are_wanted_those_before_are_deleted),
        PROTECT_TEST(each_sa_brings_its_way_and_its_addresses_once),
        PROTECT_TEST(a_pair_that_brings_nothing_new_leaves_the_rules_as_they_are),
        PROTECT_TEST(what_tred_esp_sends_needs_no_way),
        PROTECT_TEST(the_last_addresses_stay_the_tunnels_own_between_two_tunnels),
        PROTECT_TEST(an_interface_keeps_its_last_addresses_while_another_ones_tunnel_is_up),
        PROTECT_TEST(a_pair_that_could_not_be_made_is_not_the_last_one),
        PROTECT_TEST(an_sa_of_no_interface_has_no_rules),
        PROTECT_TEST(so_many_sas_have_rules_and_none_more),
        PROTECT_TEST(an_sa_has_so_many_addresses_and_none_more),
        PROTECT_TEST(rules_that_the_kernel_does_not_take_leave_those_before),
        PROTECT_TEST(an_sa_that_moves_has_both_ways_until_its_move_ends),
        PROTECT_TEST(after_a_move_the_rules_have_the_ways_as_the_pairs_have_them),
        PROTECT_TEST(rules_that_somebody_else_deletes_are_put_back),
        PROTECT_TEST(no_pair_comes_or_goes_on_rules_that_are_missing),
        PROTECT_TEST(after_rules_of_which_nobody_knows_the_next_pair_brings_its_own),
        PROTECT_TEST(networks_that_the_rules_could_not_follow_are_followed_with_the_next_pair),
        PROTECT_TEST(rules_that_are_missing_are_tried_again_until_the_kernel_takes_them),
        PROTECT_TEST(what_was_not_polled_or_has_nothing_to_tell_is_not_looked_at),
        PROTECT_TEST(the_exceptions_follow_the_networks_that_the_host_is_in),
        PROTECT_TEST(what_was_dropped_is_counted_each_way),
    };

    return cmocka_run_group_tests_name("protect", tests, NULL, NULL);
}
