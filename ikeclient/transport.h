/* UDP to one SeGW: an ephemeral port to its port 500, and from IKE_AUTH on another one to its port
 * 4500, with the non-ESP marker (RFC 7296 2.23, RFC 3948); and the datagrams that go it. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"
#include "ikeclient/endpoint.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

/* The datagrams of one message, kept so that they can be sent again bit for bit (RFC 7296 2.1). */
enum { DATAGRAMS_MAX = 128 }; /* fragments of one message that tred makes */

typedef struct Datagrams {
    size_t count;
    struct {
        uint8_t *data;
        size_t size;
    } items[DATAGRAMS_MAX];
} Datagrams;

void datagrams_deinit(Datagrams *datagrams);

/* Replaces what was kept by copies of `views`. 0, -ENOMEM, or -EMSGSIZE for more than
 * DATAGRAMS_MAX. */
int datagrams_set(Datagrams *datagrams, const Bytes *views, size_t count);

/* ---- the way ---- */

typedef struct Transport Transport;

/* A datagram, without marker, and whom it says to be from; nobody has vouched for either. Borrowed.
 * True if it was for who is called; else the next one who shares the way is asked. Must not leave
 * the transport. */
typedef bool (*TransportReceive)(void *userdata, Bytes datagram, const Endpoint *sender);

/* An ICMP error, or a send that failed (errno): a hint, no proof (RFC 7296 2.4). */
typedef void (*TransportHint)(void *userdata, int error);

/* Opens the way to `segw`. 0, or the negative errno of a socket call. */
int transport_new(sd_event *event, const Endpoint *segw, TransportReceive receive,
                  TransportHint hint, void *userdata, Transport **ret);
void transport_free(Transport *transport);
DEFINE_POINTER_CLEANUP(Transport, transport_free);

/* Another one is told what comes in and what fails: an IKE SA and the one that it was rekeyed from
 * go one way (RFC 7296 2.6 tells them apart by their SPIs). 0 or -ENOMEM. */
int transport_share(Transport *transport, TransportReceive receive, TransportHint hint,
                    void *userdata);

/* Who has that userdata is told no more; with the last one the transport is freed. */
void transport_leave(Transport *transport, const void *userdata);

/* Moves to `remote` with the marker, through the socket `fd` that tred has opened towards that
 * address (a duplicate is kept). What comes in on the first socket, which is without marker, is
 * still handed on: it may be another response to IKE_SA_INIT. 0 or a negative errno. */
int transport_float(Transport *transport, int fd, const Endpoint *remote);

/* Closes the first socket, where there is another: nothing more is waited for there. */
void transport_settle(Transport *transport);

/* Sends one 0xFF octet (RFC 3948 2.3) whenever nothing was sent for `seconds`; 0: never. */
int transport_keep_alive(Transport *transport, uint64_t seconds);

/* Sends a message, in as many datagrams as it takes, to the SeGW, or fails by the hint handler: the
 * retransmission timer sees to it. */
void transport_send_all(Transport *transport, const Datagrams *datagrams);

/* The same to where a request came from: its answer goes there, whatever port that is (RFC 7296
 * 2.11). */
void transport_send_all_to(Transport *transport, const Datagrams *datagrams, const Endpoint *to);

/* Sends to another address of the SeGW's, with the marker, from the address by which the kernel
 * reaches that, which is `source`: an answer shows that there is a path (RFC 4555 3.10). It takes
 * no part in anything else until transport_float() is called. Sockets for it are kept, TRIES_MAX of
 * them at most, until transport_end_tries(). What fails is passed over. */
enum { TRIES_MAX = 8 };
void transport_try(Transport *transport, const Datagrams *datagrams, const Endpoint *to,
                   const Endpoint *source);
void transport_end_tries(Transport *transport);

const Endpoint *transport_local(const Transport *transport);
const Endpoint *transport_remote(const Transport *transport);

typedef enum TransportLook {
    TRANSPORT_SAME,      /* the kernel would send to the SeGW from the address in use */
    TRANSPORT_ELSEWHERE, /* from another one */
    TRANSPORT_NOWHERE,   /* from none */
} TransportLook;

/* `*ret_source` is that address, with port 0. */
TransportLook transport_look(const Transport *transport, Endpoint *ret_source);

/* The largest IKE message that fits an IP packet of `packet` octets on this way. */
uint32_t transport_max_message(const Transport *transport, uint64_t packet);
