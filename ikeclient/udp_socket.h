/* A UDP socket towards a SeGW, with the non-ESP marker or without (RFC 7296 2.23, RFC 3948). */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"
#include "ikeclient/endpoint.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

enum { UDP_SOCKET_MARKER_SIZE = 4 }; /* RFC 7296 2.23: four zero octets, where ESP has its SPI */

/* None is connected: what comes from another port or address of the SeGW's is worth a look. */
typedef struct UdpSocket {
    int fd; /* -1: there is none */
    bool marker;
    sd_event_source *source;
    Endpoint local;
    Endpoint remote;
} UdpSocket;

/* Bound to one address, as NAT detection needs to know which that is; without marker. 0, or the
 * negative errno of a socket call. */
int udp_socket_open(const Endpoint *remote, UdpSocket *ret);

/* The same by a duplicate of `fd`, which is bound, with the marker. */
int udp_socket_adopt(int fd, const Endpoint *remote, UdpSocket *ret);

/* It and its source. One that is not there is fine. */
void udp_socket_close(UdpSocket *socket_);

/* The address by which the kernel would send to `remote`, with port 0. 0, or a negative errno:
 * there is none. */
int udp_source(const Endpoint *remote, Endpoint *ret);

/* Takes the marker off, where there is one. False for what is not IKE: keepalives, ESP. */
bool udp_socket_strip(const UdpSocket *socket_, Bytes *datagram);

/* Reads the queue of errors empty, or the socket would stay readable for them. Returns the last
 * one, an errno; 0: there is none. */
int udp_socket_error(int fd);

/* Sends a message, with the marker where it has one. What sendmsg() returns, with errno. */
ssize_t udp_socket_send(const UdpSocket *way, Bytes message, const Endpoint *to);

/* Sends one 0xFF octet (RFC 3948 2.3). One that is lost is like one that was sent: nobody answers
 * it. */
void udp_socket_keep_alive(const UdpSocket *way);

/* Octets of an IP packet around a message. */
size_t udp_socket_overhead(const UdpSocket *way);
