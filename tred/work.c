/* The queue of what takes long in the device, and who waits for what of it. */
#include "tred/work.h"

#include "tred/bus_call.h"
#include "tred/device.h"

#include <errno.h>
#include <string.h>

typedef struct Waiter {
    Work *work;
    struct Waiter *next;
    sd_bus_message *call;
    WorkAnswer answer;
} Waiter;

struct Work {
    Daemon *daemon;
    Work *next; /* begins after this one */
    const WorkClass *class;
    void *data;
    bool begun;
    bool given_up;
    bool for_us; /* somebody else than its waiters wants it done */
    Waiter *waiters;
    Work *answered_after; /* NULL: its waiters are answered at its own end */
    Work *ended;          /* works whose waiters are answered at the end of this one */
};

static void waiter_free(Waiter *waiter)
{
    waiter->work->daemon->n_waiters--;
    sd_bus_message_unref(waiter->call);
    free(waiter);
}

/* And the works that wait for its end to be answered. */
static void work_free(Work *work)
{
    while (work->ended) {
        Work *before = work->ended;

        work->ended = before->next;
        work_free(before);
    }
    while (work->waiters) {
        Waiter *waiter = work->waiters;

        work->waiters = waiter->next;
        waiter_free(waiter);
    }
    if (work->class->free)
        work->class->free(work->data);
    free(work);
}

static void work_unlink(Work *work)
{
    Work **link = &work->daemon->works;

    while (*link != work)
        link = &(*link)->next;
    *link = work->next;
}

static void queue_go_on(Daemon *daemon);

/* Answers those who wait for it, and for what ended before and waited for it, and frees these. */
static void waiters_answer(Work *work)
{
    while (work->ended) {
        Work *before = work->ended;

        work->ended = before->next;
        waiters_answer(before);
    }
    while (work->waiters) {
        Waiter *waiter = work->waiters;

        work->waiters = waiter->next;
        if (!work->given_up)
            waiter->answer(work, waiter->call);
        waiter_free(waiter);
    }
    work_free(work);
}

/* The queue goes on after the answers, since one of them may ask for more. */
void work_ended(Work *work)
{
    Daemon *daemon = work->daemon;

    work_unlink(work);
    work->class->end(work);
    if (!work->answered_after)
        waiters_answer(work);
    queue_go_on(daemon);
}

static void queue_go_on(Daemon *daemon)
{
    Work *first = daemon->works;

    if (!first || first->begun)
        return;
    first->begun = true;
    if (first->class->begin(first) < 0) {
        first->given_up = true;
        work_ended(first);
    }
}

int work_add(Daemon *daemon, const WorkClass *class, void *data, Work **ret)
{
    Work **last = &daemon->works;
    Work *work = calloc(1, sizeof(*work));

    if (!work) {
        if (class->free)
            class->free(data);
        return -ENOMEM;
    }
    *work = (Work){.daemon = daemon, .class = class, .data = data};
    while (*last)
        last = &(*last)->next;
    *last = work;
    *ret = work;
    return 0;
}

void work_want(Work *work)
{
    work->for_us = true;
}

void work_begin(Daemon *daemon)
{
    queue_go_on(daemon);
}

Work *work_waiting(const Daemon *daemon, const WorkClass *class)
{
    for (Work *work = daemon->works; work; work = work->next) {
        if (work->class == class && !work->begun)
            return work;
    }
    return NULL;
}

/* Work that was begun for callers of whom none is left. */
static void work_abandon(Work *work)
{
    if (work->waiters || work->for_us || work->answered_after)
        return;
    if (!work->begun) {
        work_unlink(work);
        work_free(work);
    } else if (work->class->can_be_given_up) {
        work->given_up = true;
        device_give_up(work->daemon->device);
    }
}

/* True if it waited for this work. */
static bool waiters_forget(Work *work, const char *name)
{
    Waiter **link = &work->waiters;
    bool found = false;

    while (*link) {
        Waiter *waiter = *link;

        if (strcmp(call_sender(waiter->call), name) != 0) {
            link = &waiter->next;
            continue;
        }
        *link = waiter->next;
        waiter_free(waiter);
        found = true;
    }
    return found;
}

static void works_forget(Work *work, const char *name)
{
    while (work) {
        Work *next = work->next;

        works_forget(work->ended, name);
        if (waiters_forget(work, name))
            work_abandon(work);
        work = next;
    }
}

void work_forget_caller(Daemon *daemon, const char *name)
{
    works_forget(daemon->works, name);
}

static int waiter_add(Work *work, sd_bus_message *call, WorkAnswer answer)
{
    Waiter **last = &work->waiters;
    Waiter *waiter;

    if (work->daemon->n_waiters == WORK_WAITERS_MAX)
        return -EBUSY;
    waiter = calloc(1, sizeof(*waiter));
    if (!waiter)
        return -ENOMEM;
    work->daemon->n_waiters++;
    waiter->work = work;
    waiter->answer = answer;
    waiter->call = sd_bus_message_ref(call);
    while (*last)
        last = &(*last)->next;
    *last = waiter;
    return 0;
}

int work_wait(Work *work, sd_bus_message *call, WorkAnswer answer)
{
    int r = waiter_add(work, call, answer);

    if (r < 0)
        work_abandon(work);
    return r;
}

void work_answer_after(Work *work, Work *next)
{
    work->answered_after = next;
    work->next = next->ended;
    next->ended = work;
}

Daemon *work_daemon(const Work *work)
{
    return work->daemon;
}

void *work_data(const Work *work)
{
    return work->data;
}

void work_drop_all(Daemon *daemon)
{
    while (daemon->works) {
        Work *work = daemon->works;

        daemon->works = work->next;
        work_free(work);
    }
}
