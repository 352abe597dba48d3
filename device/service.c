/* One thing that takes long at a time, as a task; signatures beside it. */
#include "device/service.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "crypto/openssl.h"
#include "crypto/spki.h"
#include "device/identity.h"
#include "policy/anchorbundle.h"
#include "policy/encoding.h"
#include "policy/keypolicy.h"
#include "policy/lastknowntime.h"
#include "policy/tss2key.h"
#include "tpm/commands.h"
#include "tpm/open.h"
#include "tpm/storagekey.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum {
    DAYS_AT_ONCE = 8,        /* each is a write to the TPM's NV memory, of some 10 ms */
    MOVED_SECONDS = 59 * 60, /* between two steps: tred asks once an hour, by a clock of its own */
    /* Each of them one octet too large, which is told from there. */
    BUNDLE_AND_APPROVAL_SIZE_MAX = DEVICE_ANCHORS_SIZE_MAX + 1 + DEVICE_APPROVAL_SIZE_MAX + 1,
};

_Static_assert((int)DEVICE_ANCHORS_SIZE_MAX == (int)ANCHOR_BUNDLE_SIZE_MAX &&
                   (int)DEVICE_APPROVAL_SIZE_MAX == (int)ANCHOR_APPROVAL_SIZE_MAX &&
                   (int)DEVICE_PCRS_MAX == (int)PCR_COUNT &&
                   (int)DEVICE_PCR_TEXT_SIZE == 2 * PCR_VALUE_MAX + 1,
               "what is said has room for what there is");

static const FileOwner own = {(uid_t)-1, (gid_t)-1};

/* What takes long, and how it ended. */
typedef struct Job {
    DeviceService *service;
    DeviceRequest request; /* but for its views */
    TpmTask *task;
    bool given_up;
    DeviceIdentity *identity; /* DEVICE_LOAD: what it is to become */
    FileOctets approved;      /* DEVICE_INSTALL: the bundle, and its approval behind it */
    AnchorRecord record;
    DeviceAnswer answer;
} Job;

typedef struct Signature {
    DeviceService *service;
    struct Signature *next;
    SigningKey *key;
    SigningRequest *request;
    uint32_t number;
} Signature;

struct DeviceService {
    DeviceFiles files;
    DeviceTell tell; /* NULL: it is ending */
    void *userdata;
    TpmLoop *loop;
    Tpm *tpm;                 /* the connection; NULL: there is none */
    DeviceIdentity *identity; /* that signs; NULL: none */
    Job *job;                 /* NULL: none */
    Signature *signatures;
    TimeBase time_base; /* what the last-known time may follow */
    uint32_t correction_days;
    time_t moved; /* the last time that it did, by CLOCK_BOOTTIME; 0: never */
};

static void mismatch_fill(const DeviceIdentity *identity, DeviceMismatch *ret)
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

static void say(DeviceService *service, DeviceAnswer *answer, int fd)
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
        mismatch_fill(service->identity, &answer->mismatch);
}

/* Getting ready failed while nobody waited for a signature. */
static void on_key_failed(int r, const char *reason, void *userdata)
{
    DeviceAnswer answer = {.type = DEVICE_FAILED};

    key_failed_fill(userdata, r, reason, &answer);
    say(userdata, &answer, -1);
}

/* Requests that are under way are served still. */
static void identity_forget(DeviceService *service)
{
    device_identity_free(steal_pointer(service->identity));
}

/* A connection is kept, whatever became of the identity: a TPM without resource manager takes one.
 */
static void connection_keep(DeviceService *service, const DeviceIdentity *identity)
{
    if (!identity->tpm)
        return;
    tpm_ref(identity->tpm);
    tpm_close(service->tpm);
    service->tpm = identity->tpm;
}

static void load_run(Job *job)
{
    DeviceService *service = job->service;

    if (tpm_loop_sleep(service->loop, job->request.pause_ms) < 0) {
        job->answer.result = -ECANCELED;
        return;
    }
    job->identity->tpm = service->tpm ? tpm_ref(service->tpm) : NULL;
    job->answer.result = device_identity_load(&service->files, job->identity, &job->answer.reason);
}

static int facts_fill(const DeviceIdentity *identity, DeviceFacts *ret)
{
    _cleanup_(openssl_free_bytesp) unsigned char *key = NULL;

    if (identity->public_key) {
        const int size = spki_encode(identity->public_key, &key);

        if (size < 0 || (size_t)size > sizeof(ret->key))
            return size < 0 ? size : -EIO;
        memcpy(ret->key, key, (size_t)size);
        ret->key_size = (size_t)size;
    }
    if (!identity->key)
        return 0;
    const char *development = device_identity_development(identity);
    (void)snprintf(ret->algorithm, sizeof(ret->algorithm), "%s", identity->key->algorithm);
    (void)snprintf(ret->policy, sizeof(ret->policy), "%s",
                   key_policy_kind_name(identity->policy->kind));
    ret->pss_salt = (uint32_t)identity->key->pss_salt;
    ret->ready_seconds = identity->key->ready_seconds;
    reason_set(&ret->development, 0, "%s", development ? development : "");
    ret->anchors_guarded = identity->anchors_guarded;
    ret->anchors_version = identity->anchors_version;
    ret->last_known = identity->last_known;
    return 0;
}

/* Octets that nobody changes on the way. */
static int octets_tell(DeviceService *service, DeviceAnswerType type, uint32_t number,
                       FileOctets *octets)
{
    _cleanup_(close_fdp) int fd = -1;
    DeviceAnswer answer = {.type = type, .number = number};

    if (!octets->data)
        return 0;
    int r = file_seal((Bytes){octets->data, octets->size}, "tred-device", &fd);
    free(steal_pointer(octets->data));
    if (r < 0)
        return r;
    say(service, &answer, fd);
    return 0;
}

static void load_take(DeviceService *service, Job *job)
{
    identity_forget(service);
    service->identity = steal_pointer(job->identity);
    service->identity->key->on_failed = on_key_failed;
    service->identity->key->failed_userdata = service;
}

/* Certificates and anchors are handed over whatever came after them, as what is wrong with them is
 * to be said first. */
static void load_end(DeviceService *service, Job *job)
{
    DeviceIdentity *identity = job->identity;
    DeviceAnswer *answer = &job->answer;

    connection_keep(service, identity);
    if (job->given_up) {
        answer->result = -ECANCELED;
        return;
    }
    int r = facts_fill(identity, &answer->facts);
    if (r == 0)
        r = octets_tell(service, DEVICE_CERTIFICATES, answer->number, &identity->certificates);
    if (r == 0)
        r = octets_tell(service, DEVICE_ANCHORS, answer->number, &identity->anchors);
    if (r < 0)
        answer->result = r;
    if (answer->result != 0) {
        mismatch_fill(identity, &answer->mismatch);
        identity_forget(service);
    } else {
        load_take(service, job);
    }
}

/* The connection that there is, or one of its own where no identity could be loaded. */
static int tpm_get(const DeviceService *service, Tpm **ret, Reason *reason)
{
    TPM2B_NAME srk_name = {0};
    int r;

    if (service->tpm && !service->tpm->broken) {
        *ret = tpm_ref(service->tpm);
        return 0;
    }
    r = srk_name_read(service->files.srk_name, &srk_name, reason);
    if (r < 0 && r != -ENOENT)
        return -EIO;
    if (tpm_open_in_loop(service->files.tcti, service->loop, ret, reason) < 0)
        return -EIO;
    tpm_trust_srk(*ret, &srk_name);
    return 0;
}

static int install_error_of(int r)
{
    if (r == ANCHOR_E_OUTDATED)
        return DEVICE_E_OUTDATED;
    return r > 0 ? DEVICE_E_REFUSED : r;
}

static void install_run(Job *job)
{
    const Bytes both = {job->approved.data, job->approved.size};
    const size_t split = job->request.bundle_size;
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    int r = tpm_get(job->service, &tpm, &job->answer.reason);

    if (r == 0) {
        job->answer.told = true;
        r = anchors_install(tpm, job->service->files.anchors, bytes_slice(both, 0, split),
                            bytes_slice(both, split, both.size), own, &job->record,
                            &job->answer.reason);
    }
    job->answer.result = install_error_of(r);
}

static void install_end(DeviceService *service, Job *job)
{
    DeviceIdentity *identity = service->identity;

    job->answer.version = job->record.version;
    if (job->answer.result != 0 || !identity)
        return;
    memcpy(identity->anchors_digest, job->record.digest, sizeof(identity->anchors_digest));
    identity->anchors_guarded = true;
    identity->anchors_version = job->record.version;
}

/* The day that is known to have been reached, the operator's correction put back on: as the TPM
 * counts. */
static int reached_read(DeviceService *service, time_t *ret, Reason *reason)
{
    const time_t correction = (time_t)service->correction_days * LAST_KNOWN_DAY;
    TPMS_TIME_INFO now = {0};
    const TSS2_RC rc = tpm2_read_clock(service->tpm, &now);

    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_ReadClock", rc);
        return -EIO;
    }
    *ret = time_base_pass(&service->time_base, now.time, now.clockInfo.resetCount) + correction;
    return 0;
}

static time_t boottime(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec + 1; /* never 0 */
}

/* What is known for certain, under the operator's correction; another one makes it another clock.
 */
static void reached_take(DeviceService *service, const DeviceRequest *request)
{
    const time_t correction = (time_t)request->correction_days * LAST_KNOWN_DAY;

    if (request->correction_days != service->correction_days)
        service->time_base = (TimeBase){0};
    service->correction_days = request->correction_days;
    time_base_reach(&service->time_base, service->identity->last_known - correction);
    time_base_reach(&service->time_base, request->reached);
}

static bool was_just_moved(const DeviceService *service)
{
    return service->moved != 0 && boottime() - service->moved < MOVED_SECONDS;
}

static void advance_run(Job *job)
{
    DeviceService *service = job->service;
    DeviceAnswer *answer = &job->answer;
    time_t reached = 0;

    answer->result = -ENODEV;
    if (!service->tpm || !service->identity || service->identity->last_known == 0)
        return;
    reached_take(service, &job->request);
    answer->result = reached_read(service, &reached, &answer->reason);
    if (answer->result < 0 || was_just_moved(service) || !service->identity ||
        reached / LAST_KNOWN_DAY <= service->identity->last_known / LAST_KNOWN_DAY)
        return;
    answer->result = last_known_time_advance(service->tpm, reached, DAYS_AT_ONCE,
                                             &answer->last_known, &answer->reason);
    answer->moved = answer->result == 0;
}

static void advance_end(DeviceService *service, const Job *job)
{
    if (!job->answer.moved)
        return;
    service->moved = boottime();
    if (service->identity)
        service->identity->last_known = job->answer.last_known;
}

static void job_free(Job *job)
{
    device_identity_free(job->identity);
    free(job->approved.data);
    free(job);
}
DEFINE_POINTER_CLEANUP(Job, job_free);

static void job_run(void *userdata)
{
    Job *job = userdata;

    switch (job->request.type) {
    case DEVICE_LOAD:
        load_run(job);
        break;
    case DEVICE_INSTALL:
        install_run(job);
        break;
    default:
        advance_run(job);
        break;
    }
}

/* Another may be asked for from within the answer. */
static void job_done(void *userdata)
{
    _cleanup_(job_freep) Job *job = userdata;
    DeviceService *service = job->service;

    switch (job->request.type) {
    case DEVICE_LOAD:
        load_end(service, job);
        break;
    case DEVICE_INSTALL:
        install_end(service, job);
        break;
    default:
        advance_end(service, job);
        break;
    }
    service->job = NULL;
    say(service, &job->answer, -1);
}

static int job_fill(Job *job, int fd)
{
    const DeviceRequest *request = &job->request;

    switch (request->type) {
    case DEVICE_LOAD:
        job->answer.type = DEVICE_LOADED;
        job->identity = calloc(1, sizeof(*job->identity));
        if (!job->identity)
            return -ENOMEM;
        job->identity->loop = job->service->loop;
        return 0;
    case DEVICE_INSTALL:
        job->answer.type = DEVICE_INSTALLED;
        if (fd < 0)
            return -EPROTO;
        int r = file_read_descriptor(fd, BUNDLE_AND_APPROVAL_SIZE_MAX, &job->approved.data,
                                     &job->approved.size);
        return r == 0 && request->bundle_size > job->approved.size ? -EPROTO : r;
    default:
        job->answer.type = DEVICE_ADVANCED;
        return 0;
    }
}

/* What is left of a connection that broke is in the way of a new one. */
static void broken_drop(DeviceService *service)
{
    if (!service->tpm || !service->tpm->broken)
        return;
    identity_forget(service);
    tpm_close(steal_pointer(service->tpm));
}

static int job_begin(DeviceService *service, const DeviceRequest *request, int fd)
{
    _cleanup_(job_freep) Job *job = calloc(1, sizeof(*job));

    if (!job)
        return -ENOMEM;
    if (service->job)
        return -EPROTO;
    job->service = service;
    job->request = *request;
    job->request.digest = (Bytes){0};
    job->answer.number = request->number;
    int r = job_fill(job, fd);
    if (r < 0)
        return r;
    if (request->type == DEVICE_LOAD)
        broken_drop(service);
    Job *begun = steal_pointer(job); /* job_done() frees it, perhaps before this returns */
    service->job = begun;
    r = tpm_task_start(service->loop, TPM_BACKGROUND, job_run, job_done, begun, &begun->task);
    if (r < 0) {
        service->job = NULL;
        job_free(begun);
    }
    return r;
}

static void give_up(DeviceService *service)
{
    Job *job = service->job;

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
    say(service, &answer, -1);
}

static int refuse_to_sign(DeviceService *service, const DeviceRequest *request)
{
    DeviceAnswer answer = {.type = DEVICE_SIGNED, .number = request->number, .result = -EIO};

    reason_set(&answer.reason, 0, "the device key is not loaded");
    say(service, &answer, -1);
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
        identity_forget(service);
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
    identity_forget(service);
    if (!tpm_loop_free(service->loop, milliseconds))
        return;
    tpm_close(service->tpm);
    while (service->signatures)
        signature_free(service->signatures);
    free(service);
}
