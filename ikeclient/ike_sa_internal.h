/* What the tasks that set an IKE SA up (init.c, auth.c) share with its life (ike_sa.c). */
#pragma once

#include "ikeclient/flight.h"
#include "ikeclient/ike_sa.h"
#include "ikeclient/informational.h"
#include "ikeclient/requests.h"
#include "ikeclient/task.h"

/* It is up: tells the handler, and begins to listen for silence. 0 or a negative errno. */
int ike_sa_establish(IkeSa *sa);

/* An unauthenticated sign that something is wrong: kept for the report, and a reason to ask the
 * peer of an established SA (RFC 7296 2.4). `notify_type` 0: it was no notify. */
void ike_sa_hint(IkeSa *sa, uint16_t notify_type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

extern const TaskKind init_task; /* init.c: IKE_SA_INIT, steps 1 and 2 */
extern const TaskKind auth_task; /* auth.c: IKE_AUTH, steps 3 to 6 */

/* What auth_task needs of tred before it can make its request, into `calls` (AUTH_CALLS_MAX of
 * them): they go along with Agree. Returns how many there are. */
enum { AUTH_CALLS_MAX = 3 };
size_t auth_first_calls(const IkeSa *sa, const NatFinding *nat, TreCall *calls);
