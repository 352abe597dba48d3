/* What tred and its helper tred-esp say to each other over their socket pair (SOCK_SEQPACKET; one
 * message each): tred sends orders, the helper answers each one in turn, and reports events in
 * between. */
#pragma once

#include "dataplane/dataplane.h"

enum {
    ORDER_SIZE_MAX = 4096,
    ORDER_FD = 3, /* where the helper finds its end */
};

typedef enum OrderType {
    ORDER_OPEN_TUN = 1, /* with the TUN's descriptor */
    ORDER_CLOSE_TUN,
    ORDER_OPEN_TRANSPORT,  /* with the ESP socket's descriptor; `id` is tred's to choose */
    ORDER_CLOSE_TRANSPORT, /* its SAs go with it */
    ORDER_ADD_SA,
    ORDER_REMOVE_SA,
    ORDER_SA_COUNTERS,
    ORDER_PLANE_COUNTERS,
    ORDER_TYPES
} OrderType;

/* ORDER_ADD_SA. The secrets are owned where it was decoded, borrowed where it is encoded. */
typedef struct SaOrder {
    uint32_t spi_in;
    uint32_t spi_out;
    uint32_t transport;
    EspSuite suite;
    Secret *encr_in, *integ_in;
    Secret *encr_out, *integ_out;
    IkeTs ts_local;
    IkeTs ts_remote;
    struct sockaddr_storage remote;
    Lifetime soft;
    Lifetime hard;
} SaOrder;

typedef struct Order {
    OrderType type;
    uint32_t id; /* transport or spi_in, where the type has one */
    SaOrder *sa; /* ORDER_ADD_SA */
} Order;

/* Releases what order_decode() made. */
void order_deinit(Order *order);

void order_encode(Writer *writer, const Order *order);

/* Reads and checks one order whole. Returns 0, -EBADMSG, -EOPNOTSUPP (a suite that is not in the
 * profile) or -ENOMEM. */
int order_decode(Bytes message, Order *ret);

typedef struct Answer {
    OrderType type; /* of the order that it answers */
    int error;      /* 0 or -errno; the rest counts only with 0 */
    SaCounters sa;
    DataPlaneCounters plane;
} Answer;

/* What the helper sends: an answer, or (type of the answer being 0) an event. */
typedef struct Report {
    Answer answer;
    DataPlaneEvent event;
} Report;

void answer_encode(Writer *writer, const Answer *answer);
void event_encode(Writer *writer, const DataPlaneEvent *event);

/* Returns 0 or -EBADMSG. */
int report_decode(Bytes message, Report *ret);
