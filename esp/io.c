/* Packets between the host, the network and us, in the fewest system calls. */
#include "esp/io.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

int tun_read(int fd, struct virtio_net_hdr *ret_header, uint8_t *buffer)
{
    struct iovec parts[] = {
        {ret_header, sizeof(*ret_header)},
        {buffer, TUN_PACKET_MAX},
    };
    ssize_t size = readv(fd, parts, 2);
    if (size < 0)
        return -errno;
    if ((size_t)size < sizeof(*ret_header))
        return -EIO;
    return (int)((size_t)size - sizeof(*ret_header));
}

int tun_write(int fd, const struct virtio_net_hdr *header, struct iovec *parts, size_t n_parts)
{
    struct virtio_net_hdr copy = *header;
    parts[0] = (struct iovec){&copy, sizeof(copy)};
    return writev(fd, parts, (int)(n_parts + 1)) < 0 ? -errno : 0;
}

/* Of a UDP_GRO or UDP_SEGMENT message, and one of DSCP and ECN. */
enum { CONTROL_SIZE = 2 * CMSG_SPACE(sizeof(int)) };

struct Inbox {
    struct mmsghdr messages[INBOX_RUNS_MAX];
    struct iovec parts[INBOX_RUNS_MAX];
    _Alignas(struct cmsghdr) uint8_t controls[INBOX_RUNS_MAX][CONTROL_SIZE];
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

/* IP_TOS comes as an octet, the others as an int. */
static void read_control(const struct cmsghdr *control, InboxRun *run)
{
    int value = 0;
    if (control->cmsg_len >= CMSG_LEN(sizeof(value)))
        memcpy(&value, CMSG_DATA(control), sizeof(value));
    if (control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO && value > 0)
        run->segment_size = (size_t)value;
    if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_TCLASS)
        run->traffic_class = (uint8_t)value;
    if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TOS)
        run->traffic_class = *CMSG_DATA(control);
}

InboxRun inbox_run(const Inbox *inbox, unsigned index)
{
    const struct mmsghdr *message = &inbox->messages[index];
    InboxRun run = {
        .data = message->msg_hdr.msg_iov->iov_base,
        .size = message->msg_len,
        .segment_size = message->msg_len,
    };
    struct msghdr header = message->msg_hdr; /* CMSG_NXTHDR() wants one that it could write to */
    for (struct cmsghdr *control = CMSG_FIRSTHDR(&header); control;
         control = CMSG_NXTHDR(&header, control))
        read_control(control, &run);
    return run;
}

enum {
    SEGMENTS_MAX = 64,    /* UDP_MAX_SEGMENTS of older kernels */
    RUN_SIZE_MAX = 65000, /* with any outer headers below the 64 KiB of one IP packet */
};

/* Packets of one size, the last one perhaps shorter, as the kernel's UDP GSO wants them. */
typedef struct Run {
    const struct sockaddr_storage *to;
    uint8_t *data;
    size_t size;
    size_t segment_size;
    size_t n_segments;
    uint8_t traffic_class;
    bool closed;
} Run;

struct Outbox {
    int fd; /* of all that waits */
    size_t used;
    size_t n_runs;
    uint64_t failures;
    bool no_segmentation; /* the path's device refused it */
    Run runs[OUTBOX_RUNS_MAX];
    struct mmsghdr messages[OUTBOX_RUNS_MAX];
    struct iovec parts[OUTBOX_RUNS_MAX];
    _Alignas(struct cmsghdr) uint8_t controls[OUTBOX_RUNS_MAX][CONTROL_SIZE];
    uint8_t buffer[OUTBOX_SIZE];
};

int outbox_new(Outbox **ret)
{
    Outbox *outbox = calloc(1, sizeof(*outbox));
    if (!outbox)
        return -ENOMEM;
    outbox->fd = -1;
    *ret = outbox;
    return 0;
}

void outbox_free(Outbox *outbox)
{
    free(outbox);
}

uint8_t *outbox_reserve(Outbox *outbox, int fd, size_t size)
{
    assert(size <= OUTBOX_PACKET_MAX);
    if (fd != outbox->fd || size > OUTBOX_SIZE - outbox->used || outbox->n_runs == OUTBOX_RUNS_MAX)
        outbox_flush(outbox);
    outbox->fd = fd;
    return outbox->buffer + outbox->used;
}

static bool run_takes(const Run *run, const struct sockaddr_storage *to, uint8_t traffic_class,
                      size_t size)
{
    return !run->closed && run->to == to && run->traffic_class == traffic_class &&
           size <= run->segment_size && run->n_segments < SEGMENTS_MAX &&
           run->size + size <= RUN_SIZE_MAX;
}

void outbox_commit(Outbox *outbox, const struct sockaddr_storage *to, uint8_t traffic_class,
                   size_t size)
{
    Run *run = outbox->n_runs > 0 ? &outbox->runs[outbox->n_runs - 1] : NULL;
    if (!run || outbox->no_segmentation || !run_takes(run, to, traffic_class, size)) {
        run = &outbox->runs[outbox->n_runs++];
        *run = (Run){
            .to = to,
            .data = outbox->buffer + outbox->used,
            .segment_size = size,
            .traffic_class = traffic_class,
        };
    }
    run->size += size;
    run->n_segments++;
    run->closed = size < run->segment_size;
    outbox->used += size;
}

static void address_message(struct msghdr *message, const struct sockaddr_storage *to)
{
    union {
        const struct sockaddr_storage *read;
        void *name;
    } address = {.read = to}; /* sendmsg() does not write to it */
    message->msg_name = address.name;
    message->msg_namelen =
        to->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* Appends a control message; `controls` has CONTROL_SIZE octets. */
static void add_control(struct msghdr *message, uint8_t *controls, int level, int type,
                        const void *value, size_t size)
{
    struct cmsghdr control = {.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(size)};
    uint8_t *at = controls + message->msg_controllen;
    memcpy(at, &control, sizeof(control));
    memcpy(at + CMSG_LEN(0), value, size);
    message->msg_control = controls;
    message->msg_controllen += CMSG_SPACE(size);
}

/* Zeros are what a packet has anyway. */
static void add_traffic_class(struct msghdr *message, uint8_t *controls, const Run *run)
{
    const int value = run->traffic_class;
    if (value == 0)
        return;
    if (run->to->ss_family == AF_INET) {
        add_control(message, controls, IPPROTO_IP, IP_TOS, &value, sizeof(value));
    } else {
        add_control(message, controls, IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof(value));
    }
}

static void fill_message(Outbox *outbox, size_t index)
{
    const Run *run = &outbox->runs[index];
    outbox->parts[index] = (struct iovec){run->data, run->size};
    struct msghdr *message = &outbox->messages[index].msg_hdr;
    *message = (struct msghdr){.msg_iov = &outbox->parts[index], .msg_iovlen = 1};
    address_message(message, run->to);
    add_traffic_class(message, outbox->controls[index], run);
    if (run->n_segments < 2)
        return;
    const uint16_t segment_size = (uint16_t)run->segment_size;
    add_control(message, outbox->controls[index], SOL_UDP, UDP_SEGMENT, &segment_size,
                sizeof(segment_size));
}

/* One by one: for a device or a path MTU that segmentation can't serve, where IP fragmentation may.
 */
static void send_singly(Outbox *outbox, const Run *run)
{
    for (size_t sent = 0; sent < run->size; sent += run->segment_size) {
        size_t left = run->size - sent;
        struct iovec part = {run->data + sent, left < run->segment_size ? left : run->segment_size};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        _Alignas(struct cmsghdr) uint8_t controls[CONTROL_SIZE];
        address_message(&message, run->to);
        add_traffic_class(&message, controls, run);
        if (sendmsg(outbox->fd, &message, MSG_NOSIGNAL) < 0)
            outbox->failures++;
    }
}

static void handle_refusal(Outbox *outbox, const Run *run, int error)
{
    if (run->n_segments > 1 && (error == EIO || error == EINVAL || error == EMSGSIZE)) {
        if (error == EIO) /* no checksum offload on the device: it will stay so */
            outbox->no_segmentation = true;
        send_singly(outbox, run);
    } else {
        outbox->failures += run->n_segments;
    }
}

void outbox_flush(Outbox *outbox)
{
    for (size_t i = 0; i < outbox->n_runs; i++)
        fill_message(outbox, i);
    size_t done = 0;
    while (done < outbox->n_runs) {
        int n = sendmmsg(outbox->fd, outbox->messages + done, (unsigned)(outbox->n_runs - done),
                         MSG_NOSIGNAL);
        if (n > 0) {
            done += (size_t)n;
        } else if (errno != EINTR) {
            handle_refusal(outbox, &outbox->runs[done++], errno);
        }
    }
    outbox->n_runs = 0;
    outbox->used = 0;
}

uint64_t outbox_failures(const Outbox *outbox)
{
    return outbox->failures;
}
