/* The parts of the service: the jobs that take long (service_jobs.c), and what is around them
 * (service.c). */
#pragma once

#include "device/service.h"

#include "base/cleanup.h"
#include "device/identity.h"
#include "policy/lastknowntime.h"
#include "tpm/task.h"

#include <time.h>

/* What takes long, and how it ended. */
typedef struct DeviceJob {
    DeviceService *service;
    DeviceRequest request; /* but for its views */
    TpmTask *task;
    bool given_up;
    DeviceIdentity *identity; /* DEVICE_LOAD: what it is to become */
    FileOctets approved;      /* DEVICE_INSTALL: the bundle, and its approval behind it */
    AnchorRecord record;
    DeviceAnswer answer;
} DeviceJob;

typedef struct Signature Signature; /* one that is under way; service.c */

struct DeviceService {
    DeviceFiles files;
    DeviceTell tell; /* NULL: it is ending */
    void *userdata;
    TpmLoop *loop;
    Tpm *tpm;                 /* the connection; NULL: there is none */
    DeviceIdentity *identity; /* that signs; NULL: none */
    DeviceJob *job;           /* NULL: none */
    Signature *signatures;
    TimeBase time_base; /* what the last-known time may follow */
    uint32_t correction_days;
    time_t moved; /* the last time that it did, by CLOCK_BOOTTIME; 0: never */
};

void device_job_free(DeviceJob *job);
DEFINE_POINTER_CLEANUP(DeviceJob, device_job_free);

/* Fills in what `job`'s request asks for, with the descriptor that came along, which stays the
 * caller's. 0, -ENOMEM, or another -errno, -EPROTO for what is no request. */
int device_job_fill(DeviceJob *job, int fd);

/* The task: a DeviceJob's work. Its end, in the loop: what the service keeps of it, and the answer,
 * which is not told yet. */
void device_job_run(void *userdata);
void device_job_end(DeviceJob *job);

/* Tells it, with a descriptor that stays the caller's (-1: none). */
void device_service_say(DeviceService *service, DeviceAnswer *answer, int fd);

/* Which PCRs differ, where the platform is in no state that was approved of. */
void device_service_mismatch(const DeviceIdentity *identity, DeviceMismatch *ret);

/* SigningKey's on_failed, of a DeviceService: getting ready failed while nobody waited for a
 * signature. */
void device_service_key_failed(int r, const char *reason, void *userdata);

/* Lets go of the identity. Requests that are under way are served still. */
void device_service_forget(DeviceService *service);
