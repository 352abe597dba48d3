/* What tred knows of the device and asks of it: the TPM, the key in it, and what it guards. All of
 * that is in tred-tpm, a service of its own that tred connects to; tred itself speaks to no TPM.
 *
 * Nothing here waits: answers come from the event loop. When tred-tpm ends, hangs, answers what is
 * no answer, or does not take what it is asked, whoever waits for it is told that it failed; it is
 * connected to again every second, and knows no key before a device_load(). */
#pragma once

#include "base/cleanup.h"
#include "crypto/signingkey.h"
#include "device/frames.h"

#include <systemd/sd-event.h>

typedef struct Device Device;

/* How what takes long ended. Octets of files (empty: none were handed over) and the answer are
 * valid during the call only. */
typedef void (*DeviceDone)(const DeviceAnswer *answer, Bytes certificates, Bytes anchors,
                           void *userdata);

typedef struct DeviceCallbacks {
    /* Getting ready to sign failed while nobody waited for a signature: -EKEYREJECTED (the platform
     * is in no state that was approved of) or -EIO; or tred-tpm has ended, after who waited was
     * told: -EPIPE. */
    void (*failed)(int r, const char *reason, void *userdata);
    /* There is a connection to tred-tpm again, after one that had ended, or was never made. */
    void (*revived)(void *userdata);
    void *userdata;
} DeviceCallbacks;

/* Connects to the socket at `path` (borrowed), where tred-tpm is told where everything is. Nobody
 * there is no failure: it is logged, and tried again. *ret is for device_close(). 0 or -errno. */
int device_open(const char *path, const DeviceFiles *files, sd_event *event,
                const DeviceCallbacks *callbacks, Device **ret);

/* Waits until the TPM's slots are given back, some seconds at the most. Nothing is told any more.
 * NULL is fine. */
void device_close(Device *device);

/* One of these at a time. `done` is called once, from the loop. 0, or -errno
 * and then it is not called. */

/* Has key, policy, files, guard and last-known time read anew, after so many milliseconds. The key
 * that was there before signs until the end; where this failed, there is none. */
int device_load(Device *device, unsigned pause_ms, DeviceDone done, void *userdata);

/* Installs a bundle of anchors by the operator's approval, in the TPM and on disk. */
int device_install(Device *device, Bytes bundle, Bytes approval, DeviceDone done, void *userdata);

/* Moves the last-known time towards what was reached for certain: `reached` (0: nothing new), and
 * what has passed since. The operator takes so many days from what the TPM keeps. */
int device_advance(Device *device, time_t reached, unsigned correction_days, DeviceDone done,
                   void *userdata);

/* Nobody waits for the device_load() that is under way: it ends soon, and is told as always. */
void device_give_up(Device *device);

/* The key that was loaded last, as its facts have it. *ret is the caller's to signing_key_free(),
 * before device_close(), and borrows nothing. 0, -EBADMSG for facts that are none, or -ENOMEM. */
int device_key_new(Device *device, const DeviceFacts *facts, SigningKey **ret);

/* Lets go of the key that was loaded last. */
void device_forget(Device *device);

/* The connection to the TPM is gone: the next device_load() makes another. */
bool device_is_broken(const Device *device);

/* Why there is no connection to tred-tpm, and what to do; empty: there is one. */
const char *device_problem(const Device *device);

/* The PCRs that differ from what was approved of, where that is why something failed last. */
const DeviceMismatch *device_mismatch(const Device *device);
