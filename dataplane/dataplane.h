/* What tred asks of a data plane, whichever it is: one network interface with the assigned inner
 * addresses, and pairs of ESP SAs behind it. */
#pragma once

#include "base/cleanup.h"
#include "crypto/secret.h"
#include "crypto/suite.h"
#include "dataplane/transport.h"
#include "ikewire/payload.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

typedef enum DataPlaneMode {
    DATAPLANE_AUTO,   /* the kernel if it can install an ESP state, else user */
    DATAPLANE_KERNEL, /* XFRM */
    DATAPLANE_USER,   /* TUN, and ESP in UDP in the helper tred-esp */
    DATAPLANE_NONE,   /* authentication without traffic */
} DataPlaneMode;

enum {
    DATAPLANE_SAS_MAX = 16,
    DATAPLANE_TRANSPORTS_MAX = 4,
    DATAPLANE_ADDRESSES_MAX = 4,
    DATAPLANE_ERROR_SIZE = 512,
};

/* Limits of an SA pair, each direction counted by itself; 0: no limit. */
typedef struct Lifetime {
    uint64_t bytes; /* of inner packets */
    uint64_t packets;
    uint64_t seconds; /* since add_sa */
} Lifetime;

/* One inner address that CFG_REPLY assigned. */
typedef struct InnerAddress {
    uint8_t size; /* 4 or 16 octets */
    uint8_t prefix_length;
    uint8_t octets[16];
} InnerAddress;

/* Keys of one direction; borrowed. */
typedef struct SaKeys {
    const Secret *encr;  /* with AEAD the salt stands behind the key */
    const Secret *integ; /* NULL with AEAD */
} SaKeys;

typedef struct SaConfig {
    uint32_t spi_in;  /* ours: the peer sends to it */
    uint32_t spi_out; /* the peer's */
    EspSuite suite;
    SaKeys in;
    SaKeys out;
    const IkeTs *ts_local; /* borrowed */
    const IkeTs *ts_remote;
    struct sockaddr_storage local; /* outer addresses and UDP ports, AF_INET or AF_INET6 */
    struct sockaddr_storage remote;
    bool udp_encapsulated;      /* RFC 3948; the user plane can do nothing else */
    const Transport *transport; /* must outlive the SA; NULL without encapsulation */
    Lifetime soft;
    Lifetime hard;
} SaConfig;

typedef struct SaCounters {
    uint64_t packets_in; /* delivered to the interface */
    uint64_t bytes_in;
    uint64_t packets_out;
    uint64_t bytes_out;
    uint64_t replays;                 /* seen before, or left of the window */
    uint64_t authentication_failures; /* ICV wrong */
    uint64_t malformed;               /* ESP or inner packet does not parse */
    uint64_t selector_drops_in;       /* authentic, but outside of the selectors */
    uint64_t idle_in_ms;              /* since the last authentic packet (or since add_sa) */
    uint64_t idle_out_ms;
} SaCounters;

/* What belongs to the plane and to no SA. */
typedef struct DataPlaneCounters {
    uint64_t unknown_spi;
    uint64_t no_sa_out;         /* packets of the interface that no SA's selectors take in */
    uint64_t send_failures;     /* towards the peer */
    uint64_t delivery_failures; /* towards the interface */
} DataPlaneCounters;

typedef enum DataPlaneEventType {
    DATAPLANE_SOFT_LIFETIME, /* time to rekey this SA */
    DATAPLANE_HARD_LIFETIME, /* reached, or sequence numbers used up: the SA carries nothing any
                                more */
    DATAPLANE_LOST,          /* the plane itself failed: no SA works any more; close it */
} DataPlaneEventType;

typedef struct DataPlaneEvent {
    DataPlaneEventType type;
    uint32_t spi_in; /* 0 for DATAPLANE_LOST */
} DataPlaneEvent;

/* Called from the event loop, never from within a call below. */
typedef void (*DataPlaneCallback)(const DataPlaneEvent *event, void *userdata);

typedef struct DataPlane DataPlane;

typedef struct DataPlaneOptions {
    DataPlaneMode mode;
    const char *interface; /* at most 15 characters: "segw0" */
    const char *helper;    /* absolute path of tred-esp, for user */
    sd_event *event;
    DataPlaneCallback callback;
    void *userdata;
} DataPlaneOptions;

/* Opens a plane, and clears what the last one of this interface name left behind. With _AUTO it
 * decides which. Returns 0, or -errno with `error` (DATAPLANE_ERROR_SIZE octets) saying what was
 * found and what to do: -EOPNOTSUPP the kernel can't, -EPERM CAP_NET_ADMIN is missing, -EEXIST the
 * interface is not ours. */
int dataplane_open(const DataPlaneOptions *options, DataPlane **ret, char *error);

/* Removes every SA, route, address and interface that it made. */
void dataplane_close(DataPlane *plane);
DEFINE_POINTER_CLEANUP(DataPlane, dataplane_close);

/* "kernel", "user" or "none". */
const char *dataplane_name(const DataPlane *plane);
const char *dataplane_interface(const DataPlane *plane);

/* True if the plane holds an SA's keys itself, so that the caller's have no use after add_sa. */
bool dataplane_keeps_keys(const DataPlane *plane);

/* Adds a pair of SAs. The newest pair whose selectors take a packet in sends it; all pairs receive.
 * The first pair brings the interface up, with `addresses`, a route for each selector of ts_remote,
 * and an MTU for which the ESP packet fits the path; a later one adds what it brings along. Returns
 * 0, -EEXIST (spi_in is in use), -ENOSPC (DATAPLANE_SAS_MAX), -EOPNOTSUPP (this plane can't carry
 * it), or another -errno. */
int dataplane_add_sa(DataPlane *plane, const SaConfig *config, const InnerAddress *addresses,
                     size_t n_addresses);

/* Removes a pair and wipes its keys. The last one takes addresses, routes and interface with it.
 * Returns 0, -ENOENT, or another -errno. */
int dataplane_remove_sa(DataPlane *plane, uint32_t spi_in);

/* Returns 0, -ENOENT, or another -errno. */
int dataplane_sa_counters(DataPlane *plane, uint32_t spi_in, SaCounters *ret);
int dataplane_counters(DataPlane *plane, DataPlaneCounters *ret);
