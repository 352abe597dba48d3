/* Keeps a tred-tpm, asks it, and keeps who waits for its answers. */
#include "tred/device.h"

#include "base/file.h"
#include "base/helper.h"
#include "base/log.h"
#include "crypto/spki.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    LEAVE_MS = 6000, /* it gives itself five seconds */
    AGAIN_USEC = 1000 * 1000,
    READ_BATCH = 8, /* frames, before the rest of the loop has its turn */
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
    const char *program;
    DeviceFiles files;
    HelperProcess process; /* pid 0: it has ended */
    DeviceCallbacks callbacks;
    sd_event *event;        /* from device_attach() on */
    sd_event_source *io;    /* NULL: there is no process */
    sd_event_source *timer; /* has the loop look at a loss, and start another */
    int lost;               /* -errno, which is to be told; 0: it is there, or was told */
    uint32_t last_number;
    uint32_t awaited; /* what takes long and is under way; 0: nothing */
    bool is_load;     /* and that is to be told as one */
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

/* An answer to a question that nobody asked is none. */
static void job_answered(Device *device, const DeviceAnswer *answer)
{
    const DeviceDone done = device->done;

    if (device->awaited == 0 || answer->number != device->awaited)
        return;
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
    case DEVICE_ANSWER_TYPES:
        break;
    }
}

/* From the loop, for whoever asked is not ready to be told within its own call. */
static void lose(Device *device, int r)
{
    device->io = sd_event_source_disable_unref(device->io);
    if (device->lost != 0 || !device->timer)
        return;
    device->lost = r;
    if (sd_event_source_set_time_relative(device->timer, 0) < 0 ||
        sd_event_source_set_enabled(device->timer, SD_EVENT_ONESHOT) < 0)
        log_error("The end of tred-tpm can't be looked at");
}

static int send_request(const Device *device, const DeviceRequest *request, int fd)
{
    uint8_t buffer[DEVICE_FRAME_SIZE_MAX];
    Writer writer;
    Bytes frame;

    writer_init(&writer, buffer, sizeof(buffer));
    device_request_encode(&writer, request);
    int r = writer_finish(&writer, &frame);
    return r == 0 ? helper_send(device->process.channel, frame, fd) : r;
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

/* What is not answered. */
static void say(Device *device, DeviceRequestType type, uint32_t number)
{
    const DeviceRequest request = {.type = type, .number = number};

    (void)ask(device, &request, -1);
}

static uint32_t number_next(Device *device)
{
    if (++device->last_number == 0)
        device->last_number = 1;
    return device->last_number;
}

static int job_ask(Device *device, DeviceRequest *request, int fd, DeviceDone done, void *userdata)
{
    if (device->awaited != 0)
        return -EBUSY;
    request->number = number_next(device);
    device->awaited = request->number;
    device->is_load = request->type == DEVICE_LOAD;
    device->done = done;
    device->done_userdata = userdata;
    int r = ask(device, request, fd);
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
        done(-EIO, (Bytes){0}, "tred-tpm, which has the TPM, has ended, and another is started",
             userdata);
        return 0;
    }
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

static void lost_text(const Device *device, int r, Reason *ret)
{
    const char *what = r == -EPIPE || r == -ECONNRESET ? "it ended, or was stopped" : strerror(-r);

    if (r == -EBADMSG || r == -EMSGSIZE)
        what = "it answered what is no answer";
    reason_set(ret, 0,
               "%.200s, which has the TPM, failed: %s. Nothing is signed until another, which is "
               "started, has read the identity; see tred's log",
               device->program, what);
}

/* Whoever waits is told; what they ask for next is refused until there is another. */
static void lost_tell(Device *device, int r)
{
    DeviceAnswer answer = {.type = DEVICE_LOADED, .result = IDENTITY_TPM_UNAVAILABLE};

    lost_text(device, r, &answer.reason);
    log_error("%s", answer.reason.text);
    helper_process_end(&device->process);
    device->broken = false;
    while (device->requests) {
        SigningRequest *request = device->requests;

        device->requests = request->next;
        request->done(-EIO, (Bytes){0}, answer.reason.text, request->userdata);
        free(request);
    }
    octets_drop(device);
    answer.number = device->awaited;
    if (device->awaited != 0) {
        answer.result = device->is_load ? (int)IDENTITY_TPM_UNAVAILABLE : -EIO;
        answer.told = true; /* who knows */
        job_answered(device, &answer);
    }
    device->callbacks.failed(-EPIPE, answer.reason.text, device->callbacks.userdata);
}

static int answer_receive(Device *device)
{
    uint8_t frame[DEVICE_FRAME_SIZE_MAX];
    _cleanup_(close_fdp) int fd = -1;
    DeviceAnswer answer;
    int r = helper_receive(device->process.channel, frame, sizeof(frame), &fd);

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

static int process_start(Device *device, Reason *reason)
{
    DeviceRequest request = {.type = DEVICE_CONFIGURE, .files = device->files};
    int r = helper_process_start(device->program, NULL, &device->process);

    if (r == 0) {
        r = send_request(device, &request, -1);
        if (r == 0 && fcntl(device->process.channel, F_SETFL, O_NONBLOCK) < 0)
            r = -errno;
        if (r < 0)
            helper_process_end(&device->process);
    }
    return r < 0 ? reason_set(reason, r,
                              "%.200s, which is to have the TPM, can't be started: %s. Install "
                              "tred-tpm, or correct [tpm] helper",
                              device->program, strerror(-r))
                 : 0;
}

static int process_attach(Device *device)
{
    return sd_event_add_io(device->event, &device->io, device->process.channel, EPOLLIN, on_io,
                           device);
}

static void timer_again(Device *device)
{
    if (sd_event_source_set_time_relative(device->timer, AGAIN_USEC) < 0 ||
        sd_event_source_set_enabled(device->timer, SD_EVENT_ONESHOT) < 0)
        log_error("No other tred-tpm is started");
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Device *device = userdata;
    Reason reason = {0};

    (void)source, (void)usec;
    if (device->lost != 0) {
        const int r = device->lost;

        device->lost = 0;
        lost_tell(device, r);
        timer_again(device);
        return 0;
    }
    if (process_start(device, &reason) < 0 || process_attach(device) < 0) {
        helper_process_end(&device->process);
        log_error("%s", reason.text);
        timer_again(device);
        return 0;
    }
    device->callbacks.revived(device->callbacks.userdata);
    return 0;
}

int device_open(const char *program, const DeviceFiles *files, Device **ret, Reason *reason)
{
    Device *device = calloc(1, sizeof(*device));

    if (!device)
        return -ENOMEM;
    *device = (Device){.program = program, .files = *files};
    int r = process_start(device, reason);
    if (r < 0) {
        free(device);
        return r;
    }
    *ret = device;
    return 0;
}

int device_attach(Device *device, sd_event *event, const DeviceCallbacks *callbacks)
{
    device->event = sd_event_ref(event);
    device->callbacks = *callbacks;
    int r =
        sd_event_add_time_relative(event, &device->timer, CLOCK_MONOTONIC, 0, 0, on_timer, device);
    if (r >= 0)
        r = sd_event_source_set_enabled(device->timer, SD_EVENT_OFF);
    return r < 0 ? r : process_attach(device);
}

/* It gives back the TPM's slots when our end is closed, and ends. */
static void process_leave(Device *device)
{
    uint8_t frame[DEVICE_FRAME_SIZE_MAX];
    int fd = -1, r = 1;

    if (device->process.pid == 0 || shutdown(device->process.channel, SHUT_WR) < 0)
        return;
    while (r > 0 && helper_wait(device->process.channel, LEAVE_MS) == 0) {
        r = helper_receive(device->process.channel, frame, sizeof(frame), &fd);
        close_fdp(&fd);
    }
}

void device_close(Device *device)
{
    if (!device)
        return;
    device->io = sd_event_source_disable_unref(device->io);
    process_leave(device);
    helper_process_end(&device->process);
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
