/* The checks of trectl doctor. Each prints its findings; none changes anything on the machine. */
#pragma once

#include "tred/config.h"

#include <stdbool.h>

typedef enum FindingVerdict {
    FINDING_OK,
    FINDING_WARNING, /* works, but not as it should */
    FINDING_PROBLEM, /* stands between this machine and a working TrE */
} FindingVerdict;

/* How many have been printed. In memory that is shared with child processes, as some checks are
 * made in one. */
typedef struct FindingCounts {
    unsigned total;
    unsigned n_warnings;
    unsigned n_problems;
} FindingCounts;

typedef struct Findings {
    bool json;              /* each as an object of an array, and not as a line */
    const char *connection; /* of several, the one that they are about; NULL: none */
    FindingCounts *counts;
} Findings;

/* 0 or -ENOMEM. What it takes goes with the process. */
int findings_init(Findings *findings, bool json);

/* Prints "ok|warning|problem  NAME: text" on standard output, or {"verdict", "name", "text"}, and
 * counts it. A connection is named after NAME, and as "connection". */
void findings_add(const Findings *findings, FindingVerdict verdict, const char *name,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The users and groups that the services run as. */
void check_users(const Findings *findings);

/* Key, certificates and anchors as user tred meets them, the clock against the certificate, and
 * with `tpm_too` the TPM: a TPM without resource manager has room for one, so not while tred runs.
 */
void check_identity(const Findings *findings, const TredConfig *config, bool tpm_too);

/* Whether the data plane that is configured can be opened, with the tred-net at `net_program`: the
 * kernel's ESP, or TUN and tred-esp; and nf_tables, unless nothing is to be protected. */
void check_dataplane(const Findings *findings, const TredConfig *config, const char *net_program);

/* The bus, and whether it lets user tred have its name. */
void check_bus(const Findings *findings);
