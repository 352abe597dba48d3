/* The answers to an IKE_SA_INIT request. Nobody vouches for one: all that could be the peer's are
 * kept until one of them turns out to be (RFC 7296 2.4). */
#pragma once

#include "ikeclient/sa.h"

/* Keeps a copy of the request, in place of the one before. 0 or -ENOMEM. */
int init_keep_request(InitState *init, Bytes request);

/* True if it could be the peer's answer, by its sender; else why not is kept for the report. */
bool init_answer_is_from_peer(IkeSa *sa, const Endpoint *sender);

/* Keeps a copy of an answer, as the last one of sa->init. NULL, or why it is of no use. */
const char *init_answer_take(IkeSa *sa, Bytes datagram, const InitResponse *judged);

void init_answer_drop(InitState *init, size_t index);

/* Tells what came instead of an answer that leads on, and what to do about it. */
void init_answer_hint(IkeSa *sa, const InitResponse *judged);
