/* Tasks: stacks that the event loop switches to and from, and the queue for the TPM. */
#include "tpm/task.h"

#include "base/monotonic.h"
#include "tpm/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define TASK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TASK_ASAN 1
#endif
#endif
#ifdef TASK_ASAN
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

/* TPM structures of some kilobytes each, and OpenSSL below them. A page that nobody may touch
 * stands before it, so that an overflow ends the process and harms nothing else. */
enum { STACK_SIZE = 256 * 1024, GUARD_SIZE = 4096 };

typedef enum TaskState {
    TASK_READY,   /* goes on when the loop comes to it */
    TASK_RUNNING, /* is TpmLoop.current */
    TASK_QUEUED,  /* for the thread */
    TASK_SERVED,  /* by the thread */
    TASK_SLEEPING,
    TASK_ENDED,
} TaskState;

struct TpmTask {
    TpmLoop *loop;
    TpmTask *next; /* in the order of their starts */
    TpmPriority priority;
    TaskState state;
    bool canceled;
    void (*work)(void *userdata);
    void (*done)(void *userdata);
    void *userdata;
    sd_event_source *timer;

    /* What is waited for in TASK_QUEUED and TASK_SERVED. */
    void (*job_work)(void *job);
    void *job;
    bool job_stays;      /* though the task is cancelled */
    uint64_t job_number; /* the order of arrival */
    int job_result;

    void *stack;
    ucontext_t context;
#ifdef TASK_ASAN
    void *fake_stack;
#endif
};

struct TpmLoop {
    sd_event *event;
    TpmWorker *worker;
    sd_event_source *worker_source;
    sd_event_source *ready_source; /* enabled while a task is TASK_READY */
    TpmTask *tasks;
    TpmTask *current; /* NULL: the loop itself runs */
    TpmTask *served;
    uint64_t last_job_number;
    ucontext_t context; /* the loop's own, while a task runs */
#ifdef TASK_ASAN
    void *fake_stack;
    const void *stack_bottom;
    size_t stack_size;
#endif
};

/* ---- The two switches. AddressSanitizer is told of each. */

static void switch_to_loop(TpmTask *task)
{
    TpmLoop *loop = task->loop;

#ifdef TASK_ASAN
    __sanitizer_start_switch_fiber(task->state == TASK_ENDED ? NULL : &task->fake_stack,
                                   loop->stack_bottom, loop->stack_size);
#endif
    (void)swapcontext(&task->context, &loop->context);
#ifdef TASK_ASAN
    __sanitizer_finish_switch_fiber(task->fake_stack, &loop->stack_bottom, &loop->stack_size);
#endif
}

static void switch_to_task(TpmTask *task)
{
    TpmLoop *loop = task->loop;

    loop->current = task;
    task->state = TASK_RUNNING;
#ifdef TASK_ASAN
    __sanitizer_start_switch_fiber(&loop->fake_stack, (uint8_t *)task->stack + GUARD_SIZE,
                                   STACK_SIZE);
#endif
    (void)swapcontext(&loop->context, &task->context);
#ifdef TASK_ASAN
    __sanitizer_finish_switch_fiber(loop->fake_stack, NULL, NULL);
#endif
    loop->current = NULL;
}

/* makecontext() hands on ints. */
static void task_enter(unsigned high, unsigned low)
{
    TpmTask *task = (TpmTask *)(((uintptr_t)high << 32) | (uintptr_t)low); // NOLINT

#ifdef TASK_ASAN
    __sanitizer_finish_switch_fiber(NULL, &task->loop->stack_bottom, &task->loop->stack_size);
#endif
    task->work(task->userdata);
    task->state = TASK_ENDED;
    switch_to_loop(task);
    abort(); /* nobody resumes a task that has ended */
}

static int stack_new(TpmTask *task)
{
    void *stack = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

    if (stack == MAP_FAILED)
        return -ENOMEM;
    task->stack = stack;
#ifdef TASK_ASAN
    /* What a task holds whose TPM is stuck at the end of the process is no leak. */
    __lsan_register_root_region((uint8_t *)stack + GUARD_SIZE, STACK_SIZE);
#endif
    if (mprotect(stack, GUARD_SIZE, PROT_NONE) < 0 || getcontext(&task->context) < 0)
        return -ENOMEM;
    task->context.uc_stack.ss_sp = (uint8_t *)stack + GUARD_SIZE;
    task->context.uc_stack.ss_size = STACK_SIZE;
    task->context.uc_link = NULL;
    makecontext(&task->context, (void (*)(void))task_enter, 2, // NOLINT
                (unsigned)((uintptr_t)task >> 32), (unsigned)(uintptr_t)task);
    return 0;
}

static void task_free(TpmTask *task)
{
    /* The kernel gives these pages to nobody before it has cleared them. */
    if (task->stack) {
#ifdef TASK_ASAN
        __lsan_unregister_root_region((uint8_t *)task->stack + GUARD_SIZE, STACK_SIZE);
#endif
        (void)munmap(task->stack, GUARD_SIZE + STACK_SIZE);
    }
    sd_event_source_disable_unref(task->timer);
    free(task);
}

/* ---- The queue for the thread. */

static void queue_serve(TpmLoop *loop)
{
    TpmTask *first = NULL;

    if (loop->served)
        return;
    for (TpmTask *task = loop->tasks; task; task = task->next) {
        if (task->state == TASK_QUEUED &&
            (!first || task->priority < first->priority ||
             (task->priority == first->priority && task->job_number < first->job_number)))
            first = task;
    }
    if (!first)
        return;
    loop->served = first;
    first->state = TASK_SERVED;
    tpm_worker_submit(loop->worker, first->job_work, first->job);
}

/* ---- Tasks. */

static void task_unlink(TpmTask *task)
{
    TpmTask **link = &task->loop->tasks;

    while (*link != task)
        link = &(*link)->next;
    *link = task->next;
}

static void task_resume(TpmTask *task)
{
    TpmLoop *loop = task->loop;

    switch_to_task(task);
    if (task->state == TASK_ENDED) {
        void (*done)(void *userdata) = task->done;
        void *userdata = task->userdata;

        task_unlink(task);
        task_free(task);
        done(userdata);
    }
    queue_serve(loop);
}

static void task_make_ready(TpmTask *task)
{
    task->state = TASK_READY;
    (void)sd_event_source_set_enabled(task->loop->ready_source, SD_EVENT_ON);
}

static TpmTask *task_ready(TpmLoop *loop)
{
    TpmTask *task = loop->tasks;

    while (task && task->state != TASK_READY)
        task = task->next;
    return task;
}

static int on_ready(sd_event_source *source, void *userdata)
{
    TpmLoop *loop = userdata;
    TpmTask *task = task_ready(loop);

    if (task)
        task_resume(task);
    if (!task_ready(loop))
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    return 0;
}

static void worker_done(TpmLoop *loop)
{
    if (tpm_worker_is_done(loop->worker) && loop->served)
        task_resume(steal_pointer(loop->served));
}

static int on_worker(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)source, (void)fd, (void)events;
    worker_done(userdata);
    return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    TpmTask *task = userdata;

    (void)source, (void)usec;
    if (task->state == TASK_SLEEPING)
        task_resume(task);
    return 0;
}

int tpm_task_start(TpmLoop *loop, TpmPriority priority, void (*work)(void *userdata),
                   void (*done)(void *userdata), void *userdata, TpmTask **ret)
{
    TpmTask **last = &loop->tasks;
    TpmTask *task = calloc(1, sizeof(*task));

    if (!task)
        return -ENOMEM;
    *task = (TpmTask){
        .loop = loop, .priority = priority, .work = work, .done = done, .userdata = userdata};
    if (stack_new(task) < 0) {
        task_free(task);
        return -ENOMEM;
    }
    while (*last)
        last = &(*last)->next;
    *last = task;
    if (ret)
        *ret = task;
    if (loop->current) {
        task_make_ready(task);
    } else {
        task_resume(task);
    }
    return 0;
}

void tpm_task_cancel(TpmTask *task)
{
    task->canceled = true;
    if (task->state == TASK_SLEEPING || (task->state == TASK_QUEUED && !task->job_stays)) {
        task->job_result = -ECANCELED;
        task_make_ready(task);
    }
}

/* Outside of a task there is nothing to go on with: it is waited for here. */
static int run_here(TpmLoop *loop, void (*work)(void *job), void *job)
{
    if (loop && loop->served)
        return -EBUSY;
    work(job);
    return 0;
}

int tpm_loop_run(TpmLoop *loop, void (*work)(void *job), void *job, bool stays)
{
    TpmTask *task = loop ? loop->current : NULL;

    if (!task)
        return run_here(loop, work, job);
    if (task->canceled && !stays)
        return -ECANCELED;
    task->job_work = work;
    task->job = job;
    task->job_stays = stays;
    task->job_number = ++loop->last_job_number;
    task->job_result = 0;
    task->state = TASK_QUEUED;
    switch_to_loop(task);
    return task->job_result;
}

static int sleep_here(unsigned milliseconds)
{
    const struct timespec time = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};

    (void)nanosleep(&time, NULL);
    return 0;
}

int tpm_loop_sleep(TpmLoop *loop, unsigned milliseconds)
{
    TpmTask *task = loop ? loop->current : NULL;
    int r;

    if (!task)
        return sleep_here(milliseconds);
    if (task->canceled)
        return -ECANCELED;
    task->timer = sd_event_source_disable_unref(task->timer);
    r = sd_event_add_time_relative(loop->event, &task->timer, CLOCK_MONOTONIC,
                                   (uint64_t)milliseconds * 1000, 1000, on_time, task);
    if (r < 0)
        return r;
    task->job_result = 0;
    task->state = TASK_SLEEPING;
    switch_to_loop(task);
    return task->job_result;
}

/* ---- The loop. */

int tpm_loop_new(sd_event *event, TpmLoop **ret)
{
    TpmLoop *loop = calloc(1, sizeof(*loop));
    int r;

    if (!loop)
        return -ENOMEM;
    r = tpm_worker_new(&loop->worker);
    if (r >= 0) {
        loop->event = sd_event_ref(event);
        r = sd_event_add_io(event, &loop->worker_source, tpm_worker_fd(loop->worker), EPOLLIN,
                            on_worker, loop);
    }
    if (r >= 0)
        r = sd_event_add_defer(event, &loop->ready_source, on_ready, loop);
    if (r >= 0)
        r = sd_event_source_set_enabled(loop->ready_source, SD_EVENT_OFF);
    if (r < 0) {
        (void)tpm_loop_free(loop, 0);
        return r;
    }
    *ret = loop;
    return 0;
}

/* sd-event runs no more when this is called: what is ready or done is looked for by hand. */
static bool tasks_drain(TpmLoop *loop, unsigned milliseconds)
{
    const uint64_t end = monotonic_ms() + milliseconds;

    while (loop->tasks) {
        /* Each time, since the end of one may begin another. */
        for (TpmTask *task = loop->tasks; task; task = task->next) {
            if (!task->canceled)
                tpm_task_cancel(task);
        }

        struct pollfd fd = {.fd = tpm_worker_fd(loop->worker), .events = POLLIN};
        TpmTask *ready = task_ready(loop);
        const uint64_t now = monotonic_ms();

        if (ready) {
            task_resume(ready);
            continue;
        }
        if (now >= end || poll(&fd, 1, (int)(end - now)) <= 0)
            return false;
        worker_done(loop);
    }
    return true;
}

bool tpm_loop_free(TpmLoop *loop, unsigned milliseconds)
{
    if (!loop)
        return true;
    const bool ended = !loop->tasks || tasks_drain(loop, milliseconds);

    sd_event_source_disable_unref(loop->worker_source);
    sd_event_source_disable_unref(loop->ready_source);
    if (!ended)
        return false;
    sd_event_unref(loop->event);
    tpm_worker_free(loop->worker);
    free(loop);
    return true;
}
