/* What the halves of the data plane share: the pairs of SAs (dataplane_sas.c) and the links to the
 * helpers that they are ordered from (dataplane.c). */
#pragma once

#include "base/reason.h"
#include "dataplane/dataplane.h"
#include "dataplane/orderlink.h"

typedef enum PlaneState {
    PLANE_LOST,    /* the timer opens it again */
    PLANE_OPENING, /* tred-net and tred-esp have been asked */
    PLANE_OPEN,
} PlaneState;

/* One dataplane_move_sas(). */
typedef struct PlaneMove {
    size_t pending; /* pairs that have not moved yet */
    int error;      /* the first one */
    Reason why;
    SasMoved moved;
    void *userdata;
} PlaneMove;

/* A pair of SAs. */
typedef struct PlaneSa {
    uint32_t spi_in;
    uint64_t cookie; /* of its orders, as SPIs may come again: plane_interface_of() it */
    const Transport *transport;
    EspSuite suite;
    SaPath path;    /* as tred-net was told */
    SaOrder *order; /* while it is being added: what tred-net is still to be told; no keys */
    uint64_t deadline;
    SaAdded added; /* NULL once it was told */
    void *userdata;
    SaUsed used; /* NULL once it was told */
    void *used_userdata;
    PlaneMove *move;   /* while it moves */
    unsigned n_moving; /* answers that it waits for then */
    SaCounters counters;
    uint64_t soft_seconds; /* as settled; 0: no limit */
} PlaneSa;

/* A pair that is being removed, and is asked once more what it has counted. */
typedef struct PlaneLeaving {
    uint64_t cookie;
    SaCounters counted; /* is in the sum already */
} PlaneLeaving;

typedef struct PlaneTransport {
    uint32_t id;
    const Transport *transport;
} PlaneTransport;

struct DataPlane {
    const DataPlaneOptions *options;
    PlaneState state;
    DataPlaneMode mode; /* what it has become */
    Reason reason;      /* why it was lost */
    OrderLink *net;
    OrderLink *esp;    /* with DATAPLANE_USER */
    int encapsulation; /* transport_hold_encapsulation() */
    sd_event_source *retry;
    sd_event_source *pmtu_timer; /* plane_pmtu_follow() */
    uint64_t retry_us;
    bool opened_before;
    uint64_t open_deadline;    /* while PLANE_OPENING: for all that is asked of both */
    bool net_ready, esp_ready; /* while PLANE_OPENING: who has answered */
    bool tun_open[DATAPLANE_INTERFACES_MAX];
    uint64_t last_cookie; /* but for the interface */
    uint32_t last_transport_id;
    size_t n_transports;
    PlaneTransport transports[DATAPLANE_TRANSPORTS_MAX];
    size_t n_sas;
    PlaneSa sas[DATAPLANE_SAS_MAX];
    size_t n_counting; /* answers that dataplane_count() waits for */
    DataPlaneCounted counted;
    void *counted_userdata;
    DataPlaneCounters counters; /* of this tred-esp */
    DataPlaneCounters before;   /* the sum over tred-esps that were */
    SaCounters ended;           /* the sum over pairs that were */
    size_t n_leaving;
    PlaneLeaving leaving[DATAPLANE_SAS_MAX];
    ProtectionCounters protection;
};

/* The pair with that SPI, or with that cookie; NULL: there is none (any more). */
PlaneSa *plane_sa_find(DataPlane *plane, uint32_t spi_in);
PlaneSa *plane_sa_of_cookie(DataPlane *plane, uint64_t cookie);

/* The place of the interface that a pair of this cookie is for, whether it is there or not. */
size_t plane_interface_of(uint64_t cookie);

/* The plane is lost: what tred-esp has counted goes into the sum. */
void plane_counters_restart(DataPlane *plane);

/* Forgets a pair and, if it was still being added or moved, tells what has become of that. */
void plane_sa_forget(DataPlane *plane, PlaneSa *sa, int error);

/* A pair has moved, or (error) won't; the last one has it told. */
void plane_move_done(PlaneMove *move, int error, const char *why);

/* Has tred-esp know a transport, under the number in *ret_id. Returns 0, -ENOSPC or another
 * -errno. */
int plane_transport_open(DataPlane *plane, const Transport *transport, uint64_t deadline,
                         uint32_t *ret_id);

/* Closes the transport in tred-esp if no SA uses it. */
void plane_transport_release(DataPlane *plane, const Transport *transport);

/* Has the kernel take ESP off this transport's socket itself: for it, and not for us, is what comes
 * in there. Returns 0 or -errno. */
int plane_transport_divert(const Transport *transport);

/* Fills in what the route to the SeGW says: our outer address, where it is not known, and how large
 * an inner packet fits. Returns 0 or -errno. */
int plane_path_complete(SaPath *path, const EspSuite *suite);

/* Follows what the kernel knows of the path MTU (RFC 4301 8.2.1: by ICMP messages that quote a
 * packet of ours, and for ten minutes), as long as there are pairs of SAs, and has tred-net fit the
 * interface to it: so the kernel tells whoever sends more. */
void plane_pmtu_follow(DataPlane *plane);
