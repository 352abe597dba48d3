/* The calls of tre.h as bus messages, and tred's answers read from them: dbus/org.tred.TrE1.*.xml.
 */
#pragma once

#include "base/reason.h"
#include "ikeclient/tre.h"

#include <systemd/sd-bus.h>

#define TRE_NAME "org.tred.TrE1"
#define TRE_ERROR_PREFIX "org.tred.TrE1.Error."
#define TRE_PATH "/org/tred/TrE1"
#define TRE_MANAGER "org.tred.TrE1.Manager"
#define TRE_EXCHANGE "org.tred.TrE1.Exchange"

/* The message for `call`, ready to be sent. 0 or a negative errno. */
int tre_message_new(sd_bus *bus, const TreCall *call, sd_bus_message **ret);

/* Reads what came back for `method`, error or not. Views borrow from `m`; an error's sentence is
 * written to `reason`. */
void tre_message_read(sd_bus_message *m, TreMethod method, Reason *reason, TreReply *ret);
