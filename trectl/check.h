/* The checks of trectl doctor. Each prints its findings; none changes anything on the machine. */
#pragma once

#include "tred/config.h"

#include <stdbool.h>

typedef enum FindingVerdict {
    FINDING_OK,
    FINDING_WARNING, /* works, but not as it should */
    FINDING_PROBLEM, /* stands between this machine and a working TrE */
} FindingVerdict;

/* Counts what has been printed. */
typedef struct Findings {
    unsigned n_warnings;
    unsigned n_problems;
} Findings;

/* Prints "ok|warning|problem  NAME: text" on standard output, and counts it. */
void findings_add(Findings *findings, FindingVerdict verdict, const char *name, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));

/* The users and groups that the services run as. */
void check_users(Findings *findings);

/* Whether tred runs, and what it says of itself. Returns true if it runs. */
bool check_daemon(Findings *findings);

/* Key, certificates and anchors as user tred meets them, the clock against the certificate, and
 * with `tpm_too` the TPM: a TPM without resource manager has room for one, so not while tred runs.
 */
void check_identity(Findings *findings, const TredConfig *config, bool tpm_too);

/* Whether the data plane that is configured can be opened, with the tred-net at `net_program`: the
 * kernel's ESP, or TUN and tred-esp. */
void check_dataplane(Findings *findings, const TredConfig *config, const char *net_program);

/* The bus, and whether it lets user tred have its name. */
void check_bus(Findings *findings);
