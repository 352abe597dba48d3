/* Looks through the main table for the route that the tunnel's routes hide: the kernel, asked for
 * the way to an address, would name those. */
#include "net/beneath.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

typedef struct Candidate {
    bool usable; /* leads somewhere, in terms that a Route has */
    uint8_t length;
    uint32_t table, metric;
    Prefix destination;
    unsigned index;
    Prefix gateway;
} Candidate;

typedef struct Search {
    const Prefix *address;
    unsigned tunnel;
    bool found;
    Candidate best;
} Search;

static void read_prefix(const struct nlattr *attribute, Prefix *ret)
{
    uint16_t size = mnl_attr_get_payload_len(attribute);
    if (size != 4 && size != 16)
        return;
    *ret = (Prefix){.size = (uint8_t)size, .length = (uint8_t)(size * 8)};
    memcpy(ret->octets, mnl_attr_get_payload(attribute), size);
}

static bool has_u32(const struct nlattr *attribute)
{
    return mnl_attr_get_payload_len(attribute) == sizeof(uint32_t);
}

static int read_hop_attribute(const struct nlattr *attribute, void *userdata)
{
    Candidate *candidate = userdata;
    if (mnl_attr_get_type(attribute) == RTA_GATEWAY)
        read_prefix(attribute, &candidate->gateway);
    if (mnl_attr_get_type(attribute) == RTA_VIA)
        candidate->usable = false;
    return MNL_CB_OK;
}

/* Takes the first next hop that is not dead. */
static void read_hops(const struct nlattr *attribute, Candidate *candidate)
{
    const uint8_t *position = mnl_attr_get_payload(attribute);
    size_t left = mnl_attr_get_payload_len(attribute);
    struct rtnexthop hop;

    candidate->usable = false;
    while (left >= sizeof(hop)) {
        memcpy(&hop, position, sizeof(hop));
        if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > left)
            return;
        if (!(hop.rtnh_flags & RTNH_F_DEAD)) {
            candidate->usable = true;
            candidate->index = (unsigned)hop.rtnh_ifindex;
            (void)mnl_attr_parse_payload(position + sizeof(hop), hop.rtnh_len - sizeof(hop),
                                         read_hop_attribute, candidate);
            return;
        }
        size_t step = (hop.rtnh_len + RTNH_ALIGNTO - 1U) & ~(RTNH_ALIGNTO - 1U);
        step = step < left ? step : left;
        position += step;
        left -= step;
    }
}

static int read_attribute(const struct nlattr *attribute, void *userdata)
{
    Candidate *candidate = userdata;
    switch (mnl_attr_get_type(attribute)) {
    case RTA_DST:
        read_prefix(attribute, &candidate->destination);
        break;
    case RTA_GATEWAY:
        read_prefix(attribute, &candidate->gateway);
        break;
    case RTA_OIF:
        if (has_u32(attribute))
            candidate->index = mnl_attr_get_u32(attribute);
        break;
    case RTA_PRIORITY:
        if (has_u32(attribute))
            candidate->metric = mnl_attr_get_u32(attribute);
        break;
    case RTA_TABLE:
        if (has_u32(attribute))
            candidate->table = mnl_attr_get_u32(attribute);
        break;
    case RTA_MULTIPATH:
        read_hops(attribute, candidate);
        break;
    case RTA_VIA: /* a gateway of the other family */
        candidate->usable = false;
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static bool covers(const Candidate *candidate, const Prefix *address)
{
    if (candidate->length == 0)
        return true;
    if (candidate->destination.size != address->size || candidate->length > address->size * 8)
        return false;
    size_t whole = candidate->length / 8;
    unsigned rest = candidate->length % 8;
    uint8_t mask = (uint8_t)(0xff00U >> rest);
    return memcmp(candidate->destination.octets, address->octets, whole) == 0 &&
           (rest == 0 ||
            ((candidate->destination.octets[whole] ^ address->octets[whole]) & mask) == 0);
}

static bool is_better(const Candidate *a, const Candidate *b)
{
    return a->length > b->length || (a->length == b->length && a->metric < b->metric);
}

static int consider(const struct nlmsghdr *header, void *userdata)
{
    Search *search = userdata;
    const struct rtmsg *message = mnl_nlmsg_get_payload(header);
    Candidate candidate = {
        .usable = message->rtm_type == RTN_UNICAST,
        .length = message->rtm_dst_len,
        .table = message->rtm_table,
    };
    /* One for a type of service is for others' packets; a dead one has no link. */
    if (message->rtm_family != (search->address->size == 4 ? AF_INET : AF_INET6) ||
        message->rtm_protocol == ROUTE_PROTOCOL || message->rtm_tos != 0 ||
        message->rtm_src_len != 0 || message->rtm_flags & (RTNH_F_DEAD | RTM_F_CLONED))
        return MNL_CB_OK;
    (void)mnl_attr_parse(header, sizeof(*message), read_attribute, &candidate);
    if (candidate.table != RT_TABLE_MAIN || candidate.index == search->tunnel ||
        !covers(&candidate, search->address))
        return MNL_CB_OK;
    if (!search->found || is_better(&candidate, &search->best))
        search->best = candidate;
    search->found = true;
    return MNL_CB_OK;
}

int route_beneath(Netlink *netlink, const Prefix *address, unsigned tunnel, Route *ret)
{
    Search search = {.address = address, .tunnel = tunnel};
    struct rtmsg *message;
    (void)netlink_begin(netlink, RTM_GETROUTE, NLM_F_DUMP, sizeof(*message), &message);
    message->rtm_family = address->size == 4 ? AF_INET : AF_INET6;
    int r = netlink_dump(netlink, consider, &search);
    if (r < 0)
        return r;
    if (!search.found || !search.best.usable || search.best.index == 0)
        return -ENETUNREACH;
    *ret = (Route){
        .destination = *address,
        .index = search.best.index,
        .gateway = search.best.gateway,
    };
    return 0;
}
