/* Which rules are there, and in which order do packets meet them? The batch is played: what is put
 * into it is written down, a line for each rule (ld --wrap). */
#include "net/protect_rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_SIZE = 8192, NOBODY = (uid_t)-1 };

static char text[TEXT_SIZE];
static bool is_begun; /* a rule, that has not ended */

void __wrap_nft_add_table(NftBatch *batch);
void __wrap_nft_add_counter(NftBatch *batch, const char *name);
void __wrap_nft_add_chain(NftBatch *batch, const char *name, uint32_t hook, int32_t priority);
void __wrap_nft_rule_begin(NftBatch *batch, const char *chain);
void __wrap_nft_match_payload(NftBatch *batch, enum nft_payload_bases base, uint32_t offset,
                              const void *from, const void *to, size_t size);
void __wrap_nft_match_meta(NftBatch *batch, enum nft_meta_keys key, const void *value, size_t size);
void __wrap_nft_match_ipsec(NftBatch *batch);
void __wrap_nft_accept(NftBatch *batch);
void __wrap_nft_drop(NftBatch *batch, const char *counter);

static void write_down(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void write_down(const char *format, ...)
{
    const size_t used = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    const int size = vsnprintf(text + used, sizeof(text) - used, format, arguments);
    va_end(arguments);
    assert_in_range(size, 0, sizeof(text) - used - 1);
}

void __wrap_nft_add_table(NftBatch *batch)
{
    (void)batch;
    write_down("table\n");
}

void __wrap_nft_add_counter(NftBatch *batch, const char *name)
{
    (void)batch;
    write_down("counter %s\n", name);
}

void __wrap_nft_add_chain(NftBatch *batch, const char *name, uint32_t hook, int32_t priority)
{
    (void)batch;
    assert_int_equal(hook, strcmp(name, "out") == 0 ? NF_INET_POST_ROUTING : NF_INET_PRE_ROUTING);
    assert_int_equal(priority, strcmp(name, "out") == 0 ? NF_IP_PRI_FILTER : NF_IP_PRI_RAW);
    write_down("chain %s\n", name);
}

void __wrap_nft_rule_begin(NftBatch *batch, const char *chain)
{
    (void)batch;
    assert_false(is_begun);
    is_begun = true;
    write_down("%s:", chain);
}

static void write_address(const void *octets, size_t size)
{
    char address[INET6_ADDRSTRLEN];

    assert_non_null(inet_ntop(size == 4 ? AF_INET : AF_INET6, octets, address, sizeof(address)));
    write_down("%s", address);
}

static void write_network(uint32_t offset, const void *from, const void *to, size_t size)
{
    assert_int_equal(size, offset == 12 || offset == 16 ? 4 : 16);
    write_down(" %s ", offset == 12 || offset == 8 ? "from" : "to");
    assert_true(offset == 12 || offset == 8 || offset == 16 || offset == 24);
    write_address(from, size);
    if (memcmp(from, to, size) != 0) {
        write_down("-");
        write_address(to, size);
    }
}

void __wrap_nft_match_payload(NftBatch *batch, enum nft_payload_bases base, uint32_t offset,
                              const void *from, const void *to, size_t size)
{
    uint8_t first[16] = {0}, last[16] = {0};

    (void)batch;
    assert_true(is_begun);
    assert_in_range(size, 1, sizeof(first));
    memcpy(first, from, size);
    memcpy(last, to, size);
    if (base == NFT_PAYLOAD_NETWORK_HEADER) {
        write_network(offset, from, to, size);
    } else if (size == 1) {
        assert_int_equal(offset, 0);
        write_down(" type %u-%u", first[0], last[0]);
    } else {
        assert_int_equal(base, NFT_PAYLOAD_TRANSPORT_HEADER);
        assert_int_equal(size, 2);
        assert_memory_equal(first, last, 2);
        assert_in_range(offset, 0, 2);
        write_down(" %s %u", offset == 0 ? "sport" : "dport", first[0] << 8 | first[1]);
    }
}

void __wrap_nft_match_meta(NftBatch *batch, enum nft_meta_keys key, const void *value, size_t size)
{
    char name[IFNAMSIZ + 1] = {0};
    uint32_t user;

    (void)batch;
    assert_true(is_begun);
    switch (key) {
    case NFT_META_NFPROTO:
        assert_int_equal(size, 1);
        write_down(*(const uint8_t *)value == NFPROTO_IPV4 ? " ip" : " ip6");
        break;
    case NFT_META_L4PROTO:
        assert_int_equal(size, 1);
        write_down(" proto %u", *(const uint8_t *)value);
        break;
    case NFT_META_OIFNAME:
    case NFT_META_IIFNAME:
        assert_int_equal(size, IFNAMSIZ); /* the whole name, or it would be a prefix */
        memcpy(name, value, size);
        write_down(" %s %s", key == NFT_META_OIFNAME ? "oif" : "iif", name);
        break;
    case NFT_META_SKUID:
        assert_int_equal(size, sizeof(user));
        memcpy(&user, value, size);
        write_down(" user %u", user);
        break;
    default:
        fail_msg("matches meta key %d", (int)key);
    }
}

void __wrap_nft_match_ipsec(NftBatch *batch)
{
    (void)batch;
    assert_true(is_begun);
    write_down(" ipsec");
}

void __wrap_nft_accept(NftBatch *batch)
{
    (void)batch;
    assert_true(is_begun);
    is_begun = false;
    write_down(" accept\n");
}

void __wrap_nft_drop(NftBatch *batch, const char *counter)
{
    (void)batch;
    assert_true(is_begun);
    is_begun = false;
    write_down(" drop %s\n", counter);
}

/* ---- the rules ---- */

static ProtectOrder order;
static IkeTs local;
static ProtectRules rules;

static int setup(void **state)
{
    (void)state;
    text[0] = '\0';
    is_begun = false;
    order = (ProtectOrder){.mode = PROTECT_YES, .interface = "segw0"};
    local = (IkeTs){0};
    rules = (ProtectRules){.order = &order, .users = {NOBODY, NOBODY}, .local = &local};
    return 0;
}

static void add_range(IkeTs *ts, const char *from, const char *to)
{
    const bool is_ipv4 = !strchr(from, ':');
    IkeSelector *range = &ts->selectors[ts->n_selectors++];

    *range = (IkeSelector){.type = is_ipv4 ? IKE_TS_IPV4_ADDR_RANGE : IKE_TS_IPV6_ADDR_RANGE};
    assert_int_equal(inet_pton(is_ipv4 ? AF_INET : AF_INET6, from, range->start), 1);
    assert_int_equal(inet_pton(is_ipv4 ? AF_INET : AF_INET6, to, range->end), 1);
}

static void add_everything(void)
{
    add_range(&order.networks, "0.0.0.0", "255.255.255.255");
    add_range(&order.networks, "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void add_inner(const char *address)
{
    InnerAddress *inner = &rules.inner[rules.n_inner++];

    inner->size = strchr(address, ':') ? 16 : 4;
    assert_int_equal(inet_pton(inner->size == 4 ? AF_INET : AF_INET6, address, inner->octets), 1);
}

static struct sockaddr_storage outer(const char *address, in_port_t port)
{
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_storage ret = {0};

    if (inet_pton(AF_INET, address, &ipv4.sin_addr) == 1) {
        memcpy(&ret, &ipv4, sizeof(ipv4));
    } else {
        assert_int_equal(inet_pton(AF_INET6, address, &ipv6.sin6_addr), 1);
        memcpy(&ret, &ipv6, sizeof(ipv6));
    }
    return ret;
}

static void add_way(const char *remote, bool udp_encapsulated)
{
    rules.ways[rules.n_ways++] = (ProtectWay){
        .udp_encapsulated = udp_encapsulated,
        .local = outer(strchr(remote, ':') ? "::" : "0.0.0.0", 40000),
        .remote = outer(remote, 4500),
    };
}

/* What every list of rules begins with, and has behind what the tunnel itself needs. */
#define HEAD                                                                                       \
    "table\n"                                                                                      \
    "counter dropped_in\n"                                                                         \
    "counter dropped_out\n"                                                                        \
    "chain out\n"                                                                                  \
    "chain in\n"                                                                                   \
    "out: oif segw0 accept\n"                                                                      \
    "out: oif lo accept\n"                                                                         \
    "in: iif segw0 accept\n"                                                                       \
    "in: iif lo accept\n"                                                                          \
    "out: ipsec accept\n"
#define ON_LINK                                                                                    \
    "out: ip to 169.254.0.0-169.254.255.255 accept\n"                                              \
    "out: ip to 224.0.0.0-224.0.0.255 accept\n"                                                    \
    "out: ip to 255.255.255.255 accept\n"                                                          \
    "out: ip6 to fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff accept\n"                          \
    "out: ip6 to ff02::-ff02:ffff:ffff:ffff:ffff:ffff:ffff:ffff accept\n"                          \
    "out: ip6 proto 58 type 133-137 accept\n"
#define SERVICES(to)                                                                               \
    "out:" to " proto 17 dport 53 accept\n"                                                        \
    "out:" to " proto 6 dport 53 accept\n"                                                         \
    "out:" to " proto 17 dport 123 accept\n"
#define EVERYTHING                                                                                 \
    "out: ip drop dropped_out\n"                                                                   \
    "out: ip6 drop dropped_out\n"

static void assert_rules(const char *expected)
{
    text[0] = '\0';
    protect_rules_write(&rules, NULL);
    assert_false(is_begun);
    assert_string_equal(text, expected);
}

/* What a link needs passes in every mode: no router passes it on. */
static void what_never_leaves_the_link_passes(void **state)
{
    (void)state;
    order.mode = PROTECT_STRICT;
    assert_rules(HEAD ON_LINK);
}

static void where_everything_is_protected_names_and_time_pass_over_udp_and_tcp(void **state)
{
    (void)state;
    add_everything();
    add_range(&local, "192.168.1.0", "192.168.1.255");
    add_range(&local, "2001:db8::", "2001:db8::ffff");
    assert_rules(HEAD ON_LINK SERVICES(" ip to 192.168.1.0-192.168.1.255")
                     SERVICES(" ip6 to 2001:db8::-2001:db8::ffff")
                         SERVICES("") "out: ip to 192.168.1.0-192.168.1.255 accept\n"
                                      "out: ip6 to 2001:db8::-2001:db8::ffff accept\n" EVERYTHING);
}

static void strict_has_no_exceptions_by_the_networks_that_the_host_is_in(void **state)
{
    (void)state;
    order.mode = PROTECT_STRICT;
    add_everything();
    add_range(&local, "192.168.1.0", "192.168.1.255");
    assert_false(protect_rules_heed_local(&order));
    assert_rules(HEAD ON_LINK EVERYTHING);
}

/* Services of the link alone come before it; what else is asked for is for the tunnel. */
static void a_network_that_is_named_is_dropped_before_what_passes_to_all(void **state)
{
    (void)state;
    add_range(&order.networks, "10.0.0.0", "10.255.255.255");
    add_everything();
    add_range(&local, "10.1.0.0", "10.1.0.255");
    assert_true(protect_rules_heed_local(&order));
    assert_rules(HEAD ON_LINK SERVICES(
        " ip to 10.1.0.0-10.1.0.255") "out: ip to 10.0.0.0-10.255.255.255 drop "
                                      "dropped_out\n" SERVICES("") "out: ip to 10.1.0.0-10.1.0.255 "
                                                                   "accept\n" EVERYTHING);
}

/* By one octet at either end it is no family, and is dropped as what is named. */
static void all_but_one_address_is_not_everything(void **state)
{
    (void)state;
    order.mode = PROTECT_YES;
    add_range(&order.networks, "0.0.0.0", "255.255.255.254");
    add_range(&order.networks, "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    assert_rules(HEAD ON_LINK "out: ip to 0.0.0.0-255.255.255.254 drop dropped_out\n"
                              "out: ip6 to ::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                              "drop dropped_out\n" SERVICES(""));
}

static void networks_that_are_excepted_come_before_all_that_is_dropped_of_networks(void **state)
{
    (void)state;
    order.mode = PROTECT_STRICT;
    add_everything();
    add_range(&order.except, "198.51.100.0", "198.51.100.255");
    add_range(&order.except, "2001:db8:5::", "2001:db8:5::1");
    assert_rules(HEAD ON_LINK "out: ip to 198.51.100.0-198.51.100.255 accept\n"
                              "out: ip6 to 2001:db8:5::-2001:db8:5::1 accept\n" EVERYTHING);
}

/* Whoever sends them, and wherever they come from. */
static void inner_addresses_are_dropped_before_anything_passes_but_by_the_tunnel(void **state)
{
    (void)state;
    order.mode = PROTECT_STRICT;
    rules.users[0] = 101;
    add_inner("10.9.0.1");
    add_inner("fd00::1");
    assert_rules(HEAD "out: ip from 10.9.0.1 drop dropped_out\n"
                      "in: ip to 10.9.0.1 drop dropped_in\n"
                      "out: ip6 from fd00::1 drop dropped_out\n"
                      "in: ip6 to fd00::1 drop dropped_in\n"
                      "out: user 101 accept\n" ON_LINK);
}

static void packets_of_treds_and_the_ike_clients_users_pass(void **state)
{
    (void)state;
    order.mode = PROTECT_STRICT;
    rules.users[0] = 0; /* root is somebody */
    rules.users[1] = 102;
    assert_rules(HEAD "out: user 0 accept\n"
                      "out: user 102 accept\n" ON_LINK);
    rules.users[0] = NOBODY;
    assert_rules(HEAD "out: user 102 accept\n" ON_LINK);
}

/* In UDP between both ports; without, by its protocol. */
static void esp_passes_to_the_segw_of_each_pair_and_to_nobody_else(void **state)
{
    (void)state;
    order.mode = PROTECT_STRICT;
    add_way("203.0.113.5", true);
    add_way("203.0.113.6", false);
    add_way("2001:db8:7::1", true);
    assert_rules(HEAD "out: ip to 203.0.113.5 proto 17 sport 40000 dport 4500 accept\n"
                      "out: ip to 203.0.113.6 proto 50 accept\n"
                      "out: ip6 to 2001:db8:7::1 proto 17 sport 40000 dport 4500 accept\n" ON_LINK);
}

#define RULES(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULES(what_never_leaves_the_link_passes),
        RULES(where_everything_is_protected_names_and_time_pass_over_udp_and_tcp),
        RULES(strict_has_no_exceptions_by_the_networks_that_the_host_is_in),
        RULES(a_network_that_is_named_is_dropped_before_what_passes_to_all),
        RULES(all_but_one_address_is_not_everything),
        RULES(networks_that_are_excepted_come_before_all_that_is_dropped_of_networks),
        RULES(inner_addresses_are_dropped_before_anything_passes_but_by_the_tunnel),
        RULES(packets_of_treds_and_the_ike_clients_users_pass),
        RULES(esp_passes_to_the_segw_of_each_pair_and_to_nobody_else),
    };

    return cmocka_run_group_tests_name("protect rules", tests, NULL, NULL);
}
