/* What the next handshake needs, made ready ahead of it: a signature of the device key, a key pair.
 */
#pragma once

#include "tred/context.h"

/* An exchange has begun: a signature will be wanted soon. */
void daemon_key_wanted(Daemon *daemon);

/* A handshake is over: has the next one's key pair made as soon as there is nothing else to do. */
void daemon_prepare_exchange(Daemon *daemon);

/* An exchange has signed or gone: has the next signature prepared once there is time. */
void daemon_key_released(Daemon *daemon);

/* True at the end of the program: everything is released then, and nothing prepared any more. */
bool daemon_is_ending(const Daemon *daemon);

/* With an identity, and in a state in which exchanges can be begun. */
bool daemon_is_serving(const Daemon *daemon);

/* True if there is an exchange that has not signed yet. */
bool daemon_has_unsigned(const Daemon *daemon);
