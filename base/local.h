/* Local sockets (SOCK_SEQPACKET) between a process and one that serves it. */
#pragma once

#include <sys/un.h>

/* Where such a socket is. 0, or -ENAMETOOLONG. */
int local_address(const char *path, struct sockaddr_un *ret);

/* Connects to the socket at `path`, which is not waited for, and neither is any message on *ret.
 * Returns 0, -ENAMETOOLONG, or another -errno: -ENOENT, -ECONNREFUSED where nobody listens there,
 * -EAGAIN where nobody accepts what is in the queue. */
int local_connect(const char *path, int *ret);
