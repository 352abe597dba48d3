/* Our INFORMATIONAL requests that end something (RFC 7296 1.4) as tasks. */
#pragma once

#include "ikeclient/task.h"

extern const TaskKind delete_task;       /* of the IKE SA */
extern const TaskKind refuse_task;       /* the peer is told that it did not verify */
extern const TaskKind delete_child_task; /* of all Child SAs that are unwanted */

/* The last wait of a request on an established SA is over: ends the SA. */
void task_found_silence(Task *task);

/* Has the IKE SA deleted after the task that is under way; `end` and the reason that was said are
 * reported when that is done. 0 or a negative errno. */
int ike_sa_delete(IkeSa *sa, IkeSaEnd end);

/* True if the SA is on its way out by our own doing. */
bool ike_sa_is_closing(const IkeSa *sa);
