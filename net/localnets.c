/* The networks that the host is in, as the kernel lists its addresses. */
#include "net/localnets.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* IFA_ADDRESS has the network: it is the other end's on a link between two. */
static int find_address(const struct nlattr *attribute, void *userdata)
{
    const struct nlattr **address = userdata;
    if (mnl_attr_get_type(attribute) == IFA_ADDRESS)
        *address = attribute;
    return MNL_CB_OK;
}

/* Sets the bits behind the first `length` ones in `end`, and clears them in `start`. */
static void spread(IkeSelector *range, size_t size, unsigned length)
{
    for (size_t i = 0; i < size; i++) {
        unsigned bits = length > 8 * i ? length - 8 * (unsigned)i : 0;
        const uint8_t host = (uint8_t)(bits >= 8 ? 0 : 0xffU >> bits);
        range->end[i] = (uint8_t)(range->start[i] | host);
        range->start[i] &= (uint8_t)~host;
    }
}

static int collect(const struct nlmsghdr *header, void *userdata)
{
    IkeTs *networks = userdata;
    const struct ifaddrmsg *message = mnl_nlmsg_get_payload(header);
    const size_t size = message->ifa_family == AF_INET ? 4 : 16;
    const struct nlattr *address = NULL;
    (void)mnl_attr_parse(header, sizeof(*message), find_address, &address);
    /* One of length 0 is no network, but everything. */
    if (!address || mnl_attr_get_payload_len(address) != size || message->ifa_prefixlen == 0 ||
        message->ifa_prefixlen >= 8 * size || networks->n_selectors == IKE_SELECTORS_MAX)
        return MNL_CB_OK;
    IkeSelector *range = &networks->selectors[networks->n_selectors++];
    range->type = size == 4 ? IKE_TS_IPV4_ADDR_RANGE : IKE_TS_IPV6_ADDR_RANGE;
    memcpy(range->start, mnl_attr_get_payload(address), size);
    spread(range, size, message->ifa_prefixlen);
    return MNL_CB_OK;
}

int local_networks(Netlink *netlink, IkeTs *ret)
{
    struct ifaddrmsg *message;
    memset(ret, 0, sizeof(*ret));
    (void)netlink_begin(netlink, RTM_GETADDR, NLM_F_DUMP, sizeof(*message), &message);
    return netlink_dump(netlink, collect, ret);
}
