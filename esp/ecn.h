/* The octet of DSCP and ECN (RFC 2474 3, RFC 3168 5): what of the inner packet's the outer one
 * shows, and what becomes of the inner one's ECN when the tunnel ends (RFC 6040). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

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
