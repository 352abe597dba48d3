/* The SeGW's own requests once the SA is up (RFC 7296 1.4): what we answer, and what has happened.
 */
#pragma once

#include "ikeclient/sa.h"
#include "ikewire/message.h"

/* Reads the opened request, `children` being our Child SAs, and writes the payload chain of the
 * answer (often empty); *ret_first is its first payload's type. Every request gets an answer, also
 * one that we can't read. */
void peer_request_answer(uint8_t exchange_type, uint8_t first, Bytes payloads,
                         const ChildSa *children, Writer *writer, uint8_t *ret_first,
                         PeerRequest *ret);

/* ---- on an IKE SA ---- */

/* Takes up an opened request of the peer's, `datagram` from `sender`, which is handed over. */
void peer_request_received(IkeSa *sa, const TreReply *opened, uint8_t *datagram, size_t size,
                           const Endpoint *sender);

/* True if `datagram` is the request that was answered last; its sender then got the same answer
 * again, if that is not held. */
bool peer_request_repeated(IkeSa *sa, Bytes datagram, const Endpoint *sender);

void peer_queue_init(IkeSa *sa);
void peer_queue_deinit(IkeSa *sa);

/* With `hold`, the answer to a Delete waits until this is called without. */
void peer_queue_hold_delete(IkeSa *sa, bool hold);
