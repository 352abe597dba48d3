/* netlink(7) by libmnl: one request and its answer at a time, and what the kernel tells unasked. */
#include "net/netlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct Netlink {
    struct mnl_socket *socket;
    uint32_t sequence;
    uint32_t port;
    _Alignas(max_align_t) uint8_t request[NETLINK_MESSAGE_MAX]; /* XFRM has 64-bit fields */
    _Alignas(max_align_t) uint8_t answer[4 * NETLINK_MESSAGE_MAX];
};

int netlink_new(int family, Netlink **ret)
{
    _cleanup_(netlink_freep) Netlink *netlink = calloc(1, sizeof(*netlink));
    if (!netlink)
        return -ENOMEM;
    netlink->socket = mnl_socket_open2(family, SOCK_CLOEXEC);
    if (!netlink->socket || mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) < 0)
        return -errno;
    netlink->port = mnl_socket_get_portid(netlink->socket);
    *ret = steal_pointer(netlink);
    return 0;
}

void netlink_free(Netlink *netlink)
{
    if (!netlink)
        return;
    if (netlink->socket)
        (void)mnl_socket_close(netlink->socket);
    /* XFRM requests carry keys. */
    explicit_bzero(netlink, sizeof(*netlink));
    free(netlink);
}

struct nlmsghdr *netlink_begin(Netlink *netlink, uint16_t type, uint16_t flags, size_t extra_size,
                               void *ret_extra)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(netlink->request);
    header->nlmsg_type = type;
    header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    header->nlmsg_seq = ++netlink->sequence;
    void *extra = mnl_nlmsg_put_extra_header(header, extra_size);
    memcpy(ret_extra, &extra, sizeof(extra));
    return header;
}

/* A part of a dump, kept until that is whole. */
typedef struct Part {
    struct Part *next;
    size_t size;
    _Alignas(max_align_t) uint8_t octets[];
} Part;

static void parts_free(Part *part)
{
    while (part) {
        Part *next = part->next;
        explicit_bzero(part->octets, part->size);
        free(part);
        part = next;
    }
}
DEFINE_POINTER_CLEANUP(Part, parts_free);

/* Puts a copy of the answer that was read behind the last part. */
static int keep(const Netlink *netlink, size_t size, Part **parts)
{
    Part *part = malloc(sizeof(*part) + size);
    if (!part)
        return -ENOMEM;
    part->next = NULL;
    part->size = size;
    memcpy(part->octets, netlink->answer, size);
    while (*parts)
        parts = &(*parts)->next;
    *parts = part;
    return 0;
}

/* Reads one datagram of the answer and wipes it: states are shown with their keys. What answers
 * another request was left by that, and is passed over. Returns MNL_CB_OK, MNL_CB_STOP at the end,
 * or -errno. */
static int read_datagram(Netlink *netlink, mnl_cb_t callback, void *userdata, Part **parts)
{
    const struct nlmsghdr *first = (const struct nlmsghdr *)netlink->answer;
    ssize_t size = mnl_socket_recvfrom(netlink->socket, netlink->answer, sizeof(netlink->answer));
    if (size < 0)
        return -errno;
    int r = MNL_CB_OK;
    if (first->nlmsg_seq == netlink->sequence) {
        r = mnl_cb_run(netlink->answer, (size_t)size, netlink->sequence, netlink->port, callback,
                       userdata);
        if (r < 0)
            r = -errno;
        if (r >= 0 && parts && keep(netlink, (size_t)size, parts) < 0)
            r = -ENOMEM;
    }
    explicit_bzero(netlink->answer, (size_t)size);
    return r;
}

/* The kernel answers before it lets the sender go on: whatever is to come is there. Nothing of it
 * stays for the next request to read. */
static void drain(Netlink *netlink)
{
    ssize_t size = 0;
    while (size >= 0) {
        explicit_bzero(netlink->answer, (size_t)size);
        size = recv(mnl_socket_get_fd(netlink->socket), netlink->answer, sizeof(netlink->answer),
                    MSG_DONTWAIT);
    }
}

/* Each message of the answer goes to `callback`; or, with `parts`, the answer is kept there. */
static int run(Netlink *netlink, mnl_cb_t callback, void *userdata, Part **parts)
{
    const struct nlmsghdr *request = (const struct nlmsghdr *)netlink->request;
    if (mnl_socket_sendto(netlink->socket, request, request->nlmsg_len) < 0)
        return -errno;
    int r;
    do {
        r = read_datagram(netlink, callback, userdata, parts);
    } while (r > MNL_CB_STOP);
    if (r < 0)
        drain(netlink);
    return r;
}

static int hand_on(const Netlink *netlink, const Part *parts, mnl_cb_t callback, void *userdata)
{
    int r = MNL_CB_OK;
    for (const Part *part = parts; part && r > MNL_CB_STOP; part = part->next) {
        r = mnl_cb_run(part->octets, part->size, netlink->sequence, netlink->port, callback,
                       userdata);
    }
    return r < 0 ? -errno : 0;
}

/* What is dumped while it changes may lack some and have some twice (NLM_F_DUMP_INTR, EINTR by
 * libmnl). So it is dumped anew, and handed on when it is whole. */
static int dump(Netlink *netlink, mnl_cb_t callback, void *userdata)
{
    struct nlmsghdr *request = (struct nlmsghdr *)netlink->request;
    for (unsigned i = 1;; i++) {
        _cleanup_(parts_freep) Part *parts = NULL;
        int r = run(netlink, NULL, NULL, &parts);
        if (r >= 0)
            return hand_on(netlink, parts, callback, userdata);
        if (r != -EINTR || i == NETLINK_DUMPS_MAX)
            return r;
        request->nlmsg_seq = ++netlink->sequence;
    }
}

int netlink_call(Netlink *netlink)
{
    ((struct nlmsghdr *)netlink->request)->nlmsg_flags |= NLM_F_ACK;
    int r = run(netlink, NULL, NULL, NULL);
    explicit_bzero(netlink->request, sizeof(netlink->request));
    return r;
}

int netlink_dump(Netlink *netlink, mnl_cb_t callback, void *userdata)
{
    const struct nlmsghdr *request = (const struct nlmsghdr *)netlink->request;
    const bool is_dump = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    int r = is_dump ? dump(netlink, callback, userdata) : run(netlink, callback, userdata, NULL);
    explicit_bzero(netlink->request, sizeof(netlink->request));
    return r;
}

uint32_t netlink_port(const Netlink *netlink)
{
    return netlink->port;
}

/* Returns 1 if `last` is among the answers, 0 if not, or the first error. */
static int read_answers(const void *answers, size_t size, uint32_t last)
{
    const struct nlmsghdr *header = answers;
    int left = (int)size;
    for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
        const struct nlmsgerr *error = mnl_nlmsg_get_payload(header);
        if (header->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(header) < sizeof(*error))
            continue;
        if (error->error != 0)
            return error->error;
        if (header->nlmsg_seq == last)
            return 1;
    }
    return 0;
}

int netlink_send(Netlink *netlink, const void *messages, size_t size, uint32_t last)
{
    if (mnl_socket_sendto(netlink->socket, messages, size) < 0)
        return -errno;
    int r;
    do {
        ssize_t got =
            mnl_socket_recvfrom(netlink->socket, netlink->answer, sizeof(netlink->answer));
        r = got < 0 ? -errno : read_answers(netlink->answer, (size_t)got, last);
    } while (r == 0);
    drain(netlink); /* answers behind the first error */
    return r < 0 ? r : 0;
}

struct NetlinkWatch {
    struct mnl_socket *socket;
};

int netlink_watch_join(NetlinkWatch *watch, int group, bool join)
{
    const int option = join ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP;
    return mnl_socket_setsockopt(watch->socket, option, &group, sizeof(group)) < 0 ? -errno : 0;
}

int netlink_watch_new(int family, const int *groups, size_t n_groups, NetlinkWatch **ret)
{
    _cleanup_(netlink_watch_freep) NetlinkWatch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    watch->socket = mnl_socket_open2(family, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!watch->socket || mnl_socket_bind(watch->socket, 0, MNL_SOCKET_AUTOPID) < 0)
        return -errno;
    for (size_t i = 0; i < n_groups; i++) {
        int r = netlink_watch_join(watch, groups[i], true);
        if (r < 0)
            return r;
    }
    *ret = steal_pointer(watch);
    return 0;
}

void netlink_watch_free(NetlinkWatch *watch)
{
    if (watch && watch->socket)
        (void)mnl_socket_close(watch->socket);
    free(watch);
}

int netlink_watch_fd(const NetlinkWatch *watch)
{
    return mnl_socket_get_fd(watch->socket);
}

enum { READS_AT_ONCE = 256 };

bool netlink_watch_read(NetlinkWatch *watch, mnl_cb_t callback, void *userdata)
{
    _Alignas(max_align_t) uint8_t buffer[2 * NETLINK_MESSAGE_MAX];
    bool lost = false;
    /* The rest is read in the loop's next turn: whoever has the kernel send without end holds up no
     * order. */
    for (unsigned i = 0; i < READS_AT_ONCE; i++) {
        ssize_t size = mnl_socket_recvfrom(watch->socket, buffer, sizeof(buffer));
        if (size < 0 && errno != ENOBUFS && errno != ENOSPC)
            return lost; /* EAGAIN: all is read */
        if (size < 0) {
            lost = true;
        } else {
            (void)mnl_cb_run(buffer, (size_t)size, 0, 0, callback, userdata);
            explicit_bzero(buffer, (size_t)size); /* new states are told with their keys */
        }
    }
    return lost;
}
