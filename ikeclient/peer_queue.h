/* The peer's request that is being answered, or was answered last: the answer is sealed, sent, kept
 * for when the request comes again, or held back (RFC 7296 2.1). */
#pragma once

#include "ikeclient/sa.h"

void peer_queue_init(IkeSa *sa);
void peer_queue_deinit(IkeSa *sa);

/* `datagram` from `sender`, which is handed over, is the request that is answered now. */
void peer_queue_take(IkeSa *sa, uint8_t *datagram, size_t size, const Endpoint *sender);

/* True if `datagram` is the request that was answered last, or is being answered; its sender then
 * got the same answer again, if there is one and it is not held. */
bool peer_queue_repeats(IkeSa *sa, Bytes datagram, const Endpoint *sender);

/* Has tred seal the answer; `handler` is called with the peer's queue. 0 or a negative errno. */
int peer_queue_seal(IkeSa *sa, uint8_t exchange_type, uint8_t first, Bytes payloads,
                    TreHandler handler);

/* Keeps the answer that tred has sealed. 0 or a negative errno. */
int peer_queue_keep(IkeSa *sa, const TreReply *sealed);

/* The handler of an answer that is whole once it is sealed: keeps it, and sends it, unless it is
 * one that is held. `userdata` is the peer's queue. */
void peer_queue_sealed(void *userdata, const TreReply *reply);

/* Sends it; then what follows from that comes about. */
void peer_queue_send(IkeSa *sa);

/* tred did not seal an answer: ends the SA. */
void peer_queue_unsealed(IkeSa *sa, const TreReply *reply);

/* With `hold`, the answer to a Delete waits until this is called without. */
void peer_queue_hold_delete(IkeSa *sa, bool hold);
