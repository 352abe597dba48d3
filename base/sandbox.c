/* Gives up descriptors, capabilities and system calls for good. */
#include "base/sandbox.h"

#include "base/cleanup.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

typedef void *FilterContext;

static void filter_releasep(FilterContext *filter)
{
    if (*filter)
        seccomp_release(*filter);
}

/* Memory, but never memory to run code from. */
static int memory_allow(FilterContext filter)
{
    static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};

    for (size_t i = 0; i < ELEMENTS(calls); i++) {
        int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (r < 0)
            return r;
    }
    return 0;
}

static bool has_sanitizer(void)
{
#ifdef __SANITIZE_ADDRESS__
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return true;
#endif
#endif
    return false;
}

static int calls_filter(uint32_t otherwise, const int *calls, size_t count)
{
    if (has_sanitizer())
        return 0;
    _cleanup_(filter_releasep) FilterContext filter = seccomp_init(otherwise);
    if (!filter)
        return -ENOMEM;
    int r = memory_allow(filter);
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return r < 0 ? r : seccomp_load(filter);
}

/* capset() only where there is something to lower: a unit's own filter may not have that call. */
static int capabilities_lower(uint32_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    const uint32_t left = data[0].permitted & kept;
    if (data[0].permitted == left && data[1].permitted == 0)
        return 0;
    const struct __user_cap_data_struct lowered[_LINUX_CAPABILITY_U32S_3] = {
        {.permitted = left, .effective = left},
    };
    return syscall(SYS_capset, &header, lowered) < 0 ? -errno : 0;
}

static int capabilities_keep(uint32_t kept)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -errno;
    /* The bounding set can be lowered only with CAP_SETPCAP; without it there is nothing to gain
     * from it. */
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    return capabilities_lower(kept);
}

int sandbox_leave_files(unsigned first)
{
    const struct rlimit none = {0};

    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || chdir("/") < 0 ||
        syscall(SYS_close_range, first, ~0U, 0) < 0)
        return -errno;
    return setrlimit(RLIMIT_CORE, &none) < 0 ? -errno : 0;
}

int sandbox_keep_rights(uint32_t kept, const int *calls, size_t count)
{
    int r = capabilities_keep(kept);

    return r == 0 ? calls_filter(SCMP_ACT_KILL_PROCESS, calls, count) : r;
}

int sandbox_refuse_others(const int *calls, size_t count)
{
    int r = capabilities_keep(0);

    return r == 0 ? calls_filter(SCMP_ACT_ERRNO(EPERM), calls, count) : r;
}

int sandbox_leave_capabilities(void)
{
    return capabilities_keep(0);
}

int sandbox_limit_memory(size_t octets)
{
    const struct rlimit limit = {octets, octets};

    if (has_sanitizer())
        return 0;
    return setrlimit(RLIMIT_DATA, &limit) < 0 ? -errno : 0;
}

int sandbox_enter(int channel, const int *calls, size_t count)
{
    const struct rlimit none = {0};

    if (channel > 3 && syscall(SYS_close_range, 3, channel - 1, 0) < 0)
        return -errno;
    int r = sandbox_leave_files((unsigned)channel + 1);
    /* Standard error may be a file: a line that can't be written there ends nobody. */
    (void)signal(SIGXFSZ, SIG_IGN);
    if (r == 0 && setrlimit(RLIMIT_FSIZE, &none) < 0)
        r = -errno;
    return r == 0 ? sandbox_keep_rights(0, calls, count) : r;
}
