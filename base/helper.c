/* Starts helper processes and passes messages over their socket pairs. */
#include "base/helper.h"

#include "base/cleanup.h"
#include "base/monotonic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void spawn_actions_destroyp(posix_spawn_file_actions_t **actions)
{
    (void)posix_spawn_file_actions_destroy(*actions);
}

static void spawn_attributes_destroyp(posix_spawnattr_t **attributes)
{
    (void)posix_spawnattr_destroy(*attributes);
}

/* Who runs an event loop blocks the signals that it waits for; the helper is to die of them. */
static int signals_unblock(posix_spawnattr_t *attributes)
{
    sigset_t none;

    (void)sigemptyset(&none);
    int r = posix_spawnattr_setsigmask(attributes, &none);
    return r != 0 ? r : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK);
}

/* The channel first: descriptor HELPER_FD may be taken by one that is closed after. */
static int descriptors_set(posix_spawn_file_actions_t *actions, int channel)
{
    int r = posix_spawn_file_actions_adddup2(actions, channel, HELPER_FD);

    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(actions, HELPER_FD + 1);
    return r;
}

static int spawn(const char *path, const char *argument, int channel, pid_t *ret)
{
    _cleanup_(free_charp) char *name = strdup(path);
    _cleanup_(free_charp) char *option = argument ? strdup(argument) : NULL;
    char *const arguments[] = {name, option, NULL}, *const environment[] = {NULL};
    posix_spawn_file_actions_t actions_storage;
    posix_spawnattr_t attributes_storage;

    if (!name || (argument && !option))
        return -ENOMEM;
    int r = posix_spawn_file_actions_init(&actions_storage);
    if (r != 0)
        return -r;
    _cleanup_(spawn_actions_destroyp) posix_spawn_file_actions_t *actions = &actions_storage;
    r = posix_spawnattr_init(&attributes_storage);
    if (r != 0)
        return -r;
    _cleanup_(spawn_attributes_destroyp) posix_spawnattr_t *attributes = &attributes_storage;

    r = signals_unblock(attributes);
    if (r == 0)
        r = descriptors_set(actions, channel);
    if (r == 0)
        r = posix_spawn(ret, path, actions, attributes, arguments, environment);
    return -r;
}

int helper_process_start(const char *path, const char *argument, HelperProcess *ret)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    _cleanup_(close_fdp) int ours = ends[0], theirs = ends[1];
    pid_t pid = 0;
    int r = spawn(path, argument, theirs, &pid);

    if (r < 0)
        return r;
    *ret = (HelperProcess){pid, steal_fd(&ours)};
    return 0;
}

void helper_process_end(HelperProcess *process)
{
    if (process->pid <= 0)
        return;
    close_fdp(&process->channel);
    (void)kill(process->pid, SIGKILL);
    while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    *process = (HelperProcess){0, -1};
}

typedef union DescriptorControl {
    struct cmsghdr header; /* for its alignment */
    uint8_t octets[CMSG_SPACE(sizeof(int))];
} DescriptorControl;

int helper_send(int channel, Bytes message, int fd)
{
    union {
        const uint8_t *read;
        void *base;
    } octets = {.read = message.data}; /* sendmsg() does not write to it */
    struct iovec part = {octets.base, message.size};
    DescriptorControl control = {0};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd >= 0) {
        header.msg_control = &control;
        header.msg_controllen = sizeof(control);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
    }
    return sendmsg(channel, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int helper_receive(int channel, uint8_t *buffer, size_t size, int *ret_fd)
{
    struct iovec part = {buffer, size};
    DescriptorControl control = {0};
    struct msghdr header = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        /* Not what CMSG_SPACE() rounds up to, which is room for another one (MSG_CTRUNC). */
        .msg_controllen = CMSG_LEN(sizeof(int)),
    };
    ssize_t received = recvmsg(channel, &header, MSG_CMSG_CLOEXEC);

    if (received < 0)
        return -errno;
    _cleanup_(close_fdp) int fd = -1;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(rights), sizeof(fd));
    if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return -EMSGSIZE;
    *ret_fd = steal_fd(&fd);
    return (int)received;
}

static int wait_until(int channel, int64_t deadline)
{
    for (;;) {
        const int64_t left = deadline - (int64_t)monotonic_ms();
        struct pollfd polled = {.fd = channel, .events = POLLIN};
        int n = poll(&polled, 1, left > 0 ? (int)left : 0);

        if (n > 0)
            return 0;
        if (n == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

int helper_wait(int channel, int milliseconds)
{
    return wait_until(channel, (int64_t)monotonic_ms() + milliseconds);
}

int helper_drain(int channel, int milliseconds)
{
    const int64_t deadline = (int64_t)monotonic_ms() + milliseconds;

    for (;;) {
        uint8_t octet;
        int r = wait_until(channel, deadline);
        if (r < 0)
            return r;
        /* Without room for descriptors the kernel drops these, too. */
        ssize_t received = recv(channel, &octet, sizeof(octet), MSG_DONTWAIT);
        if (received == 0)
            return 0;
        if (received < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if ((int64_t)monotonic_ms() >= deadline)
            return -ETIMEDOUT;
    }
}
