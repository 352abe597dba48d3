/* What tred asks of the device that takes long (tred/device.h): reading its identity, installing
 * anchors, counting the last-known time. One is done after the other; the loop goes on meanwhile.
 * Who waits for one is answered at its end, and forgotten when it leaves the bus; work that was
 * begun for callers who have all gone is given up if it can be. */
#pragma once

#include "tred/context.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

/* All callers' waiting calls together. */
enum { WORK_WAITERS_MAX = 256 };

/* Answers a call that has waited for `work`, which has ended. */
typedef void (*WorkAnswer)(Work *work, sd_bus_message *call);

typedef struct WorkClass {
    int (*begin)(Work *work); /* asks; work_ended() follows, perhaps from in there, where it is 0 */
    void (*end)(Work *work);  /* before those who wait are answered */
    void (*free)(void *data); /* NULL: there is none */
    bool can_be_given_up;     /* by a caller's leaving, once it has begun */
} WorkClass;

/* Adds work to the queue, where it waits for work_begin(). `data` is taken over. *ret is valid
 * until its end. 0 or -ENOMEM, and then `data` is freed. */
int work_add(Daemon *daemon, const WorkClass *class, void *data, Work **ret);

/* It is to be done whether anybody waits for it or not. */
void work_want(Work *work);

/* Begins the first work of the queue, if none has begun. It may end in here. */
void work_begin(Daemon *daemon);

/* It was done. */
void work_ended(Work *work);

/* Work of this class that waits to begin, or NULL. */
Work *work_waiting(const Daemon *daemon, const WorkClass *class);

/* Has `call` answered at the end of `work`. 0, -EBUSY (WORK_WAITERS_MAX calls wait) or -ENOMEM:
 * `work` is dropped then unless somebody else wants it. */
int work_wait(Work *work, sd_bus_message *call, WorkAnswer answer);

/* The caller of that unique name has left the bus, and waits for nothing any more. */
void work_forget_caller(Daemon *daemon, const char *name);

/* From the end of `work`: those who wait for it are answered when `next` has ended, too, and it is
 * freed with that, which must not begin before. */
void work_answer_after(Work *work, Work *next);

Daemon *work_daemon(const Work *work);
void *work_data(const Work *work);

/* Drops all of it, at the end of the program: no answers are sent, and none of the device's are
 * taken any more. */
void work_drop_all(Daemon *daemon);
