/* Takes what tred asks: one thing that takes long at a time (service_jobs.c), and signatures beside
 * it. */
#include "device/service_internal.h"

#include "base/cleanup.h"
#include "device/identity.h"
#include "policy/anchorbundle.h"
#include "policy/encoding.h"
#include "policy/keypolicy.h"
#include "tpm/open.h"

#include <errno.h>
#include <string.h>

_Static_assert((int)DEVICE_ANCHORS_SIZE_MAX == (int)ANCHOR_BUNDLE_SIZE_MAX &&
                   (int)DEVICE_APPROVAL_SIZE_MAX == (int)ANCHOR_APPROVAL_SIZE_MAX &&
                   (int)DEVICE_PCRS_MAX == (int)PCR_COUNT &&
                   (int)DEVICE_PCR_TEXT_SIZE == 2 * PCR_VALUE_MAX + 1,
               "what is said has room for what there is");

struct Signature {
    DeviceService *service;
    Signature *next;
    SigningKey *key;
    SigningRequest *request;
    uint32_t number;
};

void device_service_mismatch(const DeviceIdentity *identity, DeviceMismatch *ret)
{
    const PcrMismatch *mismatch = identity && identity->policy ? &identity->policy->mismatch : NULL;

    if (!mismatch || mismatch->mask == 0)
        return;
    const size_t size = pcr_value_size(mismatch->found.bank);
    const char *bank = pcr_bank_name(mismatch->found.bank);
    (void)snprintf(ret->bank, sizeof(ret->bank), "%s", bank ? bank : "");
    for (unsigned i = 0; i < PCR_COUNT; i++) {
        if (!(mismatch->mask >> i & 1))
            continue;
        ret->pcrs[ret->count].number = (uint8_t)i;
        hex_encode((Bytes){mismatch->expected.values[i], size}, ret->pcrs[ret->count].expected);
        hex_encode((Bytes){mismatch->found.values[i], size}, ret->pcrs[ret->count].found);
        ret->count++;
    }
}

void device_service_say(DeviceService *service, DeviceAnswer *answer, int fd)
{
    answer->broken = service->tpm && service->tpm->broken;
    if (service->tell)
        service->tell(answer, fd, service->userdata);
}

static void key_failed_fill(const DeviceService *service, int r, const char *reason,
                            DeviceAnswer *answer)
{
    answer->result = r;
    reason_set(&answer->reason, 0, "%s", reason);
    if (r == -EKEYREJECTED)
        device_service_mismatch(service->identity, &answer->mismatch);
}

void device_service_key_failed(int r, const char *reason, void *userdata)
{
    DeviceAnswer answer = {.type = DEVICE_FAILED};

    key_failed_fill(userdata, r, reason, &answer);
    device_service_say(userdata, &answer, -1);
}

void device_service_forget(DeviceService *service)
{
    device_identity_free(steal_pointer(service->identity));
}

/* Another may be asked for from within the answer. */
static void job_done(void *userdata)
{
    _cleanup_(device_job_freep) DeviceJob *job = userdata;
    DeviceService *service = job->service;

    device_job_end(job);
    service->job = NULL;
    device_service_say(service, &job->answer, -1);
}

/* What is left of a connection that broke is in the way of a new one. */
static void broken_drop(DeviceService *service)
{
    if (!service->tpm || !service->tpm->broken)
        return;
    device_service_forget(service);
    tpm_close(steal_pointer(service->tpm));
}

static int job_begin(DeviceService *service, const DeviceRequest *request, int fd)
{
    _cleanup_(device_job_freep) DeviceJob *job = calloc(1, sizeof(*job));

    if (!job)
        return -ENOMEM;
    if (service->job)
        return -EPROTO;
    job->service = service;
    job->request = *request;
    job->request.digest = (Bytes){0};
    job->answer.number = request->number;
    int r = device_job_fill(job, fd);
    if (r < 0)
        return r;
    if (request->type == DEVICE_LOAD)
        broken_drop(service);
    DeviceJob *begun = steal_pointer(job); /* job_done() frees it, perhaps before this returns */
    service->job = begun;
    r = tpm_task_start(service->loop, TPM_BACKGROUND, device_job_run, job_done, begun,
                       &begun->task);
    if (r < 0) {
        service->job = NULL;
        device_job_free(begun);
    }
    return r;
}

static void give_up(DeviceService *service)
{
    DeviceJob *job = service->job;

    if (!job || job->request.type != DEVICE_LOAD)
        return;
    job->given_up = true;
    tpm_task_cancel(job->task);
}

static void signature_free(Signature *signature)
{
    Signature **link = &signature->service->signatures;

    while (*link != signature)
        link = &(*link)->next;
    *link = signature->next;
    free(signature);
}

static void on_signed(int r, Bytes octets, const char *reason, void *userdata)
{
    Signature *signature = userdata;
    DeviceService *service = signature->service;
    DeviceAnswer answer = {.type = DEVICE_SIGNED, .number = signature->number, .signature = octets};

    key_failed_fill(service, r, reason, &answer);
    signature_free(signature);
    device_service_say(service, &answer, -1);
}

static int refuse_to_sign(DeviceService *service, const DeviceRequest *request)
{
    DeviceAnswer answer = {.type = DEVICE_SIGNED, .number = request->number, .result = -EIO};

    reason_set(&answer.reason, 0, "the device key is not loaded");
    device_service_say(service, &answer, -1);
    return 0;
}

static int sign(DeviceService *service, const DeviceRequest *request)
{
    SigningRequest *begun = NULL;
    Signature *signature;

    if (!service->identity)
        return refuse_to_sign(service, request);
    signature = calloc(1, sizeof(*signature));
    if (!signature)
        return -ENOMEM;
    *signature = (Signature){.service = service,
                             .next = service->signatures,
                             .key = service->identity->key,
                             .number = request->number};
    service->signatures = signature;
    int r = signing_key_sign(signature->key, request->digest_name, request->pss, request->digest,
                             on_signed, signature, &begun);
    if (r < 0) {
        signature_free(signature);
    } else if (begun) { /* else it has ended in there */
        signature->request = begun;
    }
    return r;
}

static void cancel(DeviceService *service, uint32_t number)
{
    for (Signature *each = service->signatures; each; each = each->next) {
        if (each->number != number || !each->request)
            continue;
        signing_key_cancel(each->key, each->request);
        signature_free(each);
        return;
    }
}

int device_service_take(DeviceService *service, const DeviceRequest *request, int fd)
{
    SigningKey *key = service->identity ? service->identity->key : NULL;

    switch (request->type) {
    case DEVICE_LOAD:
    case DEVICE_INSTALL:
    case DEVICE_ADVANCE:
        return job_begin(service, request, fd);
    case DEVICE_GIVE_UP:
        give_up(service);
        return 0;
    case DEVICE_SIGN:
        return sign(service, request);
    case DEVICE_CANCEL:
        cancel(service, request->number);
        return 0;
    case DEVICE_PREPARE:
        if (key)
            signing_key_prepare(key);
        return 0;
    case DEVICE_REST:
        if (key)
            signing_key_rest(key);
        return 0;
    case DEVICE_FORGET:
        device_service_forget(service);
        return 0;
    case DEVICE_CONFIGURE:
    case DEVICE_PING:
    case DEVICE_REQUEST_TYPES:
        break;
    }
    return -EPROTO;
}

int device_service_new(const DeviceFiles *files, sd_event *event, DeviceTell tell, void *userdata,
                       DeviceService **ret)
{
    DeviceService *service = calloc(1, sizeof(*service));

    if (!service)
        return -ENOMEM;
    *service = (DeviceService){.files = *files, .tell = tell, .userdata = userdata};
    int r = tpm_loop_new(event, &service->loop);
    if (r < 0) {
        free(service);
        return r;
    }
    *ret = service;
    return 0;
}

void device_service_free(DeviceService *service, unsigned milliseconds)
{
    if (!service)
        return;
    service->tell = NULL;
    device_service_forget(service);
    if (!tpm_loop_free(service->loop, milliseconds))
        return;
    tpm_close(service->tpm);
    while (service->signatures)
        signature_free(service->signatures);
    free(service);
}
