/* Makes, keeps and ends the connections past the bus daemon. */
#include "tred/channel.h"

#include "base/log.h"
#include "tred/bus.h"
#include "tred/bus_call.h"
#include "tred/channel_gate.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

struct Channel {
    Channel *next;
    sd_bus *bus; /* its description is the owner's unique name */
    ChannelGate *gate;
};

static const char *channel_name(const Channel *channel)
{
    const char *name = "";

    (void)sd_bus_get_description(channel->bus, &name);
    return name;
}

/* A call that is still to be answered holds a reference on the bus, and is then answered nowhere.
 */
static void channel_free(Channel *channel)
{
    if (channel->bus)
        sd_bus_detach_event(channel->bus);
    /* Not flushed: whoever does not read would have us wait. */
    sd_bus_close_unref(channel->bus);
    channel_gate_free(channel->gate);
    free(channel);
}

DEFINE_POINTER_CLEANUP(Channel, channel_free);

/* Whoever calls on and never reads what is answered would have us hold it all. */
static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    sd_bus *bus = sd_bus_message_get_bus(call);
    uint64_t unread = 0;

    (void)userdata, (void)error;
    if (sd_bus_get_n_queued_write(bus, &unread) < 0 || unread <= CHANNEL_UNREAD_MAX)
        return 0;
    log_warning("%s does not read what it is answered; its channel is closed", call_sender(call));
    sd_bus_close(bus);
    return 1;
}

/* What the caller sends goes through a gate, and what it is sent, descriptors among it, does not.
 * Takes the descriptor over. */
static int descriptors_set(Daemon *daemon, Channel *channel, int *fd, const char *name)
{
    _cleanup_(close_fdp) int output = fcntl(*fd, F_DUPFD_CLOEXEC, 0), input = -1;

    if (output < 0)
        return -errno;
    int r = channel_gate_open(daemon->event, *fd, name, &channel->gate, &input);
    if (r < 0)
        return r;
    *fd = -1;
    r = sd_bus_set_fd(channel->bus, input, output);
    if (r < 0)
        return r;
    (void)steal_fd(&input);
    (void)steal_fd(&output);
    return 0;
}

static int connection_begin(Daemon *daemon, Channel *channel, int *fd, const char *name)
{
    sd_bus *bus = channel->bus;
    sd_id128_t id;
    int r = sd_id128_randomize(&id);

    if (r >= 0)
        r = sd_bus_set_description(bus, name);
    if (r >= 0)
        r = descriptors_set(daemon, channel, fd, name);
    if (r >= 0)
        r = sd_bus_set_server(bus, true, id);
    if (r >= 0) /* who is at the other end, the bus knew */
        r = sd_bus_set_anonymous(bus, true);
    if (r >= 0)
        r = sd_bus_negotiate_fds(bus, true);
    if (r >= 0)
        r = sd_bus_add_filter(bus, NULL, on_call, daemon);
    if (r >= 0)
        r = sd_bus_add_filter(bus, NULL, bus_admit_filter, daemon);
    if (r >= 0)
        r = bus_manager_register_channel(daemon, bus);
    if (r >= 0)
        r = bus_exchange_register_channel(daemon, bus);
    if (r >= 0)
        r = sd_bus_start(bus);
    if (r >= 0)
        r = sd_bus_attach_event(bus, daemon->event, SD_EVENT_PRIORITY_NORMAL);
    return r;
}

int channel_open(Daemon *daemon, const char *name, int *ret_fd)
{
    _cleanup_(channel_freep) Channel *channel = calloc(1, sizeof(*channel));
    int ends[2];
    size_t count = 0;
    int r;

    if (!channel)
        return -ENOMEM;
    channel_close(daemon, name);
    for (const Channel *other = daemon->channels; other; other = other->next)
        count++;
    if (count >= CHANNELS_MAX)
        return -EBUSY;
    r = sd_bus_new(&channel->bus);
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -errno;
    _cleanup_(close_fdp) int ours = ends[0], theirs = ends[1];
    r = connection_begin(daemon, channel, &ours, name);
    if (r < 0)
        return r;
    channel->next = daemon->channels;
    daemon->channels = steal_pointer(channel);
    *ret_fd = steal_fd(&theirs);
    return 0;
}

void channel_close(Daemon *daemon, const char *name)
{
    for (Channel **place = &daemon->channels; *place; place = &(*place)->next) {
        Channel *channel = *place;

        if (strcmp(channel_name(channel), name) != 0)
            continue;
        *place = channel->next;
        channel_free(channel);
        return;
    }
}

void channels_close_all(Daemon *daemon)
{
    while (daemon->channels) {
        Channel *first = daemon->channels;

        daemon->channels = first->next;
        channel_free(first);
    }
}
