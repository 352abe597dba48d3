/* The rules of the table "tred", in the order in which packets meet them. */
#include "net/protect_rules.h"

#include <arpa/inet.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>

#define OUT "out"
#define IN "in"

/* Offsets in the headers of IPv4, IPv6, TCP and UDP. */
enum {
    IPV4_SOURCE = 12,
    IPV4_DESTINATION = 16,
    IPV6_SOURCE = 8,
    IPV6_DESTINATION = 24,
    PORT_SOURCE = 0,
    PORT_DESTINATION = 2,
    PORT_DNS = 53,
    PORT_NTP = 123,
};

/* What never leaves the link: 169.254.0.0/16, 224.0.0.0/24, 255.255.255.255, fe80::/10, ff02::/16.
 */
static const IkeTs ON_LINK = {
    .n_selectors = 5,
    .selectors =
        {
            {.type = IKE_TS_IPV4_ADDR_RANGE, .start = {169, 254}, .end = {169, 254, 255, 255}},
            {.type = IKE_TS_IPV4_ADDR_RANGE, .start = {224}, .end = {224, 0, 0, 255}},
            {.type = IKE_TS_IPV4_ADDR_RANGE,
             .start = {255, 255, 255, 255},
             .end = {255, 255, 255, 255}},
            {.type = IKE_TS_IPV6_ADDR_RANGE,
             .start = {0xfe, 0x80},
             .end = {0xfe, 0xbf, [2 ... 15] = 0xff}},
            {.type = IKE_TS_IPV6_ADDR_RANGE,
             .start = {0xff, 0x02},
             .end = {0xff, 0x02, [2 ... 15] = 0xff}},
        },
};

static size_t size_of(const IkeSelector *range)
{
    return range->type == IKE_TS_IPV4_ADDR_RANGE ? 4 : 16;
}

static bool is_whole_family(const IkeSelector *range)
{
    for (size_t i = 0; i < size_of(range); i++) {
        if (range->start[i] != 0 || range->end[i] != 0xff)
            return false;
    }
    return true;
}

bool protect_rules_heed_local(const ProtectOrder *order)
{
    return order->mode == PROTECT_YES;
}

static void match_family(NftBatch *batch, size_t address_size)
{
    uint8_t family = address_size == 4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
    nft_match_meta(batch, NFT_META_NFPROTO, &family, sizeof(family));
}

static void match_protocol(NftBatch *batch, uint8_t protocol)
{
    nft_match_meta(batch, NFT_META_L4PROTO, &protocol, sizeof(protocol));
}

static void match_port(NftBatch *batch, uint32_t offset, in_port_t port)
{
    nft_match_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, offset, &port, &port, sizeof(port));
}

static void match_destination(NftBatch *batch, const void *from, const void *to, size_t size)
{
    match_family(batch, size);
    nft_match_payload(batch, NFT_PAYLOAD_NETWORK_HEADER,
                      size == 4 ? IPV4_DESTINATION : IPV6_DESTINATION, from, to, size);
}

static void match_source(NftBatch *batch, const void *address, size_t size)
{
    match_family(batch, size);
    nft_match_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, size == 4 ? IPV4_SOURCE : IPV6_SOURCE,
                      address, address, size);
}

static void accept_interface(NftBatch *batch, const char *chain, enum nft_meta_keys key,
                             const char *name)
{
    char padded[IFNAMSIZ] = {0};
    memcpy(padded, name, strnlen(name, sizeof(padded) - 1));
    nft_rule_begin(batch, chain);
    nft_match_meta(batch, key, padded, sizeof(padded));
    nft_accept(batch);
}

/* To the tunnels, from the tunnels, and within the host. */
static void accept_interfaces(const ProtectRules *rules, NftBatch *batch)
{
    const InterfaceNames *interfaces = &rules->order->interfaces;
    for (size_t i = 0; i < interfaces->n; i++)
        accept_interface(batch, OUT, NFT_META_OIFNAME, interfaces->names[i]);
    accept_interface(batch, OUT, NFT_META_OIFNAME, "lo");
    for (size_t i = 0; i < interfaces->n; i++)
        accept_interface(batch, IN, NFT_META_IIFNAME, interfaces->names[i]);
    accept_interface(batch, IN, NFT_META_IIFNAME, "lo");
}

/* The kernel's ESP shows a packet once more before it encrypts it, by the interface that the ESP
 * packet will take. */
static void accept_ipsec(NftBatch *batch)
{
    nft_rule_begin(batch, OUT);
    nft_match_ipsec(batch);
    nft_accept(batch);
}

/* No inner address shows itself outside of the tunnel, whatever is on the other side. */
static void drop_inner(const ProtectRules *rules, NftBatch *batch)
{
    for (size_t i = 0; i < rules->n_inner; i++) {
        const InnerAddress *inner = &rules->inner[i];
        nft_rule_begin(batch, OUT);
        match_source(batch, inner->octets, inner->size);
        nft_drop(batch, PROTECT_OUT);
        nft_rule_begin(batch, IN);
        match_destination(batch, inner->octets, inner->octets, inner->size);
        nft_drop(batch, PROTECT_IN);
    }
}

/* IKE, the questions for the SeGW's address, and ESP where tred-esp sends it. */
static void accept_users(const ProtectRules *rules, NftBatch *batch)
{
    for (size_t i = 0; i < ELEMENTS(rules->users); i++) {
        if (rules->users[i] == (uid_t)-1)
            continue;
        nft_rule_begin(batch, OUT);
        nft_match_meta(batch, NFT_META_SKUID, &rules->users[i], sizeof(rules->users[i]));
        nft_accept(batch);
    }
}

typedef struct Outer {
    size_t size;
    uint8_t address[16];
    in_port_t port;
} Outer;

static Outer outer_of(const struct sockaddr_storage *address)
{
    Outer outer = {.size = 4};
    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, address, sizeof(ipv6));
        outer = (Outer){.size = 16, .port = ipv6.sin6_port};
        memcpy(outer.address, &ipv6.sin6_addr, 16);
    } else {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof(ipv4));
        outer.port = ipv4.sin_port;
        memcpy(outer.address, &ipv4.sin_addr, 4);
    }
    return outer;
}

/* ESP of the kernel's, which belongs to whoever sent the packet inside. Ports of tred's nobody else
 * can send from. */
static void accept_ways(const ProtectRules *rules, NftBatch *batch)
{
    for (size_t i = 0; i < rules->n_ways; i++) {
        const ProtectWay *way = &rules->ways[i];
        const Outer remote = outer_of(&way->remote), local = outer_of(&way->local);
        nft_rule_begin(batch, OUT);
        match_destination(batch, remote.address, remote.address, remote.size);
        match_protocol(batch, way->udp_encapsulated ? IPPROTO_UDP : IPPROTO_ESP);
        if (way->udp_encapsulated) {
            match_port(batch, PORT_SOURCE, local.port);
            match_port(batch, PORT_DESTINATION, remote.port);
        }
        nft_accept(batch);
    }
}

static void accept_networks(const IkeTs *networks, NftBatch *batch)
{
    for (size_t i = 0; i < networks->n_selectors; i++) {
        const IkeSelector *range = &networks->selectors[i];
        nft_rule_begin(batch, OUT);
        match_destination(batch, range->start, range->end, size_of(range));
        nft_accept(batch);
    }
}

/* Neighbour Discovery, without which IPv6 reaches nobody on the link: no router passes it on (RFC
 * 4861 6.1, 7.1). */
static void accept_neighbour_discovery(NftBatch *batch)
{
    const uint8_t first = ND_ROUTER_SOLICIT, last = ND_REDIRECT;
    nft_rule_begin(batch, OUT);
    match_family(batch, 16);
    match_protocol(batch, IPPROTO_ICMPV6);
    nft_match_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 0, &first, &last, 1);
    nft_accept(batch);
}

static void accept_service(NftBatch *batch, const IkeSelector *range, uint8_t protocol,
                           uint16_t port)
{
    nft_rule_begin(batch, OUT);
    if (range)
        match_destination(batch, range->start, range->end, size_of(range));
    match_protocol(batch, protocol);
    match_port(batch, PORT_DESTINATION, htons(port));
    nft_accept(batch);
}

/* What a tunnel needs before it is there, and others than the IKE client ask for: the resolver the
 * SeGW's address, and the clock the time by which its certificates are judged. `range` NULL: from
 * anybody. */
static void accept_services(NftBatch *batch, const IkeSelector *range)
{
    accept_service(batch, range, IPPROTO_UDP, PORT_DNS);
    accept_service(batch, range, IPPROTO_TCP, PORT_DNS);
    accept_service(batch, range, IPPROTO_UDP, PORT_NTP);
}

/* The home network's router may be the resolver, though it has an address of a network that is
 * named: many homes are in 10.0.0.0/8. */
static void accept_local_services(const ProtectRules *rules, NftBatch *batch)
{
    for (size_t i = 0; i < rules->local->n_selectors; i++)
        accept_services(batch, &rules->local->selectors[i]);
}

static void drop_networks(const ProtectRules *rules, NftBatch *batch, bool whole)
{
    const IkeTs *networks = &rules->order->networks;
    for (size_t i = 0; i < networks->n_selectors; i++) {
        const IkeSelector *range = &networks->selectors[i];
        if (is_whole_family(range) != whole)
            continue;
        nft_rule_begin(batch, OUT);
        if (whole) {
            match_family(batch, size_of(range));
        } else {
            match_destination(batch, range->start, range->end, size_of(range));
        }
        nft_drop(batch, PROTECT_OUT);
    }
}

void protect_rules_write(const ProtectRules *rules, NftBatch *batch)
{
    nft_add_table(batch);
    nft_add_counter(batch, PROTECT_IN);
    nft_add_counter(batch, PROTECT_OUT);
    /* Behind every routing decision, before addresses are translated; and before anybody else looks
     * at what comes in. */
    nft_add_chain(batch, OUT, NF_INET_POST_ROUTING, NF_IP_PRI_FILTER);
    nft_add_chain(batch, IN, NF_INET_PRE_ROUTING, NF_IP_PRI_RAW);
    accept_interfaces(rules, batch);
    accept_ipsec(batch);
    drop_inner(rules, batch);
    accept_users(rules, batch);
    accept_ways(rules, batch);
    accept_networks(&ON_LINK, batch);
    accept_neighbour_discovery(batch);
    accept_networks(&rules->order->except, batch);
    const bool exceptions = protect_rules_heed_local(rules->order);
    if (exceptions)
        accept_local_services(rules, batch);
    drop_networks(rules, batch, false);
    if (exceptions) {
        accept_services(batch, NULL);
        accept_networks(rules->local, batch);
    }
    drop_networks(rules, batch, true);
}
