/* The requests that we make on one IKE SA, as a queue of tasks. A task is a request, what tred has
 * to do before it can be made, a handler for its response, its retransmission, and its end. The
 * window is 1 (RFC 7296 2.3): the first task of the queue is under way, the others wait. */
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

/* Hands it tred's answer to a call that went along with another (flight.c). */
void task_replied(Task *task, const TreReply *reply);

/* Has tred seal a request, and sends it. 0 or a negative errno. */
int task_seal(Task *task, uint8_t exchange_type, uint8_t first, Bytes payloads);

/* Sends a request that is in clear, and watches it from the start. 0 or a negative errno. */
int task_send_clear(Task *task, Bytes message);

/* The response is there, and is the right one: the request is not sent again. */
void task_answered(Task *task);

/* The task has come to its end: frees it, and begins the next one. 0 or a negative errno. */
int task_done(Task *task);

/* ---- for what comes in ---- */

/* True if the request that is out waits for a response with that Message ID. */
bool tasks_await(const IkeSa *sa, uint32_t message_id);

/* Hands an opened response to the task under way. False if that does not wait for it any more. */
bool tasks_response(IkeSa *sa, const TreReply *opened);
