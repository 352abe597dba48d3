/* Secrets in pages of their own: locked, guarded, in no core dump, and gone when released. */
#include "crypto/secret.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { NOBODY = 65534, PAGE = 4096 };

/* True if the mapping of `data` has this flag of proc(5)'s VmFlags. */
static bool mapping_has(const uint8_t *data, const char *flag)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512];
    bool here = false, found = false;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        unsigned long start = 0, end = 0;

        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            here = (uintptr_t)data >= start && (uintptr_t)data < end;
        else if (here && strncmp(line, "VmFlags:", strlen("VmFlags:")) == 0)
            found = strstr(line, flag) != NULL;
    }
    (void)fclose(file);
    return found;
}

static void a_secret_is_zero_and_locked_and_in_no_dump(void **state)
{
    _cleanup_(secret_freep) Secret *secret = NULL;
    static const uint8_t zeros[PAGE + 1];

    (void)state;
    assert_int_equal(secrets_init(), 0);
    assert_int_equal(secret_new(sizeof(zeros), &secret), 0);
    assert_memory_equal(secret->data, zeros, sizeof(zeros));
    assert_true(mapping_has(secret->data, " lo"));
    assert_true(mapping_has(secret->data + PAGE, " lo"));
    assert_true(mapping_has(secret->data, " dd"));
    assert_int_equal(secret_new(0, &secret), -EINVAL);
}

int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);
static bool unwiped;

/* Pages that are given back, with one before and one after that nobody may touch. */
int __wrap_munmap(void *at, size_t size)
{
    for (size_t i = PAGE; i < size - PAGE; i++)
        unwiped = unwiped || ((const uint8_t *)at)[i] != 0;
    return __real_munmap(at, size);
}

static void pages_are_wiped_before_they_are_given_back(void **state)
{
    Secret *secret = NULL;

    (void)state;
    assert_int_equal(secret_new(PAGE + 1, &secret), 0);
    memset(secret->data, 0xee, secret->size);
    unwiped = false;
    secret_free(secret);
    assert_false(unwiped);
}

static int touch_before(void)
{
    Secret *secret = NULL;

    if (secret_new(16, &secret) < 0)
        return 1;
    return *(volatile uint8_t *)(secret->data - 1);
}

static int touch_after(void)
{
    Secret *secret = NULL;

    if (secret_new(16, &secret) < 0)
        return 1;
    return *(volatile uint8_t *)(secret->data + PAGE);
}

static int unlockable_check(void)
{
    const struct rlimit none = {0, 0};
    Secret *secret = NULL;

    /* Root would be let off the limit by CAP_IPC_LOCK. */
    if (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || (geteuid() == 0 && setuid(NOBODY) < 0))
        return 1;
    return secrets_init() == -EPERM && secret_new(16, &secret) == -ENOMEM && !secret ? 0 : 2;
}

static int status_of(int (*run)(void))
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit none = {0, 0};

        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGSEGV, SIG_DFL);
        _exit(run());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void whoever_runs_over_an_end_dies(void **state)
{
    (void)state;
    assert_true(WIFSIGNALED(status_of(touch_before)));
    assert_true(WIFSIGNALED(status_of(touch_after)));
}

static void memory_that_cannot_be_locked_is_refused(void **state)
{
    const int status = status_of(unlockable_check);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_slice_stays_within_its_secret(void **state)
{
    _cleanup_(secret_freep) Secret *whole = NULL, *part = NULL;

    (void)state;
    assert_int_equal(secret_new(8, &whole), 0);
    memcpy(whole->data, "01234567", 8);
    assert_int_equal(secret_new_slice(whole, 4, 5, &part), -ERANGE);
    assert_int_equal(secret_new_slice(whole, 9, 0, &part), -ERANGE);
    assert_int_equal(secret_new_slice(whole, 4, 4, &part), 0);
    assert_memory_equal(secret_bytes(part).data, "4567", 4);
}

static void a_secret_that_is_released_has_no_pages_left(void **state)
{
    Secret *secret = NULL;
    unsigned char resident = 0;

    (void)state;
    assert_int_equal(secret_new(16, &secret), 0);
    uint8_t *data = secret->data;
    secret_free(secret);
    assert_int_equal(mincore(data, PAGE, &resident), -1);
    assert_int_equal(errno, ENOMEM);
    secret_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_wiped_before_they_are_given_back),
        cmocka_unit_test(a_secret_is_zero_and_locked_and_in_no_dump),
        cmocka_unit_test(whoever_runs_over_an_end_dies),
        cmocka_unit_test(memory_that_cannot_be_locked_is_refused),
        cmocka_unit_test(a_slice_stays_within_its_secret),
        cmocka_unit_test(a_secret_that_is_released_has_no_pages_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
