/* What the two halves of the data plane share: the pairs of SAs (dataplane_sas.c) and the links to
 * the helpers that they are ordered from (dataplane.c). */
#pragma once

#include "base/reason.h"
#include "dataplane/dataplane.h"
#include "dataplane/orderlink.h"

typedef enum PlaneState {
    PLANE_LOST,    /* the timer opens it again */
    PLANE_OPENING, /* tred-net and tred-esp have been asked */
    PLANE_OPEN,
} PlaneState;

/* A pair of SAs. */
typedef struct PlaneSa {
    uint32_t spi_in;
    uint64_t cookie; /* of its orders; SPIs may come again */
    const Transport *transport;
    SaOrder *order; /* while it is being added: what tred-net is still to be told; no keys */
    uint64_t deadline;
    SaAdded added; /* NULL once it was told */
    void *userdata;
    SaCounters counters;
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
    uint64_t retry_us;
    bool opened_before;
    bool net_ready, esp_ready; /* while PLANE_OPENING: who has answered */
    bool tun_open;
    uint64_t last_cookie;
    uint32_t last_transport_id;
    size_t n_transports;
    PlaneTransport transports[DATAPLANE_TRANSPORTS_MAX];
    size_t n_sas;
    PlaneSa sas[DATAPLANE_SAS_MAX];
    size_t n_counting; /* answers that dataplane_count() waits for */
    DataPlaneCounted counted;
    void *counted_userdata;
    DataPlaneCounters counters;
    SaCounters ended; /* the sum over those that were */
    size_t n_leaving;
    PlaneLeaving leaving[DATAPLANE_SAS_MAX];
};

/* The pair with that SPI, or with that cookie; NULL: there is none (any more). */
PlaneSa *plane_sa_find(DataPlane *plane, uint32_t spi_in);
PlaneSa *plane_sa_of_cookie(DataPlane *plane, uint64_t cookie);

/* Forgets a pair and, if it was still being added, tells what has become of that. */
void plane_sa_forget(DataPlane *plane, PlaneSa *sa, int error);
