/* What the tasks that set an IKE SA up (init_task.c, init_answers.c, auth_task.c) and what
 * comes in for it (ike_sa_receive.c) share with its life (ike_sa.c). */
#pragma once

#include "ikeclient/ike_sa.h"
#include "ikeclient/informational.h"
#include "ikeclient/requests.h"
#include "ikeclient/task.h"
#include "ikeclient/upkeep.h"

/* A message of the peer's was authentic: this is the SeGW, and no other answer to IKE_SA_INIT was.
 */
void ike_sa_found_authentic(IkeSa *sa);

/* It is up: tells the handler, and begins to listen for silence. 0 or a negative errno. */
int ike_sa_establish(IkeSa *sa);

/* An unauthenticated sign that something is wrong, and what to do about it: kept for the report. Of
 * an SA that is not there yet the first one is said at once, and for how long another answer is
 * waited for all the same (RFC 7296 2.21.1); the peer of an established SA is asked whether it is
 * there (2.4), no oftener than every 10 s. False: this one came too soon for that. */
bool ike_sa_hint(IkeSa *sa, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A datagram, and an error of the network, as the transport tells them; `userdata` is the IkeSa. */
bool ike_sa_receive(void *userdata, Bytes datagram, const Endpoint *sender);
void ike_sa_network_error(void *userdata, int error);

extern const TaskKind init_task;  /* init_task.c: IKE_SA_INIT, steps 1 and 2 */
extern const TaskKind rival_task; /* the same, for another answer to another IKE SA's request */
extern const TaskKind auth_task;  /* auth_task.c: IKE_AUTH, steps 3 to 6 */

/* NULL is fine. */
void init_state_free(InitState *init);

/* A state with the first answer that no IKE SA goes on with yet, which is taken; NULL: there is
 * none, or no memory. */
InitState *init_state_for_rival(IkeSa *sa);

/* Looks at a datagram that came when the task did not wait for one any more; sa->init is there. */
void init_take_late(IkeSa *sa, Bytes datagram, const Endpoint *sender);

/* What auth_task needs of tred before it can make its request, into `calls` (AUTH_CALLS_MAX of
 * them): they go along with Agree. Returns how many there are. */
enum { AUTH_CALLS_MAX = 3 };
size_t auth_first_calls(const IkeSa *sa, const NatFinding *nat, TreCall *calls);
