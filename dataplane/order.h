/* What tred says to the two processes that carry its tunnels, and what they say back: tred-net,
 * over its socket, and tred-esp, over a socket pair (SOCK_SEQPACKET both; one frame each). tred
 * sends orders; each is answered in turn, under the number that it came with; events stand in
 * between. */
#pragma once

#include "base/cleanup.h"
#include "base/reason.h"
#include "crypto/secret.h"
#include "crypto/suite.h"
#include "ikewire/payload.h"

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    ORDER_SIZE_MAX = 4096, /* of a frame; the largest, an ADD_SA, is asserted in order_tred.c */
    ORDER_FD = 3,          /* where tred-esp finds its end */
    DATAPLANE_SAS_MAX = 16,
    DATAPLANE_TRANSPORTS_MAX = 4,
    DATAPLANE_INTERFACES_MAX = 4,
    DATAPLANE_ADDRESSES_OF_FAMILY = 2, /* inner ones, of an SA pair */
    DATAPLANE_ADDRESSES_MAX = 2 * DATAPLANE_ADDRESSES_OF_FAMILY,
};

typedef enum DataPlaneMode {
    DATAPLANE_AUTO,   /* the kernel if it can install an ESP state, else user */
    DATAPLANE_KERNEL, /* XFRM */
    DATAPLANE_USER,   /* TUN, and ESP in UDP in tred-esp */
    DATAPLANE_NONE,   /* authentication without traffic */
} DataPlaneMode;

/* The tunnels' interfaces. An order names one of them by its place. */
typedef struct InterfaceNames {
    size_t n; /* 1 to DATAPLANE_INTERFACES_MAX, none twice */
    char names[DATAPLANE_INTERFACES_MAX][IFNAMSIZ];
} InterfaceNames;

/* The place of that name; interfaces->n where it is not among them. */
size_t interface_find(const InterfaceNames *interfaces, const char *name);

/* Whether the kernel takes an interface's name as it stands (dev_valid_name(); of one with '%' it
 * makes another), and it is safe to print. */
bool interface_name_is_valid(Bytes name);

/* Limits of an SA pair, each direction counted by itself; 0: no limit. Those of an order to a
 * helper are this pair's own (lifetime_settle()). */
typedef struct Lifetime {
    uint64_t bytes; /* of inner packets */
    uint64_t packets;
    uint64_t seconds; /* since ADD_SA */
} Lifetime;

/* One inner address that CFG_REPLY assigned. */
typedef struct InnerAddress {
    uint8_t size; /* 4 or 16 octets */
    uint8_t prefix_length;
    uint8_t octets[16];
} InnerAddress;

typedef struct SaCounters {
    uint64_t packets_in; /* delivered to the interface */
    uint64_t bytes_in;
    uint64_t packets_out;
    uint64_t bytes_out;
    uint64_t replays;                 /* seen before, or left of the window */
    uint64_t authentication_failures; /* ICV wrong */
    uint64_t malformed;               /* ESP or inner packet does not parse */
    uint64_t selector_drops_in;       /* authentic, but outside of the selectors */
    uint64_t ecn_drops_in;            /* marked outside, though not to be marked (RFC 6040 4.2) */
    uint64_t idle_in_ms;              /* since the last authentic packet (or since ADD_SA) */
    uint64_t idle_out_ms;
} SaCounters;

/* What belongs to the plane and to no SA. */
typedef struct DataPlaneCounters {
    uint64_t unknown_spi;       /* no SA, or one at its hard lifetime (RFC 4303 3.4.2) */
    uint64_t no_sa_out;         /* packets of the interface that no SA takes (RFC 4301 5.1) */
    uint64_t send_failures;     /* towards the peer */
    uint64_t delivery_failures; /* towards the interface */
} DataPlaneCounters;

/* What becomes of packets that belong into the tunnel and find none (tred.conf(5)). */
typedef enum ProtectMode {
    PROTECT_NO,
    PROTECT_YES, /* of a family that is protected as a whole, local networks, DNS and NTP are left
                    out; of other networks, DNS and NTP in a local network */
    PROTECT_STRICT, /* without these exceptions */
    PROTECT_MODES
} ProtectMode;

/* ORDER_PROTECT. The rules that it makes outlast the connection, and tred-net. */
typedef struct ProtectOrder {
    ProtectMode mode;
    InterfaceNames interfaces; /* of the tunnels */
    IkeTs networks;            /* no packet to these leaves but by one of them */
    IkeTs except;              /* but to these */
} ProtectOrder;

typedef struct ProtectionCounters {
    uint64_t dropped_in;  /* to an inner address, but not from the tunnel */
    uint64_t dropped_out; /* to a protected network or from an inner address, past the tunnel */
} ProtectionCounters;

typedef enum OrderType {
    ORDER_OPEN = 1,       /* tred-net: mode and interfaces; clears what an earlier one left */
    ORDER_OPEN_TUN,       /* tred-esp, with the TUN's descriptor; `id` is the interface's place */
    ORDER_CLOSE_TUN,      /* tred-esp, likewise */
    ORDER_OPEN_TRANSPORT, /* tred-esp, with the ESP socket's descriptor; `id` is tred's to choose */
    ORDER_CLOSE_TRANSPORT, /* tred-esp; its SAs go with it */
    ORDER_ADD_SA,          /* both; to tred-net with the ESP socket's descriptor, for its buffers */
    ORDER_REMOVE_SA,       /* both */
    ORDER_USE_SA,          /* whoever has the SA's keys: it sends from now on */
    ORDER_MOVE_SA,     /* both; as ADD_SA: it takes another path, with the same keys and numbers */
    ORDER_SA_COUNTERS, /* whoever has the SA's keys */
    ORDER_PLANE_COUNTERS,      /* tred-esp */
    ORDER_PATH_MTU,            /* tred-net: the path of this SA has another, `path.mtu` of it */
    ORDER_PROTECT,             /* tred-net, before ORDER_OPEN */
    ORDER_UNPROTECT,           /* tred-net: tred is stopped, and nothing is protected any more */
    ORDER_PROTECTION_COUNTERS, /* tred-net */
    ORDER_TYPES
} OrderType;

/* ORDER_MOVE_SA: where a pair's ESP packets go from now on. The fields are as those of SaOrder. */
typedef struct SaPath {
    uint32_t transport;
    struct sockaddr_storage local;
    struct sockaddr_storage remote;
    bool udp_encapsulated;
    uint16_t mtu;
} SaPath;

/* ORDER_ADD_SA, for a pair of ESP SAs. Secrets are owned where it was decoded, borrowed where it is
 * encoded. With AEAD the salt stands behind the key, and there is no integ_*. tred-net gets keys
 * only where the kernel does ESP: all four are NULL else. */
typedef struct SaOrder {
    uint32_t spi_in;    /* ours: the peer sends to it */
    uint32_t spi_out;   /* the peer's */
    uint32_t transport; /* tred-esp: as ORDER_OPEN_TRANSPORT named it */
    uint32_t segw;      /* number of the SeGW: no SA of another one carries this one's packets */
    uint8_t interface;  /* its place: below DATAPLANE_INTERFACES_MAX, and ORDER_OPEN's number */
    EspSuite suite;
    Secret *encr_in, *integ_in;
    Secret *encr_out, *integ_out;
    IkeTs ts_local;
    IkeTs ts_remote;
    struct sockaddr_storage local; /* outer addresses and UDP ports, AF_INET or AF_INET6 */
    struct sockaddr_storage remote;
    bool udp_encapsulated; /* RFC 3948; the user plane can do nothing else */
    bool standby;   /* it sends only from ORDER_USE_SA on, or the first authentic packet that comes
                       in by it, or where no other pair can */
    uint64_t dscps; /* bit n: the host's packets with DSCP n are to leave by this pair (RFC 4301
                       4.1); 0: it is for all that no other pair is named for. User plane alone */
    uint16_t mtu;   /* an inner packet whose ESP packet fits the path */
    bool copy_dscp; /* of inner packets to outer ones */
    bool ecn;       /* RFC 6040, normal mode; else the outer packets have none */
    Lifetime soft;
    Lifetime hard;
    size_t n_addresses;
    InnerAddress addresses[DATAPLANE_ADDRESSES_MAX];
} SaOrder;

typedef struct Order {
    OrderType type;
    uint32_t number;           /* of the connection's orders; the answer bears it, too */
    uint32_t id;               /* transport, spi_in or interface, where the type has one */
    SaOrder *sa;               /* ORDER_ADD_SA */
    ProtectOrder *protect;     /* ORDER_PROTECT */
    SaPath path;               /* ORDER_MOVE_SA; ORDER_PATH_MTU: its mtu alone */
    DataPlaneMode mode;        /* ORDER_OPEN: never DATAPLANE_NONE */
    InterfaceNames interfaces; /* ORDER_OPEN */
} Order;

/* Releases what order_decode() made. */
void order_deinit(Order *order);

void order_encode(Writer *writer, const Order *order);

/* Reads and checks one order whole. Returns 0, -EBADMSG, -EOPNOTSUPP (a suite that is not in the
 * profile) or -ENOMEM. */
int order_decode(Bytes message, Order *ret);

/* Receives the next order into `message` (ORDER_SIZE_MAX octets), which is wiped once it is read:
 * there may be keys in it. Returns 1 with its descriptor, the caller's to close, in *ret_fd (-1:
 * none came); 0 if the other end has left; or helper_receive()'s -errno, or as order_decode(). */
int order_receive(int channel, Secret *message, Order *ret, int *ret_fd);

typedef enum DataPlaneEventType {
    DATAPLANE_SOFT_LIFETIME, /* time to rekey this SA */
    DATAPLANE_HARD_LIFETIME, /* reached, or sequence numbers used up: the SA carries nothing any
                                more */
    /* Somebody else took away what the SA rests on: it carries nothing any more. */
    DATAPLANE_INTERFACE_GONE, /* deleted, or no longer up */
    DATAPLANE_ADDRESS_GONE,
    DATAPLANE_ROUTE_GONE,
    DATAPLANE_STATE_GONE, /* in the kernel's ESP */
    DATAPLANE_POLICY_GONE,
    DATAPLANE_EVENT_TYPES
} DataPlaneEventType;

typedef struct DataPlaneEvent {
    DataPlaneEventType type;
    uint32_t spi_in;
} DataPlaneEvent;

typedef struct Answer {
    OrderType type; /* of the order that it answers */
    uint32_t number;
    int error;          /* 0 or -errno; the rest but `reason` counts only with 0 */
    Reason reason;      /* with an error: what was found, and to ORDER_OPEN what to do; or empty */
    DataPlaneMode mode; /* ORDER_OPEN: _KERNEL or _USER, what it has become */
    SaCounters sa;
    DataPlaneCounters plane;
    ProtectionCounters protection;
} Answer;

/* What a helper sends: an answer, or (type of the answer being 0) an event. */
typedef struct Report {
    Answer answer;
    DataPlaneEvent event;
} Report;

void answer_encode(Writer *writer, const Answer *answer);
void event_encode(Writer *writer, const DataPlaneEvent *event);

/* Returns 0 or -EBADMSG. */
int report_decode(Bytes message, Report *ret);
