/* Keeps a connection to tred-tpm, asks it, and keeps who waits for its answers. */
#include "tred/device.h"

#include "base/file.h"
#include "base/helper.h"
#include "base/local.h"
#include "base/log.h"
#include "crypto/spki.h"

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

/* A digest that is being signed. */
struct SigningRequest {
    Device *device;
    SigningRequest *next;
    uint32_t number;
    SigningDone done;
    void *userdata;
};

/* The device's key, as exchanges see it. */
typedef struct DeviceKey {
    SigningKey key;
    Device *device;
    char algorithm[DEVICE_WORD_SIZE];
} DeviceKey;

struct Device {
    const char *path; /* of tred-tpm's socket */
    DeviceFiles files;
    int channel; /* -1: there is no connection */
    DeviceCallbacks callbacks;
    sd_event *event;
    sd_event_source *io;    /* NULL: there is no connection, or it is about to be given up */
    sd_event_source *timer; /* a loss to be told, a connection to be made, or an answer overdue */
    int lost;               /* -errno, which is to be told; 0: it is there, or was told */
    bool pinged;            /* and nothing was heard since */
    Reason problem;         /* why there is no connection; empty: there is one */
    uint32_t last_number;
    uint32_t awaited;        /* what takes long and is under way; 0: nothing */
    DeviceAnswerType answer; /* by which that is answered */
    DeviceDone done;
    void *done_userdata;
    struct {
        uint8_t *data; /* NULL: none */
        size_t size;
    } certificates, anchors; /* what was handed over for it */
    SigningRequest *requests;
    bool broken;
    DeviceMismatch mismatch;
};

static void octets_drop(Device *device)
{
    free(steal_pointer(device->certificates.data));
    free(steal_pointer(device->anchors.data));
    device->certificates.size = device->anchors.size = 0;
}

static void lose(Device *device, int r);

/* An answer to a question that nobody asked is none; one of another kind is not tred-tpm's. */
static void job_answered(Device *device, const DeviceAnswer *answer)
{
    const DeviceDone done = device->done;

    if (device->awaited == 0 || answer->number != device->awaited)
        return;
    if (answer->type != device->answer) {
        lose(device, -EBADMSG);
        return;
    }
    uint8_t *certificates = steal_pointer(device->certificates.data);
    uint8_t *anchors = steal_pointer(device->anchors.data);
    const Bytes octets[] = {{certificates, device->certificates.size},
                            {anchors, device->anchors.size}};
    octets_drop(device);
    device->awaited = 0;
    done(answer, octets[0], octets[1], device->done_userdata);
    free(certificates);
    free(anchors);
}

static void request_unlink(SigningRequest *request)
{
    SigningRequest **link = &request->device->requests;

    while (*link != request)
        link = &(*link)->next;
    *link = request->next;
}

static void signature_answered(Device *device, const DeviceAnswer *answer)
{
    for (SigningRequest *request = device->requests; request; request = request->next) {
        if (request->number != answer->number)
            continue;
        request_unlink(request);
        request->done(answer->result, answer->signature, answer->reason.text, request->userdata);
        free(request);
        return;
    }
}

/* Of two with the same name the later one counts. */
static void octets_take(Device *device, const DeviceAnswer *answer, int fd)
{
    const bool anchors = answer->type == DEVICE_ANCHORS;
    uint8_t **data = anchors ? &device->anchors.data : &device->certificates.data;
    size_t *size = anchors ? &device->anchors.size : &device->certificates.size;

    if (device->awaited == 0 || answer->number != device->awaited || fd < 0)
        return;
    free(steal_pointer(*data));
    (void)file_read_descriptor(fd, anchors ? DEVICE_ANCHORS_SIZE_MAX : DEVICE_CERTIFICATES_SIZE_MAX,
                               data, size);
}

static void answered(Device *device, const DeviceAnswer *answer, int fd)
{
    device->pinged = false;
    if (answer->type == DEVICE_ALIVE)
        return;
    device->broken = answer->broken;
    if (answer->result == -EKEYREJECTED ||
        (answer->type == DEVICE_LOADED && answer->result != -ECANCELED))
        device->mismatch = answer->mismatch;
    switch (answer->type) {
    case DEVICE_CERTIFICATES:
    case DEVICE_ANCHORS:
        octets_take(device, answer, fd);
        break;
    case DEVICE_LOADED:
    case DEVICE_INSTALLED:
    case DEVICE_ADVANCED:
        job_answered(device, answer);
        break;
    case DEVICE_SIGNED:
        signature_answered(device, answer);
        break;
    case DEVICE_FAILED:
        device->callbacks.failed(answer->result, answer->reason.text, device->callbacks.userdata);
        break;
    case DEVICE_ALIVE: /* that there is one says it */
    case DEVICE_ANSWER_TYPES:
        break;
    }
}

static void timer_set(Device *device, uint64_t usec)
{
    if (sd_event_source_set_time_relative(device->timer, usec) < 0 ||
        sd_event_source_set_enabled(device->timer, SD_EVENT_ONESHOT) < 0)
        log_error("No timer can be set: tred-tpm is looked after no longer");
}

/* From the loop, for whoever asked is not ready to be told within its own call. */
static void lose(Device *device, int r)
{
    device->io = sd_event_source_disable_unref(device->io);
    if (device->lost != 0)
        return;
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
static int ask(Device *device, const DeviceRequest *request, int fd)
{
    if (!device->io)
        return -EPIPE;
    int r = send_request(device, request, fd);
    if (r < 0)
        lose(device, r);
    return r;
}

/* What is not answered, or as if it were not. */
static void say(Device *device, DeviceRequestType type, uint32_t number)
{
    const DeviceRequest request = {.type = type, .number = number};

    (void)ask(device, &request, -1);
}

/* Somebody waits for an answer: one that hangs is to be found. */
static void watch_begin(Device *device)
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
        lose(device, -ETIMEDOUT);
        return;
    }
    device->pinged = true;
    timer_set(device, ALIVE_USEC);
    say(device, DEVICE_PING, 0);
}

static uint32_t number_next(Device *device)
{
    if (++device->last_number == 0)
        device->last_number = 1;
    return device->last_number;
}

static DeviceAnswerType answer_to(DeviceRequestType type)
{
    switch (type) {
    case DEVICE_LOAD:
        return DEVICE_LOADED;
    case DEVICE_INSTALL:
        return DEVICE_INSTALLED;
    default:
        return DEVICE_ADVANCED;
    }
}

static int job_ask(Device *device, DeviceRequest *request, int fd, DeviceDone done, void *userdata)
{
    if (device->awaited != 0)
        return -EBUSY;
    request->number = number_next(device);
    device->awaited = request->number;
    device->answer = answer_to(request->type);
    device->done = done;
    device->done_userdata = userdata;
    int r = ask(device, request, fd);
    if (r == 0)
        watch_begin(device);
    if (r < 0 && device->lost == 0) /* nobody will tell it */
        device->awaited = 0;
    return device->awaited != 0 ? 0 : r;
}

int device_load(Device *device, unsigned pause_ms, DeviceDone done, void *userdata)
{
    DeviceRequest request = {.type = DEVICE_LOAD, .pause_ms = pause_ms};

    return job_ask(device, &request, -1, done, userdata);
}

/* Of what is too large so much is handed over that it is seen to be. */
int device_install(Device *device, Bytes bundle, Bytes approval, DeviceDone done, void *userdata)
{
    bundle = bytes_slice(bundle, 0, DEVICE_ANCHORS_SIZE_MAX + 1);
    approval = bytes_slice(approval, 0, DEVICE_APPROVAL_SIZE_MAX + 1);
    DeviceRequest request = {.type = DEVICE_INSTALL, .bundle_size = (uint32_t)bundle.size};
    _cleanup_(close_fdp) int fd = -1;
    _cleanup_(free_bytesp) uint8_t *both = malloc(bundle.size + approval.size + 1);

    if (!both)
        return -ENOMEM;
    if (bundle.size > 0)
        memcpy(both, bundle.data, bundle.size);
    if (approval.size > 0)
        memcpy(both + bundle.size, approval.data, approval.size);
    int r = file_seal((Bytes){both, bundle.size + approval.size}, "tred-device", &fd);
    return r < 0 ? r : job_ask(device, &request, fd, done, userdata);
}

int device_advance(Device *device, time_t reached, unsigned correction_days, DeviceDone done,
                   void *userdata)
{
    DeviceRequest request = {
        .type = DEVICE_ADVANCE, .reached = reached, .correction_days = correction_days};

    return job_ask(device, &request, -1, done, userdata);
}

void device_give_up(Device *device)
{
    say(device, DEVICE_GIVE_UP, 0);
}

void device_forget(Device *device)
{
    say(device, DEVICE_FORGET, 0);
}

bool device_is_broken(const Device *device)
{
    return device->broken;
}

const char *device_problem(const Device *device)
{
    return device->problem.text;
}

const DeviceMismatch *device_mismatch(const Device *device)
{
    return &device->mismatch;
}

static Device *device_of(SigningKey *key)
{
    return ((DeviceKey *)(void *)key)->device;
}

static void key_prepare(SigningKey *key)
{
    say(device_of(key), DEVICE_PREPARE, 0);
}

static void key_rest(SigningKey *key)
{
    say(device_of(key), DEVICE_REST, 0);
}

static int key_sign(SigningKey *key, const char *digest_name, bool pss, Bytes digest,
                    SigningDone done, void *userdata, SigningRequest **ret)
{
    Device *device = device_of(key);
    SigningRequest *request = calloc(1, sizeof(*request));
    DeviceRequest asked = {.type = DEVICE_SIGN, .pss = pss, .digest = digest};

    *ret = NULL;
    if (!request)
        return -ENOMEM;
    asked.number = number_next(device);
    (void)snprintf(asked.digest_name, sizeof(asked.digest_name), "%s", digest_name);
    *request = (SigningRequest){.device = device,
                                .next = device->requests,
                                .number = asked.number,
                                .done = done,
                                .userdata = userdata};
    device->requests = request;
    int r = ask(device, &asked, -1);
    if (r < 0 && device->lost == 0) { /* nobody will tell it */
        request_unlink(request);
        free(request);
        done(-EIO, (Bytes){0}, device->problem.text, userdata);
        return 0;
    }
    if (r == 0)
        watch_begin(device);
    *ret = request;
    return 0;
}

static void key_cancel(SigningRequest *request)
{
    say(request->device, DEVICE_CANCEL, request->number);
    request_unlink(request);
    free(request);
}

static void key_free(SigningKey *key)
{
    EVP_PKEY_free(key->public);
    free(key);
}

static const SigningKeyClass key_class = {
    .prepare = key_prepare,
    .sign = key_sign,
    .cancel = key_cancel,
    .rest = key_rest,
    .free = key_free,
};

int device_key_new(Device *device, const DeviceFacts *facts, SigningKey **ret)
{
    DeviceKey *key = calloc(1, sizeof(*key));

    if (!key)
        return -ENOMEM;
    int r = spki_decode((Bytes){facts->key, facts->key_size}, &key->key.public);
    if (r < 0) {
        free(key);
        return -EBADMSG;
    }
    key->device = device;
    memcpy(key->algorithm, facts->algorithm, sizeof(key->algorithm));
    key->key.class = &key_class;
    key->key.algorithm = key->algorithm;
    key->key.pss_salt = (int)facts->pss_salt;
    key->key.ready_seconds = facts->ready_seconds;
    *ret = &key->key;
    return 0;
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

static void requests_fail(Device *device)
{
    while (device->requests) {
        SigningRequest *request = device->requests;

        device->requests = request->next;
        request->done(-EIO, (Bytes){0}, device->problem.text, request->userdata);
        free(request);
    }
}

static void job_fail(Device *device)
{
    DeviceAnswer answer = {
        .type = device->answer,
        .number = device->awaited,
        .result = device->answer == DEVICE_LOADED ? (int)IDENTITY_TPM_UNAVAILABLE : -EIO,
        .reason = device->problem,
        .told = true, /* who knows */
    };

    octets_drop(device);
    if (device->awaited != 0)
        job_answered(device, &answer);
}

static void channel_close(Device *device)
{
    close_fdp(&device->channel);
    device->channel = -1;
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
    requests_fail(device);
    job_fail(device);
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
        answered(device, &answer, fd);
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
            lose(device, r);
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
    octets_drop(device);
    while (device->requests) {
        SigningRequest *request = device->requests;

        device->requests = request->next;
        free(request);
    }
    free(device);
}
