/* Which rights does the IKE client need? None: its UDP ports are ephemeral, its keys are tred's. */
#include "ikeclient/rights.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int rights_drop(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    /* libc has no wrapper, and libcap is not worth a library for this one call. */
    if (syscall(SYS_capset, &header, none) < 0)
        return -errno;
    return 0;
}
