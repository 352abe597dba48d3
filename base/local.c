/* Finds a local socket, and connects to it. */
#include "base/local.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int local_address(const char *path, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(ret->sun_path))
        return -ENAMETOOLONG;
    (void)snprintf(ret->sun_path, sizeof(ret->sun_path), "%s", path);
    return 0;
}

/* A local socket's connect() does not wait: it succeeds once there is room in the listener's queue,
 * and else is refused at once. */
int local_connect(const char *path, int *ret)
{
    struct sockaddr_un address;
    int r = local_address(path, &address);
    if (r < 0)
        return r;
    _cleanup_(close_fdp) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    *ret = steal_fd(&fd);
    return 0;
}
