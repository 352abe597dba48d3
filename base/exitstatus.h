/* The status that a program ends with. One convention for all of them: that of sysexits.h, and 1
 * where the program did its work and the answer is no. */
#pragma once

#include <sysexits.h>

/* EX_OK for 0 or more; for a negative errno
 *   EX_NOPERM       the right is missing: -EACCES, -EPERM
 *   EX_OSERR        memory, descriptors, room on the disk: -ENOMEM, -EMFILE, -ENFILE, -ENOSPC
 *   EX_UNAVAILABLE  something that others provide is not there, or others have it: -ENODEV, -ENXIO,
 *                   -ENOTCONN, -ECONNREFUSED, -ECONNRESET, -ETIMEDOUT, -EBUSY, -EEXIST, -EADDRINUSE
 *   `other`         any other */
int exit_status(int r, int other);
