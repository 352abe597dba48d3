/* Are the signals that end a tool held back, told of while they wait, and let through again? */
#include "base/signals.h"

#include "base/cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const int ending[] = {SIGINT, SIGTERM, SIGHUP};

static volatile sig_atomic_t came;

static void on_signal(int signal)
{
    came = signal;
}

static void each_that_ends_a_tool_waits_until_it_is_let_through(void **state)
{
    sigset_t before;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(ending); i++) {
        (void)signal(ending[i], on_signal);
        came = 0;
        signals_hold(&before);
        assert_false(signals_waiting());
        (void)raise(ending[i]);
        assert_int_equal(came, 0);
        assert_true(signals_waiting());
        signals_release(&before);
        assert_int_equal(came, ending[i]);
        assert_false(signals_waiting());
        (void)signal(ending[i], SIG_DFL);
    }
}

/* A shell has what it starts in the background ignore SIGINT, and nohup SIGHUP. One that waits
 * would be told of, though nobody is to be ended by it. */
static void what_is_ignored_is_not_held(void **state)
{
    sigset_t before, held;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(ending); i++) {
        (void)signal(ending[i], SIG_IGN);
        signals_hold(&before);
        signals_current(&held);
        for (size_t j = 0; j < ELEMENTS(ending); j++)
            assert_int_equal(sigismember(&held, ending[j]), i != j);
        (void)raise(ending[i]);
        assert_false(signals_waiting());
        signals_release(&before);
        (void)signal(ending[i], SIG_DFL);
    }
}

static void another_signal_is_none_that_ends_a_tool(void **state)
{
    sigset_t before, other;

    (void)state;
    (void)sigemptyset(&other);
    (void)sigaddset(&other, SIGUSR1);
    (void)signal(SIGUSR1, on_signal);
    (void)pthread_sigmask(SIG_BLOCK, &other, &before);
    (void)raise(SIGUSR1);
    assert_false(signals_waiting());
    signals_release(&before);
    assert_int_equal(came, SIGUSR1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_that_ends_a_tool_waits_until_it_is_let_through),
        cmocka_unit_test(what_is_ignored_is_not_held),
        cmocka_unit_test(another_signal_is_none_that_ends_a_tool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
