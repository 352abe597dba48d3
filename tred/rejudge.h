/* Judges SeGWs again that were taken before, when what they are judged by has changed: anchors,
 * CRLs or the profile. Who would not be taken any more, as it was revoked or its anchor removed,
 * loses its exchange, and the owner is told why. */
#pragma once

#include "tred/context.h"

/* Has the CRLs looked at every minute while a SeGW is verified, as nobody else does where no other
 * is to be judged. 0 or -errno. */
int rejudge_start(Daemon *daemon);

void rejudge_stop(Daemon *daemon);

/* Judges all that are verified, one at a time, by the verifier that is in force. */
void rejudge_all(Daemon *daemon);

/* Judges that one alone, which another verifier than that has just taken. */
void rejudge_one(CallerExchange *held);

/* `held` was made from `from`, and its peer is taken by what `from` showed: if a judgement is owed
 * to that, or is being made, it is owed to both. */
void rejudge_inherit(CallerExchange *held, const CallerExchange *from);
