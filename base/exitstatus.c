/* errno to sysexits. */
#include "base/exitstatus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

int exit_printed(const char *program, int status)
{
    const int failed = ferror(stdout);

    if (fclose(stdout) == 0 && !failed)
        return status;
    (void)fprintf(stderr, "%s: the output could not be written: %s\n", program, strerror(errno));
    return EX_IOERR;
}
