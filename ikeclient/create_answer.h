/* The peer's CREATE_CHILD_SA requests (RFC 7296 1.3, 2.8, 2.25): what is granted is made, and then
 * answered. */
#pragma once

#include "ikeclient/sa.h"

/* Begins to answer an opened request, which then is in the peer's queue. False if it does not
 * parse: that is answered as for any other. */
bool create_answer_begin(IkeSa *sa, const TreReply *opened);
