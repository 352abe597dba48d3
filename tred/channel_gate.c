/* Reads what a caller sends over its channel, and hands it on to sd-bus. */
#include "tred/channel_gate.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/log.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { CHUNK_SIZE = 4096, HEADER_SIZE = 16, ALIGNMENT = 8 };

/* Which octets of a caller's count is so no matter of how sd-bus takes its words: it is told these
 * in their place, and the caller's are passed over up to the end of BEGIN (D-Bus Specification,
 * Authentication Protocol). */
static const char GREETING[] = "\0AUTH ANONYMOUS 61\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
static const uint8_t END_OF_GREETING[] = {'\n', 'B', 'E', 'G', 'I', 'N', '\r', '\n'};

struct ChannelGate {
    char *name;      /* the caller's */
    int caller, bus; /* sockets */
    sd_event_source *from_caller, *to_bus;
    size_t greeted;              /* octets of END_OF_GREETING that the last octets are */
    uint8_t header[HEADER_SIZE]; /* of the message that comes in */
    size_t header_size;          /* of it is there */
    uint64_t left;               /* octets of the message after its header that are to come */
    uint8_t chunk[CHUNK_SIZE];   /* read, and to be handed on: */
    size_t begin, end;
    bool is_last; /* nothing is read after it */
};

/* Nothing more comes, and sd-bus sees that once it has read what was handed on. */
static void gate_close(ChannelGate *gate)
{
    gate->from_caller = sd_event_source_disable_unref(gate->from_caller);
    gate->to_bus = sd_event_source_disable_unref(gate->to_bus);
    close_fdp(&gate->caller);
    close_fdp(&gate->bus);
}

/* Octets of a message after its header: more than a size_t of 32 bits may hold. */
static uint64_t rest_of(const uint8_t *header)
{
    uint32_t body, fields;

    memcpy(&body, header + 4, sizeof(body));
    memcpy(&fields, header + 12, sizeof(fields));
    if (header[0] == 'l') {
        body = le32toh(body);
        fields = le32toh(fields);
    } else {
        body = be32toh(body);
        fields = be32toh(fields);
    }
    return ((uint64_t)fields + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + body;
}

/* -EBADMSG: the caller is not to be read any further. */
static int header_take(ChannelGate *gate, uint8_t octet)
{
    gate->header[gate->header_size++] = octet;
    if (gate->header_size < HEADER_SIZE)
        return 0;
    gate->header_size = 0;
    gate->left = rest_of(gate->header);
    return gate->left <= CHANNEL_MESSAGE_MAX - HEADER_SIZE ? 0 : -EBADMSG;
}

static bool is_greeted(const ChannelGate *gate)
{
    return gate->greeted == sizeof(END_OF_GREETING);
}

/* Passes the greeting over. */
static void greeting_skip(ChannelGate *gate)
{
    size_t at = 0;

    for (; at < gate->end && !is_greeted(gate); at++) {
        if (gate->chunk[at] == END_OF_GREETING[gate->greeted]) {
            gate->greeted++;
        } else {
            gate->greeted = gate->chunk[at] == END_OF_GREETING[0];
        }
    }
    gate->begin = at;
}

/* Looks at what was read. Of a message that is too large nothing more is handed on, and nothing
 * after it. */
static void chunk_check(ChannelGate *gate)
{
    size_t whole; /* up to there */

    greeting_skip(gate);
    whole = gate->begin;
    for (size_t at = gate->begin; at < gate->end && !gate->is_last;) {
        const size_t there = gate->end - at;
        const size_t passed = gate->left < there ? (size_t)gate->left : there;

        gate->left -= passed;
        at += passed;
        if (passed > 0)
            continue;
        if (gate->header_size == 0)
            whole = at;
        if (header_take(gate, gate->chunk[at++]) < 0) {
            gate->end = whole;
            gate->is_last = true;
        }
    }
}

/* 0 when all is handed on, else -errno. */
static int chunk_pass(ChannelGate *gate)
{
    while (gate->begin < gate->end) {
        const ssize_t sent = send(gate->bus, gate->chunk + gate->begin, gate->end - gate->begin,
                                  MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0)
            return -errno;
        gate->begin += (size_t)sent;
    }
    return 0;
}

/* Reads no more until what was read is handed on. */
static void gate_go_on(ChannelGate *gate, int r)
{
    if (r == 0)
        r = chunk_pass(gate);
    if (r == 0 && gate->is_last)
        r = -EBADMSG;
    const bool is_full = r == -EAGAIN;
    if (r == 0 || is_full)
        r = sd_event_source_set_enabled(gate->from_caller, is_full ? SD_EVENT_OFF : SD_EVENT_ON);
    if (r >= 0)
        r = sd_event_source_set_io_events(gate->to_bus, is_full ? EPOLLOUT : 0);
    if (r < 0)
        gate_close(gate);
}

static int on_caller(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    ChannelGate *gate = userdata;
    /* Without room for descriptors the kernel drops these. */
    const ssize_t received = recv(fd, gate->chunk, sizeof(gate->chunk), MSG_DONTWAIT);
    int r = -EPIPE;

    (void)source, (void)events;
    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (received > 0) {
        gate->end = (size_t)received;
        chunk_check(gate);
        if (gate->is_last) {
            log_warning("A message of %" PRIu64 " octets from %s is no call; its channel is closed",
                        HEADER_SIZE + gate->left, gate->name);
        }
        r = 0;
    }
    gate_go_on(gate, r);
    return 0;
}

/* There is room for more, or sd-bus has closed its end. */
static int on_bus(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)source, (void)fd;
    gate_go_on(userdata, events & (EPOLLHUP | EPOLLERR) ? -EPIPE : 0);
    return 0;
}

static int sources_add(ChannelGate *gate, sd_event *event, int caller)
{
    int r = sd_event_add_io(event, &gate->from_caller, caller, EPOLLIN, on_caller, gate);

    return r < 0 ? r : sd_event_add_io(event, &gate->to_bus, gate->bus, 0, on_bus, gate);
}

DEFINE_POINTER_CLEANUP(ChannelGate, channel_gate_free);

int channel_gate_open(sd_event *event, int fd, const char *name, ChannelGate **ret, int *ret_input)
{
    _cleanup_(channel_gate_freep) ChannelGate *gate = calloc(1, sizeof(*gate));
    int ends[2];

    if (!gate)
        return -ENOMEM;
    gate->caller = gate->bus = -1;
    gate->name = strdup(name);
    if (!gate->name)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -errno;
    _cleanup_(close_fdp) int input = ends[0];
    gate->bus = ends[1];
    int r = sources_add(gate, event, fd);
    if (r >= 0 && send(gate->bus, GREETING, sizeof(GREETING) - 1, MSG_NOSIGNAL) < 0)
        r = -errno;
    if (r < 0)
        return r;
    gate->caller = fd;
    *ret_input = steal_fd(&input);
    *ret = steal_pointer(gate);
    return 0;
}

void channel_gate_free(ChannelGate *gate)
{
    if (!gate)
        return;
    gate_close(gate);
    free(gate->name);
    free(gate);
}
