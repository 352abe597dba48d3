/* What is a process left with that gives its rights up? Each is a child of this test's own, which
 * looks at itself. */
#include "base/sandbox.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/program.h"

/* What the children need for their looks at themselves; none is among what they try. */
static const int needed[] = {
    SCMP_SYS(prctl),      SCMP_SYS(fcntl),  SCMP_SYS(prlimit64), SCMP_SYS(getcwd),
    SCMP_SYS(exit_group), SCMP_SYS(capget), SCMP_SYS(munmap),    SCMP_SYS(rt_sigaction),
};

enum { LOW = 15, HIGH = 20 };

static unsigned rule_fails; /* the one to come that there is no memory for, counted from 1 */
int __real_seccomp_rule_add(scmp_filter_ctx filter, uint32_t action, int call, unsigned count, ...);
int __wrap_seccomp_rule_add(scmp_filter_ctx filter, uint32_t action, int call, unsigned count, ...);
int __wrap_seccomp_rule_add(scmp_filter_ctx filter, uint32_t action, int call, unsigned count, ...)
{
    va_list values;

    if (rule_fails > 0 && --rule_fails == 0)
        return -ENOMEM;
    if (count == 0)
        return __real_seccomp_rule_add(filter, action, call, 0);
    va_start(values, count);
    const struct scmp_arg_cmp comparison = va_arg(values, struct scmp_arg_cmp);
    va_end(values);
    return __real_seccomp_rule_add(filter, action, call, 1, comparison);
}

/* What a child says of itself: 0, the line where something was not as it should be, or the signal
 * that ended it, negative. */
static int child_says(int (*deed)(void))
{
    const pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        errno = EXDEV; /* of a call before */
        _exit(deed());
    }
    return program_status(pid);
}

/* Within the 255 that a status has room for. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__ % 254 + 1;                                                             \
    } while (0)

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static bool is_limited_to_nothing(int resource)
{
    struct rlimit limit = {1, 1};

    return getrlimit((__rlimit_resource_t)resource, &limit) == 0 && limit.rlim_cur == 0 &&
           limit.rlim_max == 0;
}

static bool is_at_the_root(void)
{
    char folder[64] = "";

    return getcwd(folder, sizeof(folder)) && strcmp(folder, "/") == 0;
}

static int descriptors_take(void)
{
    MUST(chdir("/tmp") == 0);
    for (int fd = 3; fd <= HIGH; fd++)
        MUST(dup2(STDIN_FILENO, fd) == fd);
    return 0;
}

static int leave_files(void)
{
    int r = descriptors_take();

    MUST(r == 0 && sandbox_leave_files(LOW + 1) == 0);
    MUST(is_open(STDIN_FILENO) && is_open(3) && is_open(LOW));
    MUST(!is_open(LOW + 1) && !is_open(HIGH));
    MUST(is_at_the_root());
    MUST(is_limited_to_nothing(RLIMIT_CORE));
    MUST(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    return 0;
}

static void who_leaves_files_has_those_below_and_nobody_looks_in(void **state)
{
    (void)state;
    assert_int_equal(child_says(leave_files), 0);
}

static int channel_of_enter;

static int enter(void)
{
    int r = descriptors_take();

    MUST(r == 0 && sandbox_enter(channel_of_enter, needed, ELEMENTS(needed)) == 0);
    for (int fd = 3; fd <= HIGH; fd++)
        MUST(is_open(fd) == (fd == channel_of_enter));
    MUST(is_open(STDERR_FILENO));
    MUST(is_at_the_root());
    MUST(is_limited_to_nothing(RLIMIT_CORE) && is_limited_to_nothing(RLIMIT_FSIZE));
    MUST(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    return 0;
}

static void who_enters_keeps_one_channel_and_writes_no_file(void **state)
{
    static const int channels[] = {3, 4, LOW, HIGH};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(channels); i++) {
        channel_of_enter = channels[i];
        assert_int_equal(child_says(enter), 0);
    }
}

static int enter_and_stray(void)
{
    MUST(sandbox_enter(3, needed, ELEMENTS(needed)) == 0);
    (void)syscall(SYS_getppid);
    return 0;
}

static int enter_and_run(void)
{
    MUST(sandbox_enter(3, needed, ELEMENTS(needed)) == 0);
    (void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return 0;
}

static void another_call_or_memory_that_is_code_ends_who_entered(void **state)
{
    (void)state;
    if (program_has_sanitizer())
        skip();
    assert_int_equal(child_says(enter_and_stray), -SIGSYS);
    assert_int_equal(child_says(enter_and_run), -SIGSYS);
}

static int refuse_others(void)
{
    MUST(sandbox_refuse_others(needed, ELEMENTS(needed)) == 0);
    MUST(syscall(SYS_getppid) < 0 && errno == EPERM);
    MUST(mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(memory != MAP_FAILED);
    MUST(mprotect(memory, 4096, PROT_READ | PROT_EXEC) < 0);
    MUST(mprotect(memory, 4096, PROT_READ | PROT_WRITE) == 0);
    return 0;
}

static void who_refuses_others_gets_an_error_for_them(void **state)
{
    (void)state;
    if (program_has_sanitizer())
        skip();
    assert_int_equal(child_says(refuse_others), 0);
}

static int without_a_rule(void)
{
    MUST(sandbox_refuse_others(needed, ELEMENTS(needed)) == -ENOMEM);
    MUST(rule_fails == 0);
    return 0;
}

static void without_one_of_its_rules_there_is_no_filter(void **state)
{
    (void)state;
    if (program_has_sanitizer())
        skip();
    for (unsigned i = 1; i <= 2 + ELEMENTS(needed); i++) {
        rule_fails = i;
        assert_int_equal(child_says(without_a_rule), 0);
    }
    rule_fails = 0;
}

typedef struct __user_cap_data_struct CapabilityData;

static bool capabilities_get(CapabilityData ret[_LINUX_CAPABILITY_U32S_3])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

    return syscall(SYS_capget, &header, ret) == 0;
}

static bool capabilities_set(const CapabilityData data[_LINUX_CAPABILITY_U32S_3])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

    return syscall(SYS_capset, &header, data) == 0;
}

static int leave_capabilities(void)
{
    CapabilityData data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    MUST(sandbox_leave_capabilities() == 0);
    MUST(capabilities_get(data));
    MUST(data[0].permitted == 0 && data[0].effective == 0 && data[1].permitted == 0);
    MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    MUST(prctl(PR_CAPBSET_READ, 0, 0, 0, 0) == 0);
    /* And again, where a filter leaves no call to lower any. */
    MUST(sandbox_refuse_others(needed, ELEMENTS(needed)) == 0);
    MUST(sandbox_leave_capabilities() == 0);
    return 0;
}

/* Those beyond the first 32 are none that anybody keeps. */
static int keep_the_first_32(void)
{
    CapabilityData before[_LINUX_CAPABILITY_U32S_3] = {{0}}, data[_LINUX_CAPABILITY_U32S_3];

    MUST(capabilities_get(before));
    static const int calls[] = {SCMP_SYS(capset)};
    int all[ELEMENTS(needed) + ELEMENTS(calls)];
    memcpy(all, needed, sizeof(needed));
    memcpy(all + ELEMENTS(needed), calls, sizeof(calls));
    MUST(sandbox_keep_rights(~0U, all, ELEMENTS(all)) == 0);
    MUST(capabilities_get(data));
    MUST(data[0].permitted == before[0].permitted && data[1].permitted == 0);
    return 0;
}

/* A right that what is started would have, too. */
static int keep_one_that_is_ambient(void)
{
    const uint32_t kept = CAP_TO_MASK(CAP_NET_ADMIN);
    const CapabilityData one[_LINUX_CAPABILITY_U32S_3] = {
        {.permitted = kept, .effective = kept, .inheritable = kept}};
    CapabilityData data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    MUST(capabilities_set(one));
    MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) == 0);
    MUST(sandbox_keep_rights(kept, needed, ELEMENTS(needed)) == 0);
    MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_ADMIN, 0, 0) == 0);
    MUST(capabilities_get(data));
    MUST(data[0].permitted == kept && data[0].effective == kept);
    return 0;
}

static void capabilities_go_for_good_but_those_that_are_kept(void **state)
{
    CapabilityData data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    (void)state;
    assert_true(capabilities_get(data));
    if ((data[0].permitted & CAP_TO_MASK(CAP_NET_ADMIN)) == 0 || data[1].permitted == 0)
        skip(); /* there is nothing to lose */
    assert_int_equal(child_says(leave_capabilities), 0);
    assert_int_equal(child_says(keep_the_first_32), 0);
    assert_int_equal(child_says(keep_one_that_is_ambient), 0);
}

static int limit_memory(void)
{
    struct rlimit limit = {0};

    MUST(sandbox_limit_memory(64UL << 20) == 0);
    MUST(getrlimit(RLIMIT_DATA, &limit) == 0);
    MUST(limit.rlim_cur == 64UL << 20 && limit.rlim_max == 64UL << 20);
    return 0;
}

static void memory_has_its_limit(void **state)
{
    (void)state;
    if (program_has_sanitizer())
        skip();
    assert_int_equal(child_says(limit_memory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_leaves_files_has_those_below_and_nobody_looks_in),
        cmocka_unit_test(who_enters_keeps_one_channel_and_writes_no_file),
        cmocka_unit_test(another_call_or_memory_that_is_code_ends_who_entered),
        cmocka_unit_test(who_refuses_others_gets_an_error_for_them),
        cmocka_unit_test(without_one_of_its_rules_there_is_no_filter),
        cmocka_unit_test(capabilities_go_for_good_but_those_that_are_kept),
        cmocka_unit_test(memory_has_its_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
