/* What is asked of tred-tpm, and who waits for its answers. */
#include "tred/device_internal.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "crypto/spki.h"

#include <errno.h>
#include <string.h>

/* The device's key, as exchanges see it. */
typedef struct DeviceKey {
    SigningKey key;
    Device *device;
    char algorithm[DEVICE_WORD_SIZE];
} DeviceKey;

static void octets_drop(Device *device)
{
    free(steal_pointer(device->certificates.data));
    free(steal_pointer(device->anchors.data));
    device->certificates.size = device->anchors.size = 0;
}

/* An answer to a question that nobody asked is none; one of another kind is not tred-tpm's. */
static void job_answered(Device *device, const DeviceAnswer *answer)
{
    const DeviceDone done = device->done;

    if (device->awaited == 0 || answer->number != device->awaited)
        return;
    if (answer->type != device->answer) {
        device_lose(device, -EBADMSG);
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

void device_answered(Device *device, const DeviceAnswer *answer, int fd)
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
    int r = device_ask(device, request, fd);
    if (r == 0)
        device_watch(device);
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
    bytes_copy(both, bundle);
    bytes_copy(both + bundle.size, approval);
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
    device_say(device, DEVICE_GIVE_UP, 0);
}

void device_forget(Device *device)
{
    device_say(device, DEVICE_FORGET, 0);
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
    device_say(device_of(key), DEVICE_PREPARE, 0);
}

static void key_rest(SigningKey *key)
{
    device_say(device_of(key), DEVICE_REST, 0);
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
    int r = device_ask(device, &asked, -1);
    if (r < 0 && device->lost == 0) { /* nobody will tell it */
        request_unlink(request);
        free(request);
        done(-EIO, (Bytes){0}, device->problem.text, userdata);
        return 0;
    }
    if (r == 0)
        device_watch(device);
    *ret = request;
    return 0;
}

static void key_cancel(SigningRequest *request)
{
    device_say(request->device, DEVICE_CANCEL, request->number);
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

void device_fail_all(Device *device)
{
    requests_fail(device);
    job_fail(device);
}

void device_drop_all(Device *device)
{
    octets_drop(device);
    while (device->requests) {
        SigningRequest *request = device->requests;

        device->requests = request->next;
        free(request);
    }
}
