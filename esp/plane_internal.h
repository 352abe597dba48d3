/* What the two halves of the plane share: its orders (plane_orders.c), and its packets (plane.c).
 */
#pragma once

#include "esp/io.h"
#include "esp/offload.h"
#include "esp/plane.h"
#include "esp/sa.h"

typedef struct EspSocket {
    uint32_t id;
    int fd;
} EspSocket;

struct Plane {
    int tuns[DATAPLANE_INTERFACES_MAX]; /* -1: not open */
    size_t n_transports;
    EspSocket transports[DATAPLANE_TRANSPORTS_MAX];
    int leaving; /* the socket of a transport that was closed after its SAs had moved; or -1 */
    uint64_t leaving_until_ms;
    size_t n_sas;
    Sa *sas[DATAPLANE_SAS_MAX]; /* the newest, or last told to send, last */
    DataPlaneCounters counters;
    uint64_t now_ms;
    Inbox *inbox;
    Outbox *outbox;
    Coalescer coalescer;
    size_t coalesced_for; /* the interface that what is in it goes to */
    uint8_t packet[TUN_PACKET_MAX];
};

/* n_sas: there is no such SA. */
size_t plane_sa_index(const Plane *plane, uint32_t spi_in);

/* Has an SA send, as the newest and not in standby. */
void plane_use_sa(Plane *plane, size_t index);

/* The interface whose TUN has this descriptor; DATAPLANE_INTERFACES_MAX: none. */
size_t plane_interface_of(const Plane *plane, int fd);

/* True if the host can be handed what an SA lets in. */
bool plane_delivers(const Plane *plane, const Sa *sa);

/* Returns 0, -ENOENT if it is not open, or -EINVAL. */
int plane_close_tun(Plane *plane, size_t interface);

/* Closes the socket that was left when its time is over. */
void plane_leave_if_over(Plane *plane);

/* Receives by a socket until it is empty, but no more than `batch` times. Returns 0 or -errno if
 * the crypto library is broken. */
int plane_forward_in(Plane *plane, int fd, unsigned batch);
