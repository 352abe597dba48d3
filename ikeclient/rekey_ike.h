/* Rekeying of the IKE SA (RFC 7296 1.3.2, 2.8, 2.18): a new one is made by an exchange of ours or
 * of the peer's, and takes its place; where both began at once, of the two the one with the lowest
 * of all four nonces is redundant (2.8.2). */
#pragma once

#include "ikeclient/sa.h"

extern const TaskKind rekey_ike_task; /* of the IKE SA that carries it */

/* Notes a new IKE SA that tred has made from `sa`. */
void succession_add(IkeSa *sa, const MadeIkeSa *made);

/* Hands over what was made, once all that is under way is over, so that it is known which is to
 * inherit. */
void succession_settle(IkeSa *sa);

/* The same at once, as the peer deletes `sa`: it knows of no other (2.8.2). */
void succession_decide(IkeSa *sa);

bool succession_has_made(const IkeSa *sa);

/* True while the peer's or our rekeying of the IKE SA is under way, or has made another. */
bool succession_is_under_way(const IkeSa *sa);

/* Who has the Child SAs: the last heir, or `sa`. */
IkeSa *succession_holder(IkeSa *sa);
