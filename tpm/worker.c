/* The thread that waits for the TPM. */
#include "tpm/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>

/* What a TCTI needs: buffers of some kilobytes, and libc. */
enum { STACK_SIZE = 256 * 1024 };

struct TpmWorker {
    pthread_t thread;
    pthread_mutex_t mutex; /* of the fields below */
    pthread_cond_t wanted;
    void (*work)(void *job); /* NULL: idle */
    void *job;
    bool ends;
    int done; /* eventfd */
};

static void *worker_run(void *userdata)
{
    TpmWorker *worker = userdata;

    (void)pthread_mutex_lock(&worker->mutex);
    for (;;) {
        while (!worker->work && !worker->ends)
            (void)pthread_cond_wait(&worker->wanted, &worker->mutex);
        if (!worker->work)
            break;
        (void)pthread_mutex_unlock(&worker->mutex);
        worker->work(worker->job);
        (void)pthread_mutex_lock(&worker->mutex);
        worker->work = NULL;
        (void)eventfd_write(worker->done, 1);
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    return NULL;
}

/* Signals are the event loop's: one that this thread took would be lost to its signalfd. */
static int thread_start(TpmWorker *worker)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int r = pthread_attr_init(&attributes);

    if (r != 0)
        return -r;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_attr_setstacksize(&attributes, STACK_SIZE);
    if (r == 0)
        r = pthread_create(&worker->thread, &attributes, worker_run, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return -r;
}

int tpm_worker_new(TpmWorker **ret)
{
    TpmWorker *worker = calloc(1, sizeof(*worker));
    int r;

    if (!worker)
        return -ENOMEM;
    (void)pthread_mutex_init(&worker->mutex, NULL);
    (void)pthread_cond_init(&worker->wanted, NULL);
    worker->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = worker->done < 0 ? -errno : thread_start(worker);
    if (r < 0) {
        if (worker->done >= 0)
            (void)close(worker->done);
        free(worker);
        return r;
    }
    *ret = worker;
    return 0;
}

void tpm_worker_free(TpmWorker *worker)
{
    if (!worker)
        return;
    (void)pthread_mutex_lock(&worker->mutex);
    worker->ends = true;
    (void)pthread_cond_signal(&worker->wanted);
    (void)pthread_mutex_unlock(&worker->mutex);
    (void)pthread_join(worker->thread, NULL);
    (void)pthread_cond_destroy(&worker->wanted);
    (void)pthread_mutex_destroy(&worker->mutex);
    (void)close(worker->done);
    free(worker);
}

/* Woken once the mutex is free, as the thread would only wait again, for that. */
void tpm_worker_submit(TpmWorker *worker, void (*work)(void *job), void *job)
{
    (void)pthread_mutex_lock(&worker->mutex);
    worker->work = work;
    worker->job = job;
    (void)pthread_mutex_unlock(&worker->mutex);
    (void)pthread_cond_signal(&worker->wanted);
}

int tpm_worker_fd(const TpmWorker *worker)
{
    return worker->done;
}

bool tpm_worker_is_done(TpmWorker *worker)
{
    eventfd_t count;

    return eventfd_read(worker->done, &count) == 0;
}
