/* What may the process that handles foreign packets still do? Move packets; nothing else. */
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

/* Every system call that stays, and why. */
static const int ALLOWED_CALLS[] = {
    SCMP_SYS(poll), /* wait for packets and orders */
    SCMP_SYS(ppoll),         SCMP_SYS(restart_syscall), SCMP_SYS(readv), /* a packet from the TUN */
    SCMP_SYS(writev),                                                    /* a packet to the TUN */
    SCMP_SYS(recvmmsg),                                                  /* ESP packets in */
    SCMP_SYS(sendmmsg),                                                  /* ESP packets out */
    SCMP_SYS(recvmsg),                                                   /* orders */
    SCMP_SYS(sendmsg),                        /* reports; an ESP packet sent singly */
    SCMP_SYS(close),                          /* the TUN or a socket that an order closes */
    SCMP_SYS(write),                          /* a last word on standard error */
    SCMP_SYS(clock_gettime),                  /* lifetimes, where the vDSO can't tell the time */
    SCMP_SYS(getrandom),                      /* IVs of CBC */
    SCMP_SYS(getpid),                         /* OpenSSL's random generator looks for a fork() */
    SCMP_SYS(brk),                            /* memory of an SA */
    SCMP_SYS(munmap),        SCMP_SYS(futex), /* OpenSSL's locks */
    SCMP_SYS(rt_sigreturn),  SCMP_SYS(exit_group),
};

static int allow_calls(FilterContext filter)
{
    for (size_t i = 0; i < ELEMENTS(ALLOWED_CALLS); i++) {
        int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, ALLOWED_CALLS[i], 0);
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

static int filter_calls(void)
{
#ifdef __SANITIZE_ADDRESS__
    return 0; /* the sanitizers' run-time reads /proc and more */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return 0;
#endif
#endif
    _cleanup_(filter_releasep) FilterContext filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return -ENOMEM;
    int r = allow_calls(filter);
    return r < 0 ? r : seccomp_load(filter);
}

/* tred passes none on; its unit's filter has no capset() then, nor is there need of it. */
static bool has_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
    if (syscall(SYS_capget, &header, data) < 0)
        return true;
    return (data[0].permitted | data[1].permitted) != 0;
}

static int drop_capabilities(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -errno;
    /* The bounding set can be lowered only with CAP_SETPCAP; without it there is nothing to gain
     * from it. */
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (!has_capabilities())
        return 0;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

/* Nothing inherited but the socket pair and standard error; nothing can be written to a file. */
static int leave_files(int channel)
{
    if (chdir("/") < 0)
        return -errno;
    if (syscall(SYS_close_range, 3, channel - 1, 0) < 0 && channel > 3)
        return -errno;
    if (syscall(SYS_close_range, channel + 1, ~0U, 0) < 0)
        return -errno;
    const struct rlimit none = {};
    return setrlimit(RLIMIT_FSIZE, &none) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ? -errno : 0;
}

int lockdown(int channel)
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    int r = leave_files(channel);
    if (r >= 0)
        r = drop_capabilities();
    if (r >= 0)
        r = filter_calls();
    return r;
}
