/* Work on the TPM that is written from top to bottom, and waits without blocking the event loop.
 *
 * A task has a stack of its own. Where it waits for the TPM or for a time, the loop goes on, and
 * the task goes on from there when that is over; it runs in the loop's thread and nowhere else, so
 * that nothing needs a lock. What waits for the TPM is served by priority, then in order: between
 * two commands of a Reload a signature goes ahead.
 *
 * A program without an event loop has no TpmLoop: the same code then waits where it stands. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

typedef enum TpmPriority {
    TPM_URGENT,     /* somebody's handshake waits for it */
    TPM_BACKGROUND, /* Reload, anchors, the clock */
} TpmPriority;

typedef struct TpmLoop TpmLoop;
typedef struct TpmTask TpmTask;

/* Tasks and the thread that waits for the TPM, in `event`. 0 or -errno. *ret is for
 * tpm_loop_free(). */
int tpm_loop_new(sd_event *event, TpmLoop **ret);

/* Cancels all tasks, and waits `milliseconds` at the most for them to end, then frees what is
 * there. False if one did not end in time: it, and the thread that waits for its TPM, are left as
 * they are, for a process that is about to end. */
bool tpm_loop_free(TpmLoop *loop, unsigned milliseconds);

/* Begins work(userdata), which runs until it first waits before this returns (from within another
 * task: soon after). `done` is called in the loop when it has ended, or in here if it never waited;
 * `userdata` must live until then. *ret (may be NULL) is valid until then, too. 0 or -ENOMEM, and
 * then nothing is called. */
int tpm_task_start(TpmLoop *loop, TpmPriority priority, void (*work)(void *userdata),
                   void (*done)(void *userdata), void *userdata, TpmTask **ret);

/* Its owner has gone: it waits for nothing more, and every command but TPM2_FlushContext fails with
 * TPM_RC_CANCELED, so that it ends soon and gives back what it took of the TPM. `done` is called as
 * always. A command that the TPM is executing is waited for. */
void tpm_task_cancel(TpmTask *task);

/* For those who speak to the TPM: */

/* Has the thread run work(job) in its turn, and waits for that. In a program without loop (NULL) it
 * is called here. 0; -ECANCELED if the task was cancelled while it stood in the queue, and `stays`
 * is not set; -EBUSY outside of a task while the thread is in use. */
int tpm_loop_run(TpmLoop *loop, void (*work)(void *job), void *job, bool stays);

/* Waits. 0 or -ECANCELED. */
int tpm_loop_sleep(TpmLoop *loop, unsigned milliseconds);
