/* What takes long: loading the identity, installing anchors, letting the last-known time follow.
 * Each runs as a task, on its own stack, and is ended in the loop. */
#include "device/service_internal.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/file_write.h"
#include "crypto/openssl.h"
#include "crypto/spki.h"
#include "device/identity.h"
#include "policy/anchorbundle.h"
#include "policy/anchorinstall.h"
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

static const FileOwner own = {(uid_t)-1, (gid_t)-1};

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

static void load_run(DeviceJob *job)
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
    device_service_say(service, &answer, fd);
    return 0;
}

static void load_take(DeviceService *service, DeviceJob *job)
{
    device_service_forget(service);
    service->identity = steal_pointer(job->identity);
    service->identity->key->on_failed = device_service_key_failed;
    service->identity->key->failed_userdata = service;
}

/* Certificates and anchors are handed over whatever came after them, as what is wrong with them is
 * to be said first. */
static void load_end(DeviceService *service, DeviceJob *job)
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
        device_service_mismatch(identity, &answer->mismatch);
        device_service_forget(service);
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

static void install_run(DeviceJob *job)
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

static void advance_run(DeviceJob *job)
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

static void advance_end(DeviceService *service, const DeviceJob *job)
{
    if (!job->answer.moved)
        return;
    service->moved = boottime();
    if (service->identity)
        service->identity->last_known = job->answer.last_known;
}

void device_job_free(DeviceJob *job)
{
    device_identity_free(job->identity);
    free(job->approved.data);
    free(job);
}

void device_job_run(void *userdata)
{
    DeviceJob *job = userdata;

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

void device_job_end(DeviceJob *job)
{
    switch (job->request.type) {
    case DEVICE_LOAD:
        load_end(job->service, job);
        break;
    case DEVICE_INSTALL:
        /* What is loaded keeps the anchors that it was loaded with: who asked for others loads
         * them. */
        job->answer.version = job->record.version;
        break;
    default:
        advance_end(job->service, job);
        break;
    }
}

int device_job_fill(DeviceJob *job, int fd)
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
