/* A TPM of a test's own: an swtpm process on a unix socket in a temporary folder. */
#pragma once

#include "tests/unit/temporary.h"

#include <sys/types.h>

typedef struct Swtpm {
    pid_t pid;
    char folder[TEMPORARY_PATH_SIZE];
    char tcti[128]; /* "swtpm:path=…" */
} Swtpm;

/* Starts one, fresh and started up, and waits until it answers. It dies with its starter. Returns
 * 0, -ETIME if it did not come up within 10 seconds (is swtpm installed?), or another errno. */
int swtpm_start(Swtpm *swtpm);

/* Ends it and removes its folder. */
void swtpm_stop(Swtpm *swtpm);
