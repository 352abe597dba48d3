/* Does the process keep its memory to itself? Each check in a process of its own, as there is no
 * way back. */
#include "tred/daemon.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

static int hardened_run(int (*check)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(process_harden() < 0 ? 100 : check());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int core_check(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0 ? 0
                                                                                             : 1;
}

static int dumpable_check(void)
{
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static int privileges_check(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1;
}

static int umask_check(void)
{
    return umask(0) == 077 ? 0 : 1;
}

static void there_is_no_core_dump(void **state)
{
    (void)state;
    assert_int_equal(hardened_run(core_check), 0);
}

static void it_is_not_dumpable(void **state)
{
    (void)state;
    assert_int_equal(hardened_run(dumpable_check), 0);
}

static void it_gains_no_privileges(void **state)
{
    (void)state;
    assert_int_equal(hardened_run(privileges_check), 0);
}

static void its_files_are_its_own(void **state)
{
    (void)state;
    assert_int_equal(hardened_run(umask_check), 0);
}

static bool allocation_works(void)
{
    return mmap(NULL, 1 << 24, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
}

/* A limit on locked memory, and no right to pass it: a warning, and allocations still work. */
static void without_the_right_to_lock_it_runs_all_the_same(void **state)
{
    const struct rlimit small = {65536, 65536};
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        if (setrlimit(RLIMIT_MEMLOCK, &small) < 0 || (geteuid() == 0 && setuid(NOBODY) < 0))
            _exit(1);
        _exit(process_harden() == 0 && allocation_works() ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* errno says how the last call failed that did. */
static void what_has_failed_before_is_no_failure_of_its(void **state)
{
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        errno = EBUSY;
        _exit(process_harden() == 0 ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_no_core_dump),
        cmocka_unit_test(it_is_not_dumpable),
        cmocka_unit_test(it_gains_no_privileges),
        cmocka_unit_test(its_files_are_its_own),
        cmocka_unit_test(without_the_right_to_lock_it_runs_all_the_same),
        cmocka_unit_test(what_has_failed_before_is_no_failure_of_its),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
