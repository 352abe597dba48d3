/* How does a message, perhaps with a descriptor, get over the socket pair? */
#include "dataplane/channel.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

typedef union DescriptorControl {
    struct cmsghdr header; /* for its alignment */
    uint8_t octets[CMSG_SPACE(sizeof(int))];
} DescriptorControl;

int channel_send(int channel, Bytes message, int fd)
{
    union {
        const uint8_t *read;
        void *base;
    } octets = {.read = message.data}; /* sendmsg() does not write to it */
    struct iovec part = {octets.base, message.size};
    DescriptorControl control = {};
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

int channel_receive(int channel, uint8_t *buffer, size_t size, int *ret_fd)
{
    struct iovec part = {buffer, size};
    DescriptorControl control = {};
    struct msghdr header = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
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
