/* XFRM states and policies, as linux/xfrm.h has them. */
#include "net/xfrm_internal.h"

#include <ctype.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum {
    REPLAY_WINDOW_PACKETS = 1024,
    POLICY_PRIORITY = 1000, /* of one that takes in all there is */
    XFRM_NAME_SIZE = 64,    /* of alg_name in linux/xfrm.h */
    CLEARED_MAX = 64,       /* of one dump; it is repeated until nothing is left */
};

int xfrm_interface_add(Netlink *route, const char *name, size_t interface)
{
    struct ifinfomsg *info;
    struct nlmsghdr *header =
        netlink_begin(route, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(*info), &info);
    mnl_attr_put_strz(header, IFLA_IFNAME, name);
    struct nlattr *link = mnl_attr_nest_start(header, IFLA_LINKINFO);
    mnl_attr_put_strz(header, IFLA_INFO_KIND, "xfrm");
    struct nlattr *data = mnl_attr_nest_start(header, IFLA_INFO_DATA);
    mnl_attr_put_u32(header, IFLA_XFRM_IF_ID, xfrm_if_id(interface));
    mnl_attr_nest_end(header, data);
    mnl_attr_nest_end(header, link);
    return netlink_call(route);
}

xfrm_address_t xfrm_address(const struct sockaddr_storage *address)
{
    xfrm_address_t ret = {};
    if (address->ss_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof(ipv4));
        memcpy(&ret, &ipv4.sin_addr, sizeof(ipv4.sin_addr));
    } else {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, address, sizeof(ipv6));
        memcpy(&ret, &ipv6.sin6_addr, sizeof(ipv6.sin6_addr));
    }
    return ret;
}

/* In network order; the port stands at one place in both families' addresses. */
static in_port_t port_of(const struct sockaddr_storage *address)
{
    struct sockaddr_in ipv4;
    memcpy(&ipv4, address, sizeof(ipv4));
    return ipv4.sin_port;
}

static const char *aead_name(const Cipher *cipher)
{
    return cipher->id == IKE_ENCR_AES_GCM_16 ? "rfc4106(gcm(aes))"
                                             : "rfc7539esp(chacha20,poly1305)";
}

/* The kernel's structs end in a key of any size. */
typedef union AeadAttribute {
    struct xfrm_algo_aead head;
    uint8_t octets[sizeof(struct xfrm_algo_aead) + IKE_KEY_MAX];
} AeadAttribute;

typedef union CipherAttribute {
    struct xfrm_algo head;
    uint8_t octets[sizeof(struct xfrm_algo) + IKE_KEY_MAX];
} CipherAttribute;

typedef union IntegAttribute {
    struct xfrm_algo_auth head;
    uint8_t octets[sizeof(struct xfrm_algo_auth) + IKE_KEY_MAX];
} IntegAttribute;

typedef union ReplayAttribute {
    struct xfrm_replay_state_esn head;
    uint8_t octets[sizeof(struct xfrm_replay_state_esn) + REPLAY_WINDOW_PACKETS / 8];
} ReplayAttribute;

static void set_name(char name[XFRM_NAME_SIZE], const char *value)
{
    (void)snprintf(name, XFRM_NAME_SIZE, "%s", value);
}

/* The kernel's name of an HMAC is that of its digest in small letters. */
static void set_hmac_name(char name[XFRM_NAME_SIZE], const char *digest)
{
    (void)snprintf(name, XFRM_NAME_SIZE, "hmac(%s)", digest);
    for (char *letter = name; *letter != '\0'; letter++)
        *letter = (char)tolower((unsigned char)*letter);
}

static void put_aead(struct nlmsghdr *header, const EspSuite *suite, Bytes key)
{
    AeadAttribute attribute = {.octets = {0}};
    set_name(attribute.head.alg_name, aead_name(suite->cipher));
    attribute.head.alg_key_len = (unsigned)key.size * 8;
    attribute.head.alg_icv_len = (unsigned)suite->cipher->icv_size * 8;
    memcpy(attribute.head.alg_key, key.data, key.size);
    mnl_attr_put(header, XFRMA_ALG_AEAD, sizeof(attribute.head) + key.size, &attribute);
    explicit_bzero(&attribute, sizeof(attribute));
}

static void put_cipher(struct nlmsghdr *header, Bytes key)
{
    CipherAttribute attribute = {.octets = {0}};
    set_name(attribute.head.alg_name, "cbc(aes)");
    attribute.head.alg_key_len = (unsigned)key.size * 8;
    memcpy(attribute.head.alg_key, key.data, key.size);
    mnl_attr_put(header, XFRMA_ALG_CRYPT, sizeof(attribute.head) + key.size, &attribute);
    explicit_bzero(&attribute, sizeof(attribute));
}

static void put_integ(struct nlmsghdr *header, const Integ *integ, Bytes key)
{
    IntegAttribute attribute = {.octets = {0}};
    set_hmac_name(attribute.head.alg_name, integ->digest);
    attribute.head.alg_key_len = (unsigned)key.size * 8;
    attribute.head.alg_trunc_len = (unsigned)integ->icv_size * 8;
    memcpy(attribute.head.alg_key, key.data, key.size);
    mnl_attr_put(header, XFRMA_ALG_AUTH_TRUNC, sizeof(attribute.head) + key.size, &attribute);
    explicit_bzero(&attribute, sizeof(attribute));
}

static void put_keys(struct nlmsghdr *header, const EspSuite *suite, const Secret *encr,
                     const Secret *integ)
{
    if (suite->cipher->aead) {
        put_aead(header, suite, secret_bytes(encr));
    } else {
        put_cipher(header, secret_bytes(encr));
        put_integ(header, suite->integ, secret_bytes(integ));
    }
}

/* A window of more than 32 packets takes this attribute, with or without ESN. */
static void put_replay_window(struct nlmsghdr *header)
{
    ReplayAttribute attribute = {.octets = {0}};
    attribute.head.bmp_len = REPLAY_WINDOW_PACKETS / 32;
    attribute.head.replay_window = REPLAY_WINDOW_PACKETS;
    mnl_attr_put(header, XFRMA_REPLAY_ESN_VAL, sizeof(attribute), &attribute);
}

void xfrm_put_encapsulation(struct nlmsghdr *header, const struct sockaddr_storage *source,
                            const struct sockaddr_storage *destination)
{
    struct xfrm_encap_tmpl encapsulation = {
        .encap_type = UDP_ENCAP_ESPINUDP,
        .encap_sport = port_of(source),
        .encap_dport = port_of(destination),
    };
    mnl_attr_put(header, XFRMA_ENCAP, sizeof(encapsulation), &encapsulation);
}

static uint64_t limit_or_infinite(uint64_t limit)
{
    return limit ? limit : XFRM_INF;
}

static struct xfrm_lifetime_cfg lifetimes(const Lifetime *soft, const Lifetime *hard)
{
    return (struct xfrm_lifetime_cfg){
        .soft_byte_limit = limit_or_infinite(soft->bytes),
        .hard_byte_limit = limit_or_infinite(hard->bytes),
        .soft_packet_limit = limit_or_infinite(soft->packets),
        .hard_packet_limit = limit_or_infinite(hard->packets),
        .soft_add_expires_seconds = soft->seconds, /* 0: never */
        .hard_add_expires_seconds = hard->seconds,
    };
}

static bool has_ipv6_inside(const SaOrder *order)
{
    for (size_t i = 0; i < order->ts_remote.n_selectors; i++) {
        if (order->ts_remote.selectors[i].type == IKE_TS_IPV6_ADDR_RANGE)
            return true;
    }
    return false;
}

/* Both IP versions may be inside. Where IPv6 is, routers on the way may cut ESP packets up: were
 * they told not to, and said then that the path is narrower than 1280 octets and what ESP adds, the
 * kernel would drop what IPv6 has a right to send (RFC 2473 7.1, RFC 4301 8.1). */
static uint8_t state_flags(const SaOrder *order)
{
    return (uint8_t)(XFRM_STATE_AF_UNSPEC | (order->ecn ? 0 : XFRM_STATE_NOECN) |
                     (order->suite.esn ? XFRM_STATE_ESN : 0) |
                     (has_ipv6_inside(order) ? XFRM_STATE_NOPMTUDISC : 0));
}

int xfrm_state_add(Netlink *netlink, XfrmDirection direction, const SaOrder *order)
{
    bool inbound = direction == XFRM_INBOUND;
    const struct sockaddr_storage *source = inbound ? &order->remote : &order->local;
    const struct sockaddr_storage *destination = inbound ? &order->local : &order->remote;
    struct xfrm_usersa_info *info;
    struct nlmsghdr *header =
        netlink_begin(netlink, XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL, sizeof(*info), &info);
    info->id.daddr = xfrm_address(destination);
    info->id.spi = htonl(inbound ? order->spi_in : order->spi_out);
    info->id.proto = IPPROTO_ESP;
    info->saddr = xfrm_address(source);
    info->family = source->ss_family;
    info->mode = XFRM_MODE_TUNNEL;
    info->reqid = xfrm_reqid(order->segw);
    info->flags = state_flags(order);
    info->lft = lifetimes(&order->soft, &order->hard);
    put_keys(header, &order->suite, inbound ? order->encr_in : order->encr_out,
             inbound ? order->integ_in : order->integ_out);
    put_replay_window(header);
    if (!order->copy_dscp)
        mnl_attr_put_u32(header, XFRMA_SA_EXTRA_FLAGS, XFRM_SA_XFLAG_DONT_ENCAP_DSCP);
    if (order->udp_encapsulated)
        xfrm_put_encapsulation(header, source, destination);
    mnl_attr_put_u32(header, XFRMA_IF_ID, xfrm_if_id(order->interface));
    xfrm_put_silence(header);
    return netlink_call(netlink);
}

bool xfrm_names_state(const struct xfrm_usersa_id *id, const struct sockaddr_storage *destination,
                      uint32_t spi)
{
    const xfrm_address_t address = xfrm_address(destination);
    return id->spi == htonl(spi) && id->family == destination->ss_family &&
           memcmp(id->daddr.a6, address.a6, sizeof(address.a6)) == 0;
}

struct nlmsghdr *xfrm_begin_state(Netlink *netlink, uint16_t type,
                                  const struct sockaddr_storage *destination, uint32_t spi)
{
    struct xfrm_usersa_id *id;
    struct nlmsghdr *header = netlink_begin(netlink, type, 0, sizeof(*id), &id);
    id->daddr = xfrm_address(destination);
    id->spi = htonl(spi);
    id->family = destination->ss_family;
    id->proto = IPPROTO_ESP;
    return header;
}

struct nlmsghdr *xfrm_begin_aevent(Netlink *netlink, const struct sockaddr_storage *destination,
                                   uint32_t spi)
{
    struct xfrm_aevent_id *id;
    struct nlmsghdr *header =
        netlink_begin(netlink, XFRM_MSG_NEWAE, NLM_F_REPLACE, sizeof(*id), &id);
    id->sa_id.daddr = xfrm_address(destination);
    id->sa_id.spi = htonl(spi);
    id->sa_id.family = destination->ss_family;
    id->sa_id.proto = IPPROTO_ESP;
    return header;
}

void xfrm_put_silence(struct nlmsghdr *header)
{
    mnl_attr_put_u32(header, XFRMA_REPLAY_THRESH, 0);
    mnl_attr_put_u32(header, XFRMA_ETIMER_THRESH, 0);
}

int xfrm_state_tell(Netlink *netlink, const struct sockaddr_storage *destination, uint32_t spi,
                    bool tell)
{
    struct nlmsghdr *header = xfrm_begin_aevent(netlink, destination, spi);
    mnl_attr_put_u32(header, XFRMA_REPLAY_THRESH, tell ? 1 : 0);
    return netlink_call(netlink);
}

int xfrm_state_delete(Netlink *netlink, const struct sockaddr_storage *destination, uint32_t spi)
{
    (void)xfrm_begin_state(netlink, XFRM_MSG_DELSA, destination, spi);
    return netlink_call(netlink);
}

static int collect_last_used(const struct nlattr *attribute, void *userdata)
{
    XfrmStateInfo *info = userdata;
    if (mnl_attr_get_type(attribute) == XFRMA_LASTUSED)
        info->last_used = mnl_attr_get_u64(attribute);
    return MNL_CB_OK;
}

static int collect_state(const struct nlmsghdr *header, void *userdata)
{
    XfrmStateInfo *ret = userdata;
    const struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(header);
    *ret = (XfrmStateInfo){
        .bytes = info->curlft.bytes,
        .packets = info->curlft.packets,
        .replays = (uint64_t)info->stats.replay_window + info->stats.replay,
        .integrity_failures = info->stats.integrity_failed,
    };
    (void)mnl_attr_parse(header, sizeof(*info), collect_last_used, ret);
    return MNL_CB_STOP;
}

int xfrm_state_get(Netlink *netlink, const struct sockaddr_storage *destination, uint32_t spi,
                   XfrmStateInfo *ret)
{
    (void)xfrm_begin_state(netlink, XFRM_MSG_GETSA, destination, spi);
    return netlink_dump(netlink, collect_state, ret);
}

/* Of several policies that take a packet in, the kernel applies the one of the lowest number: the
 * narrowest, as in an SPD that is ordered so (RFC 4301 4.4.1). */
static uint32_t priority_of(const struct xfrm_selector *selector)
{
    const unsigned narrowness = (unsigned)selector->prefixlen_s + selector->prefixlen_d +
                                (selector->proto != 0) + (selector->sport_mask != 0) +
                                (selector->dport_mask != 0);

    return POLICY_PRIORITY - narrowness;
}

int xfrm_policy_set(Netlink *netlink, const XfrmPolicy *policy)
{
    struct xfrm_userpolicy_info *info;
    struct nlmsghdr *header = netlink_begin(netlink, XFRM_MSG_UPDPOLICY, 0, sizeof(*info), &info);
    info->sel = policy->selector;
    info->lft = lifetimes(&(Lifetime){}, &(Lifetime){});
    info->priority = priority_of(&policy->selector);
    info->dir = policy->direction;
    info->action = XFRM_POLICY_ALLOW;
    struct xfrm_user_tmpl template = {
        .id = {.daddr = xfrm_address(&policy->destination),
               .spi = htonl(policy->spi),
               .proto = IPPROTO_ESP},
        .saddr = xfrm_address(&policy->source),
        .family = policy->source.ss_family,
        .reqid = policy->reqid,
        .mode = XFRM_MODE_TUNNEL,
        .aalgos = UINT32_MAX,
        .ealgos = UINT32_MAX,
        .calgos = UINT32_MAX,
    };
    mnl_attr_put(header, XFRMA_TMPL, sizeof(template), &template);
    mnl_attr_put_u32(header, XFRMA_IF_ID, xfrm_if_id(policy->interface));
    return netlink_call(netlink);
}

int xfrm_policy_delete(Netlink *netlink, const XfrmPolicy *policy)
{
    struct xfrm_userpolicy_id *id;
    struct nlmsghdr *header = netlink_begin(netlink, XFRM_MSG_DELPOLICY, 0, sizeof(*id), &id);
    id->sel = policy->selector;
    id->dir = policy->direction;
    mnl_attr_put_u32(header, XFRMA_IF_ID, xfrm_if_id(policy->interface));
    return netlink_call(netlink);
}

static int collect_if_id(const struct nlattr *attribute, void *userdata)
{
    if (mnl_attr_get_type(attribute) == XFRMA_IF_ID)
        *(uint32_t *)userdata = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

/* The place of the interface that a state or policy is for; DATAPLANE_INTERFACES_MAX: none of ours.
 */
static uint8_t interface_of(const struct nlmsghdr *header, size_t info_size)
{
    uint32_t if_id = 0;
    (void)mnl_attr_parse(header, (unsigned)info_size, collect_if_id, &if_id);
    const uint32_t place = if_id - XFRM_IF_ID; /* of a lesser one, beyond all of ours */
    return place < DATAPLANE_INTERFACES_MAX ? (uint8_t)place : DATAPLANE_INTERFACES_MAX;
}

static bool is_ours(const struct nlmsghdr *header, size_t info_size)
{
    return interface_of(header, info_size) < DATAPLANE_INTERFACES_MAX;
}

typedef struct Found {
    size_t n;
    union {
        struct xfrm_usersa_info states[CLEARED_MAX];
        XfrmPolicy policies[CLEARED_MAX];
    };
} Found;

static int collect_our_state(const struct nlmsghdr *header, void *userdata)
{
    Found *found = userdata;
    const struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(header);
    if (found->n < CLEARED_MAX && is_ours(header, sizeof(*info)))
        found->states[found->n++] = *info;
    return MNL_CB_OK;
}

typedef struct PolicyListing {
    XfrmPolicyFound found;
    void *userdata;
} PolicyListing;

static int collect_policy(const struct nlmsghdr *header, void *userdata)
{
    const PolicyListing *listing = userdata;
    const struct xfrm_userpolicy_info *info = mnl_nlmsg_get_payload(header);
    const XfrmPolicy policy = {
        .direction = info->dir,
        .interface = interface_of(header, sizeof(*info)),
        .selector = info->sel,
    };
    if (policy.interface < DATAPLANE_INTERFACES_MAX)
        listing->found(&policy, listing->userdata);
    return MNL_CB_OK;
}

int xfrm_policies_list(Netlink *netlink, XfrmPolicyFound found, void *userdata)
{
    PolicyListing listing = {.found = found, .userdata = userdata};
    struct xfrm_userpolicy_id *filter;
    (void)netlink_begin(netlink, XFRM_MSG_GETPOLICY, NLM_F_DUMP, sizeof(*filter), &filter);
    return netlink_dump(netlink, collect_policy, &listing);
}

/* Deletes up to CLEARED_MAX; returns how many, or -errno. */
static int clear_some_states(Netlink *netlink)
{
    struct xfrm_usersa_id *filter;
    Found found = {};
    (void)netlink_begin(netlink, XFRM_MSG_GETSA, NLM_F_DUMP, sizeof(*filter), &filter);
    int r = netlink_dump(netlink, collect_our_state, &found);
    for (size_t i = 0; i < found.n && r >= 0; i++) {
        struct xfrm_usersa_id *id;
        (void)netlink_begin(netlink, XFRM_MSG_DELSA, 0, sizeof(*id), &id);
        id->daddr = found.states[i].id.daddr;
        id->spi = found.states[i].id.spi;
        id->family = found.states[i].family;
        id->proto = found.states[i].id.proto;
        r = netlink_call(netlink);
    }
    return r < 0 ? r : (int)found.n;
}

static void collect_our_policy(const XfrmPolicy *policy, void *userdata)
{
    Found *found = userdata;
    if (found->n < CLEARED_MAX)
        found->policies[found->n++] = *policy;
}

static int clear_some_policies(Netlink *netlink)
{
    Found found = {};
    int r = xfrm_policies_list(netlink, collect_our_policy, &found);
    for (size_t i = 0; i < found.n && r >= 0; i++)
        r = xfrm_policy_delete(netlink, &found.policies[i]);
    return r < 0 ? r : (int)found.n;
}

int xfrm_clear(Netlink *netlink)
{
    int r;
    do {
        r = clear_some_policies(netlink);
    } while (r > 0);
    if (r < 0)
        return r;
    do {
        r = clear_some_states(netlink);
    } while (r > 0);
    return r;
}
