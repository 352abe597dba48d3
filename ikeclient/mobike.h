/* MOBIKE (RFC 4555) as its initiator: an IKE SA and its Child SAs go on from another address. */
#pragma once

#include "ikeclient/nat_mapping.h"

/* Adds what the answer to an INFORMATIONAL request that came by `path` owes it: its COOKIE2 (RFC
 * 4555 3.7), NAT_DETECTION_* where it has them (3.8), and UNEXPECTED_NAT_DETECTED where
 * NO_NATS_ALLOWED names other addresses (3.9). NULL: COOKIE2 alone. */
void mobike_answer(const IkePayloads *request, const MobikePath *path, IkeChain *chain);

/* ---- on an IKE SA ---- */

/* The network has changed. If this host reaches the SeGW from another address now, the SA moves
 * there; or, if the SeGW does not know MOBIKE, another one is to take its place. If it reaches it
 * from none, or from inside a tunnel alone, nothing is lost yet. */
void mobike_look(IkeSa *sa);

/* Moves the SA, which supports MOBIKE, to a new socket: behind a NAT that is a new mapping. */
void mobike_move(IkeSa *sa);

/* The SeGW has answered a liveness check: where it sees us elsewhere than before, as a NAT between
 * has another mapping, it is told to send there (3.8). 0 or a negative errno. */
int mobike_follow_nat(IkeSa *sa, const IkePayloads *answer);

void mobike_stop(IkeSa *sa);

/* True if the SeGW has assigned this address by it. */
bool mobike_has_inner(const IkeSa *sa, const Endpoint *address);

/* ---- the addresses that both ends have beside those in use ---- */

/* This host's, without the one in use and the inner ones of all tunnels: what the SeGW is told (RFC
 * 4555 3.4). None where they can't be found out. */
void mobike_own_addresses(const IkeSa *sa, Addresses *ret);

/* The SeGW has these now, beside `sender`, where it said so from. If the one in use is none of
 * them, the SA moves to one that is. */
void mobike_take_addresses(IkeSa *sa, const Addresses *addresses, const Endpoint *sender);

/* The request that is out has not been answered for a while: it is sent to all other addresses of
 * the SeGW's, too. Its answer shows which path there is (3.10). */
void mobike_try_others(IkeSa *sa);

/* The answer to the request that is out has come from there, and is the SeGW's: the SA moves if it
 * was tried there. */
void mobike_answered_from(IkeSa *sa, const Endpoint *sender);
