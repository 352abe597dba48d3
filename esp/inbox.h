/* UDP datagrams as they come in: many in one system call, and those of one size from one peer in
 * one piece where the kernel has joined them (UDP_GRO). */
#pragma once

#include "base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

enum { INBOX_RUNS_MAX = 32, INBOX_RUN_SIZE = 65536 };

typedef struct Inbox Inbox;

/* Datagrams of segment_size octets each; the last one may be shorter. */
typedef struct InboxRun {
    uint8_t *data;
    size_t size;
    size_t segment_size;
} InboxRun;

/* Returns 0 or -ENOMEM. */
int inbox_new(Inbox **ret);
void inbox_free(Inbox *inbox);
DEFINE_POINTER_CLEANUP(Inbox, inbox_free);

/* Receives what is there without waiting. Returns the number of runs (at most INBOX_RUNS_MAX) or
 * -errno
 * (-EAGAIN: nothing). Earlier runs are gone. */
int inbox_receive(Inbox *inbox, int fd);
InboxRun inbox_run(const Inbox *inbox, unsigned index);
