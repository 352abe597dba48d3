/* ESP of the kernel: XFRM states and policies, one netlink request each. All that is made here
 * carries one of our interface ids: by these a later run knows what is ours. */
#pragma once

#include "dataplane/order.h"
#include "net/netlink.h"

#include <linux/xfrm.h>

enum { XFRM_IF_ID = 0x74726564 }; /* "tred"; from there on, one for each interface */

/* `interface` is its place. */
static inline uint32_t xfrm_if_id(size_t interface)
{
    return XFRM_IF_ID + (uint32_t)interface;
}

static inline bool xfrm_if_id_is_ours(uint32_t if_id)
{
    return if_id - XFRM_IF_ID < DATAPLANE_INTERFACES_MAX; /* a lesser one is beyond all of ours */
}

/* The reqid of states and policies: the kernel lets a packet in by a policy only if it came through
 * a state of the same one, whichever address that state's SeGW has (RFC 4301 5.2). */
static inline uint32_t xfrm_reqid(uint32_t segw)
{
    return XFRM_IF_ID + segw;
}

/* The interface whose packets, and no others, the policies for that place are for. Returns 0,
 * -EOPNOTSUPP or another -errno. `route` is a NETLINK_ROUTE object; `netlink` in all below is a
 * NETLINK_XFRM one.
 */
int xfrm_interface_add(Netlink *route, const char *name, size_t interface);

typedef enum XfrmDirection { XFRM_INBOUND, XFRM_OUTBOUND } XfrmDirection;

/* One state of a pair. Returns 0, -EPROTONOSUPPORT or -ENOSYS where the kernel has no ESP or lacks
 * the algorithm, or another -errno. */
int xfrm_state_add(Netlink *netlink, XfrmDirection direction, const SaOrder *order);
int xfrm_state_delete(Netlink *netlink, const struct sockaddr_storage *destination, uint32_t spi);

/* Whether the kernel's word is of the state with that destination and SPI: it tells of everybody's
 * states, and which SPI a SeGW's end of a pair has is the SeGW's to say (RFC 4303 2.1). */
bool xfrm_names_state(const struct xfrm_usersa_id *id, const struct sockaddr_storage *destination,
                      uint32_t spi);

/* Whether the kernel tells XFRMNLGRP_AEVENTS of each packet that this inbound state lets in
 * (XFRM_MSG_NEWAE with XFRM_AE_CR). No state does when it is added or has moved. Returns 0 or
 * -errno. */
int xfrm_state_tell(Netlink *netlink, const struct sockaddr_storage *destination, uint32_t spi,
                    bool tell);

/* Moves a state to other outer addresses and ports, with its keys, its replay window, what it has
 * counted and its limits; it is known by where it was. An outbound one goes on with numbers
 * XFRM_MOVE_SKIPS further on: nothing may choose it any more when this is called, and what was
 * already choosing it then has used no more than these. Returns 0, -ESRCH (there is no such state),
 * -EACCES (this kernel shows no keys, and has the state still), or another -errno of the kernel's;
 * then the state is gone. */
int xfrm_state_move(Netlink *netlink, XfrmDirection direction,
                    const struct sockaddr_storage *destination, uint32_t spi, const SaPath *path);

enum { XFRM_MOVE_SKIPS = 1 << 16 };

typedef struct XfrmStateInfo {
    uint64_t bytes;
    uint64_t packets;
    uint64_t replays; /* seen before, or left of the window */
    uint32_t integrity_failures;
    uint64_t last_used; /* seconds since the epoch; 0: never */
} XfrmStateInfo;

int xfrm_state_get(Netlink *netlink, const struct sockaddr_storage *destination, uint32_t spi,
                   XfrmStateInfo *ret);

/* One policy: packets of `selector` in `direction` (XFRM_POLICY_IN, _FWD or _OUT) take a tunnel
 * between the outer addresses, by the state that `spi` names or, without, by any of ours. Adding
 * one that exists changes its tunnel. */
typedef struct XfrmPolicy {
    uint8_t direction;
    uint8_t interface; /* its place */
    struct xfrm_selector selector;
    struct sockaddr_storage source; /* outer; ports do not count */
    struct sockaddr_storage destination;
    uint32_t spi; /* 0: of any state */
    uint32_t reqid;
} XfrmPolicy;

int xfrm_policy_set(Netlink *netlink, const XfrmPolicy *policy);
int xfrm_policy_delete(Netlink *netlink, const XfrmPolicy *policy);

/* Hands each policy of our interface ids to `found`, with direction, interface and selector alone.
 * Returns 0 or -errno. */
typedef void (*XfrmPolicyFound)(const XfrmPolicy *policy, void *userdata);
int xfrm_policies_list(Netlink *netlink, XfrmPolicyFound found, void *userdata);

/* Deletes every state and policy of our interface ids. */
int xfrm_clear(Netlink *netlink);
