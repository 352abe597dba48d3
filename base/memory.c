/* Locks all memory, where that harms nobody. */
#include "base/memory.h"

#include "base/log.h"
#include "base/program.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
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

/* Asked for only where nothing limits it: under a limit, MCL_FUTURE makes later allocations fail.
 */
void memory_lock_all(void)
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
