/* Requests to the kernel over one netlink socket: routes and links (NETLINK_ROUTE), XFRM
 * (NETLINK_XFRM) or nf_tables (NETLINK_NETFILTER). */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"

#include <libmnl/libmnl.h>
#include <stdbool.h>

enum {
    NETLINK_MESSAGE_MAX = 8192,
    NETLINK_DUMPS_MAX = 8, /* of what goes on changing meanwhile */
};

typedef struct Netlink Netlink;

/* `family` is NETLINK_ROUTE, NETLINK_XFRM or NETLINK_NETFILTER. Returns 0 or -errno. */
int netlink_new(int family, Netlink **ret);
void netlink_free(Netlink *netlink);
DEFINE_POINTER_CLEANUP(Netlink, netlink_free);

/* Begins a message of `type` in the object's buffer, NLM_F_REQUEST | `flags`, with `extra_size`
 * octets of family header, zeroed, which *ret_extra points to. It is good until the next begin. */
struct nlmsghdr *netlink_begin(Netlink *netlink, uint16_t type, uint16_t flags, size_t extra_size,
                               void *ret_extra);

/* Sends the message that was begun and waits for its acknowledgement. Returns 0 or the kernel's
 * -errno. */
int netlink_call(Netlink *netlink);

/* Sends the message that was begun and hands each message of the answer to `callback` (MNL_CB_OK to
 * go on). With NLM_F_DUMP, it does so when the answer is whole: one that the kernel says to be
 * interrupted is asked for again. Returns 0, -EINTR after NETLINK_DUMPS_MAX of these, or another
 * -errno; an error of a dump's comes before anything was handed on. */
int netlink_dump(Netlink *netlink, mnl_cb_t callback, void *userdata);

/* Sends `size` octets of messages that were made elsewhere, and waits for the answer to the one
 * with the sequence number `last`, or for the first error. Returns 0 or the kernel's -errno. */
int netlink_send(Netlink *netlink, const void *messages, size_t size, uint32_t last);

/* By which the kernel's messages on a change say who made it. */
uint32_t netlink_port(const Netlink *netlink);

/* A socket on which the kernel tells what changes, whoever changed it. */
typedef struct NetlinkWatch NetlinkWatch;

/* `groups` are RTNLGRP_…, XFRMNLGRP_… or NFNLGRP_…. Returns 0 or -errno. */
int netlink_watch_new(int family, const int *groups, size_t n_groups, NetlinkWatch **ret);
void netlink_watch_free(NetlinkWatch *watch);
DEFINE_POINTER_CLEANUP(NetlinkWatch, netlink_watch_free);

/* Has it told of one group more, or of that no more. Returns 0 or -errno. */
int netlink_watch_join(NetlinkWatch *watch, int group, bool join);

int netlink_watch_fd(const NetlinkWatch *watch);

/* Hands each message that is there to `callback` (MNL_CB_OK to go on) and does not wait. True if
 * the kernel had more to tell than the socket could hold, so that some is lost. */
bool netlink_watch_read(NetlinkWatch *watch, mnl_cb_t callback, void *userdata);
