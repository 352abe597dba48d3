/* Keeps this process's memory to itself. */
#include "tred/process.h"
#include "base/log.h"
#include "base/program.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool may_lock_all(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY)
        return true;
    return syscall(SYS_capget, &header, data) == 0 &&
           (data[0].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

/* Keys live in the secure heap, which is locked by itself; this is for what libraries copy to stack
 * and heap. Asked for only where nothing limits it: under a limit, MCL_FUTURE makes later
 * allocations fail. */
static void memory_lock(void)
{
    if (!may_lock_all()) {
        log_warning(
            "Memory other than the keys' may be swapped out: set LimitMEMLOCK=infinity in the "
            "unit, or encrypt the swap space");
        return;
    }
    /* ONFAULT: what is never touched need not be in memory. */
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0) {
        log_warning("mlockall: %s. Memory other than the keys' may be swapped out",
                    strerror(errno));
    }
    memory_unlock_code();
}

/* What systemd gave us is for us alone: a program that we start gets no capability. */
static int capabilities_keep(void)
{
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? -errno : 0;
}

void process_raise_descriptors(size_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted) {
        log_warning("At most %llu descriptors can be open, and fewer exchanges at once therefore: "
                    "set LimitNOFILE=%zu in the unit",
                    (unsigned long long)limit.rlim_cur, wanted);
    }
}

int process_harden(void)
{
    const struct rlimit no_core = {0, 0};

    if (setrlimit(RLIMIT_CORE, &no_core) < 0)
        return -errno;
    /* Also makes /proc/PID root's, so that another process of this user can't read our memory. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    (void)umask(S_IRWXG | S_IRWXO);
    memory_lock();
    return capabilities_keep();
}
