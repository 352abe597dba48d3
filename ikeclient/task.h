/* The exchanges on one IKE SA: our requests, as a queue of tasks, and the peer's, one at a time. A
 * task is a request, what tred has to do before it can be made, a handler for its response, its
 * retransmission, and its end. The window is 1 (RFC 7296 2.3): the first task of the queue is under
 * way, the others wait. */
#pragma once

#include "ikeclient/sa.h"

void tasks_init(IkeSa *sa);
void tasks_deinit(IkeSa *sa);

/* Adds a task, zeroed beyond `Task`, to the end of the queue; begins it if none is under way. 0,
 * -ENOMEM, or what its beginning returned. */
int task_add(IkeSa *sa, const TaskKind *kind);

/* The first task of that kind, under way or waiting; NULL: there is none. */
Task *task_find(const IkeSa *sa, const TaskKind *kind);

/* Drops the tasks that wait. */
void tasks_drop_waiting(IkeSa *sa);

/* ---- for the task under way ---- */

/* Makes a call for the SA's exchange, where it names no other; the answer goes to `done` or
 * `refused`. 0 or a negative errno.
 */
int task_call(Task *task, TreCall *call);

/* Hands it tred's answer to a call that went along with another. */
void task_replied(Task *task, const TreReply *reply);

/* Has tred seal a request, and sends it. 0 or a negative errno. */
int task_seal(Task *task, uint8_t exchange_type, uint8_t first, Bytes payloads);

/* Sends a request that is in clear, and watches it from the start. 0 or a negative errno. */
int task_send_clear(Task *task, Bytes message);

/* The task has come to its end: frees it, and begins the next one. 0 or a negative errno. */
int task_done(Task *task);

/* ---- for what comes in ---- */

/* True if the request that is out waits for a response with that Message ID. */
bool tasks_await(const IkeSa *sa, uint32_t message_id);

/* Hands an opened response to the task under way. False if that does not wait for it any more. */
bool tasks_response(IkeSa *sa, const TreReply *opened);

/* ---- calls to tred that go out at once: nothing is waited for that follows from the first of them
 * ---- */

/* One that is free; NULL: all are under way. */
Flight *flight_new(IkeSa *sa);

/* Makes the calls. 0, or a negative errno: the flight is freed, and what tred was asked already is
 * of no consequence. */
int flight_start(Flight *flight, const TreCall *lead, FlightHandler handler, const TreCall *along,
                 size_t n_along);

/* Drops what it waits for. A free one is fine. */
void flight_free(Flight *flight);

/* ---- the peer's request that is being answered, or was answered last: the answer is sealed, sent,
 * kept for when the request comes again, or held back (RFC 7296 2.1) ---- */

void peer_queue_init(IkeSa *sa);
void peer_queue_deinit(IkeSa *sa);

/* `datagram` from `sender`, which is handed over, is the request that is answered now. */
void peer_queue_take(IkeSa *sa, uint8_t *datagram, size_t size, const Endpoint *sender);

/* True if `datagram` is the request that was answered last, or is being answered; its sender then
 * got the same answer again, if there is one and it is not held. Cut into other fragments it has
 * the answer go a few times to where the request was first from. */
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
