/* The SeGW's own requests once the SA is up (RFC 7296 1.4): what we answer, and what has happened.
 */
#pragma once

#include "ikeclient/mobike.h"
#include "ikeclient/sa.h"
#include "ikewire/message.h"

/* Reads the opened request, `children` being our Child SAs and `path` where it
 * came, or NULL, and writes the payload chain of the
 * answer (often empty); *ret_first is its first payload's type. Every request gets an answer, also
 * one that we can't read. CREATE_CHILD_SA is not for here (create_answer.h). */
void peer_request_answer(uint8_t exchange_type, uint8_t first, Bytes payloads,
                         const ChildSa *children, const MobikePath *path, Writer *writer,
                         uint8_t *ret_first, PeerRequest *ret);

/* ---- on an IKE SA ---- */

/* Takes up an opened request of the peer's, `datagram` from `sender`, which is handed over. */
void peer_request_received(IkeSa *sa, const TreReply *opened, uint8_t *datagram, size_t size,
                           const Endpoint *sender);
