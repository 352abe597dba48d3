/* What tred-net does for one connection of tred's: interfaces with the assigned inner addresses
 * and routes, and the kernel's ESP or a TUN for tred-esp behind each. */
#pragma once

#include "base/reason.h"
#include "dataplane/order.h"
#include "net/network.h"

#include <poll.h>

typedef struct NetPlane NetPlane;

/* An SA pair, and what is to be said of it. */
typedef struct NetSa {
    uint32_t spi_in;
    uint8_t interface; /* its place */
    unsigned due;      /* bits, by DataPlaneEventType, of events not said yet */
    unsigned said;     /* and of those that were: each is said once */
} NetSa;

/* What kernel and user mode do each in its own way. */
typedef struct NetBackend {
    DataPlaneMode mode;
    /* `open` allocates; *ret begins with NetPlane. */
    int (*open)(const InterfaceNames *interfaces, NetPlane **ret, Reason *reason);
    void (*close)(NetPlane *plane);
    int (*add_sa)(NetPlane *plane, const SaOrder *order, int *ret_tun, Reason *reason);
    int (*remove_sa)(NetPlane *plane, const NetSa *sa);
    /* Both NULL where tred-esp has the keys: */
    int (*use_sa)(NetPlane *plane, uint32_t spi_in);
    int (*move_sa)(NetPlane *plane, uint32_t spi_in, const SaPath *path, Reason *reason);
    int (*sa_counters)(NetPlane *plane, uint32_t spi_in, SaCounters *ret);
    /* What is to be watched besides the network, and what is done when it can be read: SAs that
     * expired or lack something are told to net_plane_report(). NULL where there is nothing. */
    int (*watched)(const NetPlane *plane);
    void (*handle_watched)(NetPlane *plane);
} NetBackend;

struct NetPlane {
    const NetBackend *backend;
    InterfaceNames interfaces;
    Network *networks[DATAPLANE_INTERFACES_MAX]; /* of each of these */
    size_t n_sas;
    NetSa sas[DATAPLANE_SAS_MAX];
};

extern const NetBackend NET_BACKEND_KERNEL;
extern const NetBackend NET_BACKEND_USER;

/* Opens a plane, and clears what an earlier connection left behind. With DATAPLANE_AUTO it is the
 * kernel's if that has ESP. Returns 0, or -errno with `reason` saying what was found and what to
 * do: -EOPNOTSUPP the kernel can't, -EPERM CAP_NET_ADMIN is missing, -EEXIST an interface is not
 * ours. */
int net_plane_open(DataPlaneMode mode, const InterfaceNames *interfaces, NetPlane **ret,
                   Reason *reason);

/* Whether each of these names is ours to use: no interface of somebody else's has it. Returns 0, or
 * -errno with `reason` as net_plane_open(). */
int net_plane_check_interfaces(const InterfaceNames *interfaces, Reason *reason);

/* Removes every SA, route, address and interface that it made. */
void net_plane_close(NetPlane *plane);
DEFINE_POINTER_CLEANUP(NetPlane, net_plane_close);

/* Carries out an order of the connection's but ORDER_OPEN, filling *ret. `esp_fd`, the ESP socket
 * or -1, is borrowed. What can't be done is said in the answer's reason. *ret_tun is the TUN's
 * descriptor, to be handed on and closed, if the order made one; else -1. Errors are the order's:
 * -EEXIST (spi_in is in use), -ENOENT, -ENOSPC, -EINVAL (keys where there are to be none, or none
 * where some are needed, or no such interface), -EBADMSG (not an order for tred-net), or another
 * -errno of the kernel's; nothing of an SA is left then. */
void net_plane_carry_out(NetPlane *plane, const Order *order, int esp_fd, Answer *ret,
                         int *ret_tun);

/* What to poll for: the kernel's word on links, addresses, routes and states. */
enum { NET_PLANE_POLL_MAX = DATAPLANE_INTERFACES_MAX + 1 };
size_t net_plane_poll(const NetPlane *plane, struct pollfd polled[NET_PLANE_POLL_MAX]);

/* Looks at what poll() found. */
void net_plane_watch(NetPlane *plane, const struct pollfd *polled, size_t n_polled);

/* The next event due, if any. */
bool net_plane_event(NetPlane *plane, DataPlaneEvent *ret);

/* For the back ends. Opens the networks of `interfaces`, with what an earlier connection left
 * cleared; their end. */
int net_plane_open_networks(NetPlane *plane, const InterfaceNames *interfaces, Reason *reason);
void net_plane_free_networks(NetPlane *plane);

/* Takes the interface away if it has no pair: it goes with its last one. */
void net_plane_lower_interface(Network *network);

/* An event that the pair with this SPI is to be told, once. */
void net_plane_report(NetPlane *plane, uint32_t spi_in, DataPlaneEventType event);

/* Sets the reason for an error of the network configuration. */
int net_plane_fail_network(Reason *reason, int r, const char *interface);
