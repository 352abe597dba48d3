/* With which status does tred end before there is anything that it could serve, and what does it
 * say?
 */
#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "tests/unit/program.h"

static const char *program;

/* The status with one option, and what it has said on standard error. */
static int run(const char *option, bool can_lock, char *ret, size_t size)
{
    const struct rlimit none = {0, 0};
    int ends[2], status = 0;
    size_t used = 0;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        if (dup2(ends[1], STDERR_FILENO) < 0 || dup2(ends[1], STDOUT_FILENO) < 0)
            _exit(127);
        if (!can_lock && (setrlimit(RLIMIT_MEMLOCK, &none) < 0 ||
                          (prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0) < 0 && errno != EPERM)))
            _exit(126);
        (void)execl(program, program, option, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    for (ssize_t n = 1; n > 0 && used + 1 < size; used += n > 0 ? (size_t)n : 0)
        n = read(ends[0], ret + used, size - 1 - used);
    ret[used] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void what_its_options_say_is_all_that_it_does(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(run("--help", true, text, sizeof(text)), EX_OK);
    assert_int_equal(strncmp(text, "Usage: tred ", 12), 0);
    assert_null(strstr(text, "tred.conf:"));
    assert_int_equal(run("--colour", true, text, sizeof(text)), EX_USAGE);
    assert_null(strstr(text, "tred.conf:"));
}

static void a_configuration_that_can_not_be_read_is_a_wrong_one(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(run("--config=/nonexistent/tred.conf", true, text, sizeof(text)), EX_CONFIG);
    assert_non_null(strstr(text, "/nonexistent/tred.conf"));
}

/* Keys would be written to where the memory is swapped out. */
static void without_memory_that_is_locked_it_does_not_start(void **state)
{
    char text[4096];

    (void)state;
    if (program_has_sanitizer())
        skip(); /* which locks nothing, and says that it did */
    assert_int_equal(run("--config=/nonexistent/tred.conf", false, text, sizeof(text)), EX_OSERR);
    assert_non_null(strstr(text, "Set LimitMEMLOCK=infinity in the unit"));
    assert_null(strstr(text, "/nonexistent/tred.conf"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_its_options_say_is_all_that_it_does),
        cmocka_unit_test(a_configuration_that_can_not_be_read_is_a_wrong_one),
        cmocka_unit_test(without_memory_that_is_locked_it_does_not_start),
    };

    if (argc != 2)
        return 2;
    program = argv[1];
    return cmocka_run_group_tests_name("tred program", tests, NULL, NULL);
}
