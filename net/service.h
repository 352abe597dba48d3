/* What tred-net does for one tred after another: the plane of a connection, and the rules that
 * outlast it. */
#pragma once

#include "net/plane.h"
#include "net/protect.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct Service {
    uid_t users[2];  /* whose packets pass the rules: tred's, the IKE client's; -1: nobody's */
    NetPlane *plane; /* from ORDER_OPEN until the connection's end */
    Protection *protection; /* from ORDER_PROTECT until then; its rules stay */
    /* tred that is started again within this time finds the rules of the one that was stopped. */
    uint64_t unprotect_after_ms;
    uint64_t unprotect_at; /* CLOCK_MONOTONIC, in ms: nobody wants the rules any more; 0: never */
    uint64_t retry_at;     /* likewise: the kernel has not taken the rules; 0: it has */
} Service;

/* Carries out one order, filling *ret. `esp_fd` and *ret_tun are as net_plane_carry_out() has them.
 */
void service_carry_out(Service *service, const Order *order, int esp_fd, Answer *ret, int *ret_tun);

/* What to poll for; and what is done with what poll() found of it, before anything is carried out.
 */
enum { SERVICE_POLL_MAX = NET_PLANE_POLL_MAX + PROTECTION_POLL_MAX };
size_t service_poll(const Service *service, struct pollfd polled[SERVICE_POLL_MAX]);
void service_watch(Service *service, const struct pollfd *polled, size_t n_polled);

/* All that the connection made goes, but for the rules: whoever has crashed comes back. */
void service_disconnect(Service *service);

/* The rules go some seconds after tred was stopped, and rules that the kernel did not take are
 * tried again after some: how long that is yet, in ms (-1: for ever), and what is due. */
int service_patience_ms(const Service *service);
void service_unprotect_when_due(Service *service);
void service_retry_when_due(Service *service);

/* Takes the rules away, whoever made them. Returns 0, or -errno, which is logged. */
int service_unprotect(void);

/* The end of the process. */
void service_deinit(Service *service);
