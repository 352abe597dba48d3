/* Listens at a local socket, and asks the kernel who connects. */
#include "base/local_serve.h"

#include "base/cleanup.h"
#include "base/local.h"
#include "base/log.h"

#include <errno.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* One that nobody listens at was left behind. Whoever serves it takes this for a connection that
 * came and went. With a full queue this waits: at the start of who is to serve, before its loop. */
static bool is_served(const struct sockaddr_un *address)
{
    _cleanup_(close_fdp) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
}

int local_listen(const char *path, int *ret)
{
    struct sockaddr_un address;
    int r = local_address(path, &address);
    if (r < 0)
        return r;
    _cleanup_(close_fdp) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (is_served(&address))
        return -EADDRINUSE;
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    mode_t before = umask(S_IXUSR | S_IXGRP | S_IXOTH);
    r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    (void)umask(before);
    if (r < 0)
        return r;
    if (listen(fd, SOMAXCONN) < 0)
        return -errno;
    *ret = steal_fd(&fd);
    return 0;
}

bool local_is_from(int connection, uid_t user)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    if (peer.uid != user)
        log_warning("User %u connected and is refused: this is for user %u", peer.uid, user);
    return peer.uid == user;
}

int local_accept(int listener, uid_t user, int *ret)
{
    _cleanup_(close_fdp) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (!local_is_from(fd, user))
        return -EACCES;
    *ret = steal_fd(&fd);
    return 0;
}

int local_user_find(const char *name, uid_t *ret)
{
    const struct passwd *user = name ? getpwnam(name) : NULL;
    if (!user) {
        log_error("There is no user %s. Make it with systemd-sysusers, or name another with --user",
                  name);
        return -EINVAL;
    }
    *ret = user->pw_uid;
    return 0;
}
