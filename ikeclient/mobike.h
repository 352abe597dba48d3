/* MOBIKE (RFC 4555) as its initiator: an IKE SA and its Child SAs go on from another address. */
#pragma once

#include "ikeclient/sa.h"

/* Where a request of the peer's came from, and where to. */
typedef struct MobikePath {
    const Endpoint *sender;
    const Endpoint *local;
} MobikePath;

/* Adds what the answer to an INFORMATIONAL request owes it: its COOKIE2 (RFC 4555 3.7), and
 * UNEXPECTED_NAT_DETECTED where NO_NATS_ALLOWED names other addresses than `path` (3.9). */
void mobike_answer(const IkePayloads *request, const MobikePath *path, IkeChain *chain);

/* ---- on an IKE SA ---- */

/* The network has changed. If this host reaches the SeGW from another address now, the SA moves
 * there; or, if the SeGW does not know MOBIKE, another one is to take its place. If it reaches it
 * from none, nothing is lost yet. */
void mobike_look(IkeSa *sa);

/* Moves the SA, which supports MOBIKE, to a new socket: behind a NAT that is a new mapping. */
void mobike_move(IkeSa *sa);

void mobike_stop(IkeSa *sa);
