/* How do ESP packets come in in the fewest system calls? */
#include "esp/inbox.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

struct Inbox {
    struct mmsghdr messages[INBOX_RUNS_MAX];
    struct iovec parts[INBOX_RUNS_MAX];
    _Alignas(struct cmsghdr) uint8_t controls[INBOX_RUNS_MAX][CMSG_SPACE(sizeof(int))];
    uint8_t buffers[INBOX_RUNS_MAX][INBOX_RUN_SIZE];
};

int inbox_new(Inbox **ret)
{
    Inbox *inbox = calloc(1, sizeof(*inbox));
    if (!inbox)
        return -ENOMEM;
    *ret = inbox;
    return 0;
}

void inbox_free(Inbox *inbox)
{
    free(inbox);
}

int inbox_receive(Inbox *inbox, int fd)
{
    for (size_t i = 0; i < INBOX_RUNS_MAX; i++) {
        inbox->parts[i] = (struct iovec){inbox->buffers[i], INBOX_RUN_SIZE};
        inbox->messages[i].msg_hdr = (struct msghdr){
            .msg_iov = &inbox->parts[i],
            .msg_iovlen = 1,
            .msg_control = inbox->controls[i],
            .msg_controllen = sizeof(inbox->controls[i]),
        };
    }
    int n = recvmmsg(fd, inbox->messages, INBOX_RUNS_MAX, MSG_DONTWAIT, NULL);
    return n < 0 ? -errno : n;
}

InboxRun inbox_run(const Inbox *inbox, unsigned index)
{
    const struct mmsghdr *message = &inbox->messages[index];
    InboxRun run = {
        .data = message->msg_hdr.msg_iov->iov_base,
        .size = message->msg_len,
        .segment_size = message->msg_len,
    };
    struct cmsghdr *control = CMSG_FIRSTHDR(&message->msg_hdr);
    if (control && control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
        int segment_size = 0;
        memcpy(&segment_size, CMSG_DATA(control), sizeof(segment_size));
        if (segment_size > 0)
            run.segment_size = (size_t)segment_size;
    }
    return run;
}
