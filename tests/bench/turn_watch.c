/* Preloaded into a program with an event loop: how long is each of its turns, from the return of
 * one epoll wait to the next, and did it wait in it? TURN_WATCH names the file that they are
 * appended to, TURN_WATCH_PROGRAM the program; in others, which inherit both, nothing is done. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* As turns.py reads them. */
typedef struct Turn {
    uint32_t wall_usec, cpu_usec;
    uint32_t waits;  /* it gave the processor away: it waited for something (ru_nvcsw) */
    uint32_t pushed; /* the processor was taken from it (ru_nivcsw) */
} Turn;

typedef struct Moment {
    uint64_t wall_nsec, cpu_nsec;
    struct rusage usage;
} Moment;

static Moment begun;
static int file = -1;

static uint64_t clock_nsec(clockid_t clock)
{
    struct timespec now = {0};

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static Moment moment(void)
{
    Moment now = {.wall_nsec = clock_nsec(CLOCK_MONOTONIC),
                  .cpu_nsec = clock_nsec(CLOCK_THREAD_CPUTIME_ID)};

    (void)getrusage(RUSAGE_THREAD, &now.usage);
    return now;
}

/* The turn that the first wait ends had no beginning: it is the program's start. */
static void turn_end(void)
{
    if (file < 0)
        return;
    const Moment now = moment();
    const Turn turn = {
        .wall_usec = (uint32_t)((now.wall_nsec - begun.wall_nsec) / 1000),
        .cpu_usec = (uint32_t)((now.cpu_nsec - begun.cpu_nsec) / 1000),
        .waits = (uint32_t)(now.usage.ru_nvcsw - begun.usage.ru_nvcsw),
        .pushed = (uint32_t)(now.usage.ru_nivcsw - begun.usage.ru_nivcsw),
    };
    if (write(file, &turn, sizeof(turn)) != (ssize_t)sizeof(turn))
        abort(); /* a turn that is missing could be the longest */
}

static void turn_begin(void)
{
    const char *path = getenv("TURN_WATCH"), *program = getenv("TURN_WATCH_PROGRAM");
    const int error = errno;

    if (file < 0 && path && program && strcmp(program, program_invocation_short_name) == 0) {
        file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (file < 0)
            abort();
    }
    if (file >= 0)
        begun = moment();
    errno = error;
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
    int (*wait)(int, struct epoll_event *, int, int) = NULL;

    *(void **)&wait = dlsym(RTLD_NEXT, "epoll_wait");
    turn_end();
    const int n = wait(epoll, events, most, timeout);
    turn_begin();
    return n;
}

int epoll_pwait2(int epoll, struct epoll_event *events, int most, const struct timespec *timeout,
                 const sigset_t *mask)
{
    int (*wait)(int, struct epoll_event *, int, const struct timespec *, const sigset_t *) = NULL;

    *(void **)&wait = dlsym(RTLD_NEXT, "epoll_pwait2");
    turn_end();
    const int n = wait(epoll, events, most, timeout, mask);
    turn_begin();
    return n;
}
