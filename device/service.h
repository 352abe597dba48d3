/* Carries out what tred asks of the TPM (device/frames.h), in an event loop. */
#pragma once

#include "device/frames.h"

#include <systemd/sd-event.h>

typedef struct DeviceService DeviceService;

/* Told from the loop, or from within device_service_take(). What `answer` points to and `fd` (-1:
 * none) are borrowed. */
typedef void (*DeviceTell)(const DeviceAnswer *answer, int fd, void *userdata);

/* `files` is borrowed, and so are its texts. *ret is for device_service_free(). 0 or -errno. */
int device_service_new(const DeviceFiles *files, sd_event *event, DeviceTell tell, void *userdata,
                       DeviceService **ret);

/* Begins what is asked; `fd` is borrowed. 0; -EPROTO for what nobody may ask (two things at a time
 * that take long, or one that lacks what belongs to it); or -ENOMEM. */
int device_service_take(DeviceService *service, const DeviceRequest *request, int fd);

/* Ends what is under way, lets go of the key, and waits `milliseconds` at the most until the TPM's
 * slots are given back; a TPM that does not answer in time is left alone, and so is what belongs to
 * it, for a process that is about to end. Nothing is told any more. NULL is fine. */
void device_service_free(DeviceService *service, unsigned milliseconds);
