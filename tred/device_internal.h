/* The parts of a Device: the connection (device_link.c), and what is asked over it (device.c). */
#pragma once

#include "tred/device.h"

/* A digest that is being signed. */
struct SigningRequest {
    Device *device;
    SigningRequest *next;
    uint32_t number;
    SigningDone done;
    void *userdata;
};

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

/* ---- the connection ---- */

/* Asks it; `fd` stays the caller's (-1: none). 0, -EPIPE where there is no connection, or another
 * -errno: then it is lost. */
int device_ask(Device *device, const DeviceRequest *request, int fd);

/* Says what is not answered, or as if it were not. */
void device_say(Device *device, DeviceRequestType type, uint32_t number);

/* Somebody waits for an answer: one that hangs is to be found. */
void device_watch(Device *device);

/* Gives the connection up for `r`; there is one (`io`). Who waits is told from the loop, as whoever
 * asked is not ready to be told within its own call. */
void device_lose(Device *device, int r);

/* ---- what is asked over it ---- */

/* An answer has come; `fd` stays the caller's (-1: none). */
void device_answered(Device *device, const DeviceAnswer *answer, int fd);

/* All that wait are told device->problem. */
void device_fail_all(Device *device);

/* All that wait are forgotten, and told nothing. */
void device_drop_all(Device *device);
