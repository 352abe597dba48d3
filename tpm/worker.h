/* One thread that waits for the TPM, so that the event loop never does: of the TCTIs only
 * `device` can be polled, and swtpm's blocks in Receive whatever its timeout. It runs one function
 * at a time and knows nothing of what it moves. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>

typedef struct TpmWorker TpmWorker;

/* Starts the thread, with all signals blocked. 0 or -errno. *ret is for tpm_worker_free(). */
int tpm_worker_new(TpmWorker **ret);

/* Ends the thread once it has finished what it is doing, which is waited for. */
void tpm_worker_free(TpmWorker *worker);
DEFINE_POINTER_CLEANUP(TpmWorker, tpm_worker_free);

/* Has the thread call work(job). It must be idle. `job` is the thread's until
 * tpm_worker_is_done(). */
void tpm_worker_submit(TpmWorker *worker, void (*work)(void *job), void *job);

/* Readable once what was submitted is done; the worker's own. */
int tpm_worker_fd(const TpmWorker *worker);

/* True, once, after what was submitted is done: the worker is idle then. */
bool tpm_worker_is_done(TpmWorker *worker);
