/* Descriptors, capabilities and system calls that a helper gives up (capabilities(7), seccomp(2)).
 */
#include "dataplane/lockdown.h"

#include "base/cleanup.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
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

static int allow_calls(FilterContext filter, const int *calls, size_t n_calls)
{
    for (size_t i = 0; i < n_calls; i++) {
        int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
        if (r < 0)
            return r;
    }
    /* Memory, but never memory to run code from. */
    int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (r >= 0) {
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
    return r;
}

static int filter_calls(const int *calls, size_t n_calls)
{
#ifdef __SANITIZE_ADDRESS__
    (void)calls, (void)n_calls, (void)allow_calls;
    return 0; /* the sanitizers' run-time reads /proc and more */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    (void)calls, (void)n_calls;
    return 0;
#endif
#endif
    _cleanup_(filter_releasep) FilterContext filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return -ENOMEM;
    int r = allow_calls(filter, calls, n_calls);
    return r < 0 ? r : seccomp_load(filter);
}

/* capset() only where there is something to lower: a unit's own filter may not have that call. */
static int keep_capabilities(uint32_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    uint32_t wanted = data[0].permitted & kept;
    if (data[0].permitted == wanted && data[1].permitted == 0)
        return 0;
    struct __user_cap_data_struct lowered[_LINUX_CAPABILITY_U32S_3] = {
        {.permitted = wanted, .effective = wanted},
    };
    return syscall(SYS_capset, &header, lowered) < 0 ? -errno : 0;
}

static int drop_capabilities(uint32_t kept)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -errno;
    /* The bounding set can be lowered only with CAP_SETPCAP; without it there is nothing to gain
     * from it. */
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    return keep_capabilities(kept);
}

int lockdown_files(unsigned first)
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || chdir("/") < 0)
        return -errno;
    if (syscall(SYS_close_range, first, ~0U, 0) < 0)
        return -errno;
    const struct rlimit none = {};
    return setrlimit(RLIMIT_CORE, &none) < 0 ? -errno : 0;
}

int lockdown_rights(uint32_t kept, const int *calls, size_t n_calls)
{
    int r = drop_capabilities(kept);
    return r < 0 ? r : filter_calls(calls, n_calls);
}
