/* The local UDP port that IKE and ESP share (RFC 3948): two sockets bound to it, and the kernel
 * sorts what comes in by its first four octets. The IKE socket goes to ikeclient, the ESP socket to
 * the data plane. */
#pragma once

#include "base/cleanup.h"

#include <stdint.h>
#include <sys/socket.h>

/* Both sockets stay open here as long as the transport lives: the kernel's choice is by the order
 * in which they were bound, and would change if one of them closed. Neither is ever connected: a
 * connected socket would take all of the peer's datagrams before the sorting. */
typedef struct Transport {
    int ike_fd;                    /* datagrams that begin with the non-ESP marker (RFC 3948 2.2) */
    int esp_fd;                    /* all others: ESP, and NAT keepalives */
    struct sockaddr_storage local; /* with the port that the kernel chose */
} Transport;

/* A socket without a port that has the kernel's code for ESP in UDP switched on as long as it is
 * open: the kernel switches by rewriting its code, on all processors, when the first socket that
 * has a use for it comes and when the last goes, which would be twice a connect. -1 where there is
 * none. */
int transport_hold_encapsulation(void);

/* Binds both to the address and port of `local`; port 0 (the usual case) lets the kernel choose one
 * that no other socket has, be it another transport's. Returns 0 or -errno, -EADDRINUSE among them.
 * Who is handed the IKE socket can't change how the kernel sorts (SO_LOCK_FILTER); it could connect
 * the socket or take the program off, which harms none but its own SA. */
int transport_init(Transport *transport, const struct sockaddr_storage *local);

/* Has the ESP socket take in nothing but what comes from the address of `remote`, whose family is
 * that of `local`; the port may be any, as a NAT may give the SeGW another (RFC 7296 2.23).
 * Returns 0 or -errno. */
int transport_take_from(const Transport *transport, const struct sockaddr_storage *remote);

/* Gives the ESP socket the buffers that a Child SA needs, as far as the system's limits
 * (net.core.rmem_max, wmem_max) allow; tred-net goes beyond them. Before, it queues 32 KiB at the
 * most: whoever sends there fills memory that nobody reads. */
void transport_widen(const Transport *transport);

/* Has what is read from the ESP socket come with its octet of DSCP and ECN. Returns 0 or -errno. */
int transport_show_ecn(const Transport *transport);

void transport_deinit(Transport *transport);

/* The largest UDP payload that reaches `remote` without IP fragmentation as far as the kernel knows
 * (path MTU without IP and UDP headers). Returns it, or -errno. */
int transport_payload_max(const struct sockaddr_storage *remote);

/* Fills in the address of `local`, whose port and family stand, by which the host would send to
 * `remote`, if it has none (all zero). Returns 0 or -errno. */
int transport_source(struct sockaddr_storage *local, const struct sockaddr_storage *remote);

/* The size of the address in `address`: of sockaddr_in or sockaddr_in6. */
socklen_t address_size(const struct sockaddr_storage *address);
