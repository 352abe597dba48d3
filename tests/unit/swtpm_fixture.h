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

/* The same, with EK certificates as a vendor would have put them in: swtpm_setup makes an
 * authority of this TPM's own, whose certificates are SWTPM_CA_ROOT and SWTPM_CA ".pem" in the
 * folder. -ENOEXEC if it did not work out (is swtpm-tools installed?). */
int swtpm_start_certified(Swtpm *swtpm);

#define SWTPM_CA_ROOT "swtpm-localca-rootca-cert.pem"
#define SWTPM_CA "swtpm-ca"

/* Ends it and removes its folder. */
void swtpm_stop(Swtpm *swtpm);
