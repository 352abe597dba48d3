/* Keeps this process's memory to itself. */
#include "tred/process.h"
#include "base/log.h"
#include "base/program.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

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
    memory_lock_all();
    return capabilities_keep();
}
