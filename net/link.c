/* Interfaces: found, marked as ours, brought up, and cleared away. */
#include "net/link.h"

#include "net/xfrm.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#define LINK_ALIAS "tred: ESP tunnel to the SeGW"

/* The kind of a link, and what is said of one of that kind. */
typedef struct LinkKind {
    bool xfrm;
    uint32_t if_id;
} LinkKind;

static int collect_if_id(const struct nlattr *attribute, void *userdata)
{
    LinkKind *kind = userdata;
    if (mnl_attr_get_type(attribute) == IFLA_XFRM_IF_ID &&
        mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
        kind->if_id = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

/* The kind comes first. */
static int collect_kind(const struct nlattr *attribute, void *userdata)
{
    LinkKind *kind = userdata;
    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND &&
        mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
        kind->xfrm = strcmp(mnl_attr_get_str(attribute), "xfrm") == 0;
    if (mnl_attr_get_type(attribute) == IFLA_INFO_DATA && kind->xfrm)
        (void)mnl_attr_parse_nested(attribute, collect_if_id, kind);
    return MNL_CB_OK;
}

/* Our alias; or, as a link has that only after it was made, and who made it may have been killed in
 * between, an XFRM interface of our ids. */
static int collect_mark(const struct nlattr *attribute, void *userdata)
{
    Link *link = userdata;
    LinkKind kind = {0};
    if (mnl_attr_get_type(attribute) == IFLA_IFALIAS &&
        strcmp(mnl_attr_get_str(attribute), LINK_ALIAS) == 0)
        link->ours = true;
    if (mnl_attr_get_type(attribute) == IFLA_LINKINFO) {
        (void)mnl_attr_parse_nested(attribute, collect_kind, &kind);
        link->ours = link->ours || (kind.xfrm && xfrm_if_id_is_ours(kind.if_id));
    }
    return MNL_CB_OK;
}

static int collect_link(const struct nlmsghdr *header, void *userdata)
{
    Link *link = userdata;
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
    link->index = (unsigned)info->ifi_index;
    link->up = info->ifi_flags & IFF_UP;
    (void)mnl_attr_parse(header, sizeof(*info), collect_mark, link);
    return MNL_CB_STOP;
}

int link_find(Netlink *netlink, const char *name, Link *ret)
{
    struct ifinfomsg *info;
    struct nlmsghdr *header = netlink_begin(netlink, RTM_GETLINK, 0, sizeof(*info), &info);
    mnl_attr_put_strz(header, IFLA_IFNAME, name);
    Link link = {};
    int r = netlink_dump(netlink, collect_link, &link);
    if (r >= 0)
        *ret = link;
    return r;
}

static struct nlmsghdr *begin_link(Netlink *netlink, uint16_t type, unsigned index,
                                   struct ifinfomsg **ret)
{
    struct nlmsghdr *header = netlink_begin(netlink, type, 0, sizeof(**ret), ret);
    (*ret)->ifi_index = (int)index;
    return header;
}

int link_is_ours(Netlink *netlink, unsigned index, bool *ret)
{
    struct ifinfomsg *info;
    Link link = {};
    (void)begin_link(netlink, RTM_GETLINK, index, &info);
    int r = netlink_dump(netlink, collect_link, &link);
    *ret = link.ours;
    return r;
}

/* No link-local address: nobody on this link speaks Neighbour Discovery or listens to multicast. */
static int forbid_link_local(Netlink *netlink, unsigned index)
{
    struct ifinfomsg *info;
    struct nlmsghdr *header = begin_link(netlink, RTM_NEWLINK, index, &info);
    struct nlattr *families = mnl_attr_nest_start(header, IFLA_AF_SPEC);
    struct nlattr *ipv6 = mnl_attr_nest_start(header, AF_INET6);
    mnl_attr_put_u8(header, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    mnl_attr_nest_end(header, ipv6);
    mnl_attr_nest_end(header, families);
    return netlink_call(netlink);
}

int link_configure(Netlink *netlink, unsigned index, uint32_t mtu)
{
    struct ifinfomsg *info;
    (void)forbid_link_local(netlink, index); /* a host without IPv6 has none anyway */
    struct nlmsghdr *header = begin_link(netlink, RTM_NEWLINK, index, &info);
    info->ifi_flags = info->ifi_change = IFF_UP;
    mnl_attr_put_u32(header, IFLA_MTU, mtu);
    mnl_attr_put_strz(header, IFLA_IFALIAS, LINK_ALIAS);
    return netlink_call(netlink);
}

int link_set_mtu(Netlink *netlink, unsigned index, uint32_t mtu)
{
    struct ifinfomsg *info;
    struct nlmsghdr *header = begin_link(netlink, RTM_NEWLINK, index, &info);
    mnl_attr_put_u32(header, IFLA_MTU, mtu);
    return netlink_call(netlink);
}

int link_delete(Netlink *netlink, unsigned index)
{
    struct ifinfomsg *info;
    (void)begin_link(netlink, RTM_DELLINK, index, &info);
    return netlink_call(netlink);
}

enum { LINKS_CLEARED_MAX = 16 }; /* of one dump; it is repeated until nothing is left */

typedef struct OurLinks {
    size_t n;
    unsigned indices[LINKS_CLEARED_MAX];
} OurLinks;

static int collect_our_link(const struct nlmsghdr *header, void *userdata)
{
    OurLinks *found = userdata;
    Link link = {};
    (void)collect_link(header, &link);
    if (link.ours && found->n < LINKS_CLEARED_MAX)
        found->indices[found->n++] = link.index;
    return MNL_CB_OK;
}

int links_clear(Netlink *netlink)
{
    OurLinks found;
    int r;
    do {
        struct ifinfomsg *info;
        found.n = 0;
        (void)netlink_begin(netlink, RTM_GETLINK, NLM_F_DUMP, sizeof(*info), &info);
        r = netlink_dump(netlink, collect_our_link, &found);
        for (size_t i = 0; i < found.n && r >= 0; i++)
            r = link_delete(netlink, found.indices[i]);
    } while (r >= 0 && found.n == LINKS_CLEARED_MAX);
    return r;
}
