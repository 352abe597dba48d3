/* Gives up descriptors, capabilities and system calls for good. */
#include "base/sandbox.h"

#include "base/cleanup.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
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

static int calls_filter(const int *calls, size_t count)
{
    if (has_sanitizer())
        return 0;
    _cleanup_(filter_releasep) FilterContext filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return -ENOMEM;
    int r = memory_allow(filter);
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return r < 0 ? r : seccomp_load(filter);
}

/* Where a unit's filter has no capset(), there is no capability to drop either. */
static bool has_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &header, data) < 0)
        return true;
    return (data[0].permitted | data[1].permitted) != 0;
}

static int capabilities_drop(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -errno;
    /* The bounding set can be lowered only with CAP_SETPCAP; without it there is nothing to gain
     * from it. */
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    return has_capabilities() && syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int files_leave(int channel)
{
    const struct rlimit none = {0};

    if (chdir("/") < 0)
        return -errno;
    if (channel > 3 && syscall(SYS_close_range, 3, channel - 1, 0) < 0)
        return -errno;
    if (syscall(SYS_close_range, channel + 1, ~0U, 0) < 0)
        return -errno;
    return setrlimit(RLIMIT_FSIZE, &none) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ? -errno : 0;
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
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    int r = files_leave(channel);
    if (r == 0)
        r = capabilities_drop();
    return r == 0 ? calls_filter(calls, count) : r;
}
