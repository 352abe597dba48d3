/* errno to sysexits. */
#include "base/exitstatus.h"

#include <errno.h>

int exit_status(int r, int other)
{
    switch (r < 0 ? -r : 0) {
    case 0:
        return EX_OK;
    case EACCES:
    case EPERM:
        return EX_NOPERM;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
        return EX_OSERR;
    case ENODEV:
    case ENXIO:
    case ENOTCONN:
    case ECONNREFUSED:
    case ECONNRESET:
    case ETIMEDOUT:
    case EBUSY:
    case EEXIST:
    case EADDRINUSE:
        return EX_UNAVAILABLE;
    default:
        return other;
    }
}
