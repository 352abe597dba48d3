/* One device of a line, provisioned by a process of its own: whatever happens to it, the line goes
 * on. */
#pragma once

#include "provisioning/command.h"
#include "provisioning/lineinput.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct LineJob {
    DeviceLine device;
    pid_t pid;      /* 0: the place is free */
    int pidfd;      /* readable once the process has ended */
    int report;     /* memory files: the line that it writes, */
    int complaints; /* and what it says to people */
} LineJob;

/* Starts the process for `device`, with the station's options. `job` must be free. 0, or -errno
 * after a complaint. */
int line_job_start(LineJob *job, const ProvisionOptions *station, const DeviceLine *device);

/* Takes what an ended process has written and frees the place. *ret is the device's line with its
 * newline, the caller's to free(); one is made up for a process that did not get to write it. 0 or
 * -ENOMEM. */
int line_job_end(LineJob *job, char **ret);
