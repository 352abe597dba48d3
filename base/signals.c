/* Blocks the signals that end a tool, and lets them through again. */
#include "base/signals.h"

#include "base/cleanup.h"

static const int ending[] = {SIGINT, SIGTERM, SIGHUP};

/* A shell has what it starts in the background ignore SIGINT, and nohup SIGHUP: that stays so. */
static bool is_ignored(int signal)
{
    struct sigaction action;

    return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void signals_hold(sigset_t *ret)
{
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < ELEMENTS(ending); i++) {
        if (!is_ignored(ending[i]))
            (void)sigaddset(&set, ending[i]);
    }
    (void)pthread_sigmask(SIG_BLOCK, &set, ret);
}

void signals_current(sigset_t *ret)
{
    (void)pthread_sigmask(SIG_BLOCK, NULL, ret);
}

void signals_release(const sigset_t *before)
{
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

bool signals_waiting(void)
{
    sigset_t set;

    if (sigpending(&set) < 0)
        return false;
    for (size_t i = 0; i < ELEMENTS(ending); i++) {
        if (sigismember(&set, ending[i]) == 1)
            return true;
    }
    return false;
}
