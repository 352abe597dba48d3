/* Keeps a connection to tred-tpm: makes it, finds one that hangs, and makes it again. */
#include "tred/device_internal.h"

#include "base/cleanup.h"
#include "base/helper.h"
#include "base/local.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    LEAVE_MS = 6000, /* it gives itself five seconds */
    AGAIN_USEC = 1000 * 1000,
    ALIVE_USEC = 8 * 1000 * 1000, /* to answer a DEVICE_PING; a bus caller waits for 25 s */
    READ_BATCH = 8,               /* frames, before the rest of the loop has its turn */
};

static void timer_set(Device *device, uint64_t usec)
{
    if (sd_event_source_set_time_relative(device->timer, usec) < 0 ||
        sd_event_source_set_enabled(device->timer, SD_EVENT_ONESHOT) < 0)
        log_error("No timer can be set: tred-tpm is looked after no longer");
}

void device_lose(Device *device, int r)
{
    device->io = sd_event_source_disable_unref(device->io);
    device->lost = r;
    timer_set(device, 0);
}

static int send_request(const Device *device, const DeviceRequest *request, int fd)
{
    uint8_t buffer[DEVICE_FRAME_SIZE_MAX];
    Writer writer;
    Bytes frame;

    writer_init(&writer, buffer, sizeof(buffer));
    device_request_encode(&writer, request);
    int r = writer_finish(&writer, &frame);
    return r == 0 ? helper_send(device->channel, frame, fd) : r;
}

/* One that does not take what it is asked is as good as none: it reads all at once. */
int device_ask(Device *device, const DeviceRequest *request, int fd)
{
    if (!device->io)
        return -EPIPE;
    int r = send_request(device, request, fd);
    if (r < 0)
        device_lose(device, r);
    return r;
}

void device_say(Device *device, DeviceRequestType type, uint32_t number)
{
    const DeviceRequest request = {.type = type, .number = number};

    (void)device_ask(device, &request, -1);
}

void device_watch(Device *device)
{
    int enabled = SD_EVENT_OFF;

    (void)sd_event_source_get_enabled(device->timer, &enabled);
    if (enabled == SD_EVENT_OFF)
        timer_set(device, ALIVE_USEC);
}

static void watch(Device *device)
{
    if (device->awaited == 0 && !device->requests) {
        device->pinged = false;
        return;
    }
    if (device->pinged) {
        device_lose(device, -ETIMEDOUT);
        return;
    }
    device->pinged = true;
    timer_set(device, ALIVE_USEC);
    device_say(device, DEVICE_PING, 0);
}

static const char *lost_why(int r)
{
    switch (r) {
    case -EPIPE:
    case -ECONNRESET:
        return "it ended, or was stopped";
    case -EBADMSG:
    case -EMSGSIZE:
        return "it answered what is no answer";
    case -ETIMEDOUT:
        return "it does not answer";
    case -EAGAIN:
        return "it does not read what it is asked";
    default:
        return strerror(-r);
    }
}

static void channel_close(Device *device)
{
    close_fdp(&device->channel);
}

/* Whoever waits is told; what they ask for next is refused until there is a connection again. */
static void lost_tell(Device *device)
{
    reason_set(&device->problem, 0,
               "tred-tpm, which has the TPM, failed: %s. Nothing is signed until it is there again "
               "and has read the identity; see journalctl -u tred-tpm",
               lost_why(device->lost));
    device->lost = 0;
    device->pinged = false;
    device->broken = false;
    log_error("%s", device->problem.text);
    channel_close(device);
    device_fail_all(device);
    device->callbacks.failed(-EPIPE, device->problem.text, device->callbacks.userdata);
}

static int answer_receive(Device *device)
{
    uint8_t frame[DEVICE_FRAME_SIZE_MAX];
    _cleanup_(close_fdp) int fd = -1;
    DeviceAnswer answer;
    int r = helper_receive(device->channel, frame, sizeof(frame), &fd);

    if (r <= 0)
        return r == 0 ? -EPIPE : r;
    r = device_answer_decode((Bytes){frame, (size_t)r}, &answer);
    if (r == 0)
        device_answered(device, &answer, fd);
    return r;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Device *device = userdata;

    (void)source, (void)fd, (void)events;
    for (int i = 0; i < READ_BATCH && device->io; i++) {
        int r = answer_receive(device);

        if (r == -EAGAIN || r == -EINTR)
            break;
        if (r < 0) {
            device_lose(device, r);
            break;
        }
    }
    return 0;
}

/* Tells it where everything is, and listens to it. */
static int channel_begin(Device *device)
{
    DeviceRequest request = {.type = DEVICE_CONFIGURE, .files = device->files};
    int r = send_request(device, &request, -1);

    return r < 0 ? r
                 : sd_event_add_io(device->event, &device->io, device->channel, EPOLLIN, on_io,
                                   device);
}

/* Logged once, however often it is tried. */
static void problem_set(Device *device, int r)
{
    Reason before = device->problem;

    reason_set(&device->problem, 0,
               "There is no connection to tred-tpm, which has the TPM, at %.200s: %s. Start "
               "tred-tpm.socket, or correct [tpm] socket",
               device->path, strerror(-r));
    if (strcmp(before.text, device->problem.text) != 0)
        log_error("%s", device->problem.text);
}

static int channel_open(Device *device)
{
    int r = local_connect(device->path, &device->channel);

    if (r >= 0)
        r = channel_begin(device);
    if (r < 0) {
        channel_close(device);
        problem_set(device, r);
        timer_set(device, AGAIN_USEC);
    } else {
        device->problem = (Reason){0};
    }
    return r;
}

/* What there is to do follows from how things are, not from who set the timer. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Device *device = userdata;

    (void)source, (void)usec;
    if (device->lost != 0) {
        lost_tell(device);
        timer_set(device, AGAIN_USEC);
    } else if (device->io) {
        watch(device);
    } else if (channel_open(device) >= 0) {
        device->callbacks.revived(device->callbacks.userdata);
    }
    return 0;
}

int device_open(const char *path, const DeviceFiles *files, sd_event *event,
                const DeviceCallbacks *callbacks, Device **ret)
{
    Device *device = calloc(1, sizeof(*device));

    if (!device)
        return -ENOMEM;
    *device = (Device){.path = path,
                       .files = *files,
                       .channel = -1,
                       .callbacks = *callbacks,
                       .event = sd_event_ref(event)};
    int r =
        sd_event_add_time_relative(event, &device->timer, CLOCK_MONOTONIC, 0, 0, on_timer, device);
    if (r >= 0)
        r = sd_event_source_set_enabled(device->timer, SD_EVENT_OFF);
    if (r < 0) {
        device_close(device);
        return r;
    }
    (void)channel_open(device);
    *ret = device;
    return 0;
}

/* It gives back the TPM's slots when our end is closed, and ends. */
static void channel_leave(const Device *device)
{
    if (device->channel >= 0 && shutdown(device->channel, SHUT_WR) == 0)
        (void)helper_drain(device->channel, LEAVE_MS);
}

void device_close(Device *device)
{
    if (!device)
        return;
    device->io = sd_event_source_disable_unref(device->io);
    channel_leave(device);
    channel_close(device);
    sd_event_source_disable_unref(device->timer);
    sd_event_unref(device->event);
    device_drop_all(device);
    free(device);
}
