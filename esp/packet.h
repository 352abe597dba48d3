/* The inner IP packet, as far as the data plane looks into it: what the selectors of an SA are
 * matched against (RFC 4301 4.4.1.1), and where its headers end. And the octet of DSCP and ECN (RFC
 * 2474 3, RFC 3168 5): what of the inner packet's the outer one shows, and what becomes of the
 * inner one's ECN when the tunnel ends (RFC 6040). */
#pragma once

#include "base/bytes.h"
#include "ikewire/payload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Packet {
    Bytes bytes;      /* exactly the packet: trailing octets beyond its own length are cut off */
    uint8_t version;  /* 4 or 6 */
    uint8_t protocol; /* of the upper layer, behind IPv6 extension headers */
    bool fragment;    /* part of a fragmented packet: never segmented nor coalesced */
    bool has_ports; /* false: the ports are out of sight (not the first fragment, other protocol) */
    uint16_t source_port; /* for ICMP both "ports" are type << 8 | code (RFC 7296 3.13.1) */
    uint16_t destination_port;
    Bytes source; /* 4 or 16 octets */
    Bytes destination;
    size_t header_size; /* offset of the upper layer */
} Packet;

/* Reads an IPv4 or IPv6 packet; views in *ret borrow from `bytes`. Returns 0 or -EBADMSG. */
int packet_parse(Bytes bytes, Packet *ret);

/* How narrow those of the selectors are that take in a packet of the host: by how many bits of both
 * addresses, and by protocol and ports, of those that take it in the narrowest. -1: none do. */
int packet_narrowness(const Packet *packet, const IkeTs *local, const IkeTs *remote);

/* True if the packet lies within one of `local` on our side and one of `remote` on the peer's. */
bool packet_matches(const Packet *packet, const IkeTs *local, const IkeTs *remote, bool outbound);

enum { DSCP_SHIFT = 2 }; /* in the octet: DSCP, then ECN */

enum { ECN_NOT_ECT = 0, ECN_ECT_1 = 1, ECN_ECT_0 = 2, ECN_CE = 3, ECN_MASK = 3 };

/* The octet in the IP header at `octets`, which is whole, of IP version 4 or 6. */
uint8_t traffic_class_read(const uint8_t *octets, uint8_t version);

/* The outer packet's, around an inner one with `inner`: its DSCP if that is to be copied, and in
 * normal mode its ECN (RFC 6040 4.1); else zeros. */
uint8_t traffic_class_outer(uint8_t inner, bool copy_dscp, bool ecn);

enum { ECN_DROP = -1 };

/* The ECN that the inner packet goes on with, of the ECN of both; ECN_DROP where a router marked
 * what its sender said can't be marked (RFC 6040 4.2, figure 4). */
int ecn_combine(uint8_t inner, uint8_t outer);

/* Sets the ECN in that header, and the IPv4 checksum with it. */
void ecn_write(uint8_t *octets, uint8_t version, uint8_t ecn);
