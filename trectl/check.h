/* The checks of trectl doctor. Each prints its findings; none changes anything on the machine. */
#pragma once

#include "trectl/doctor.h"
#include "tred/config.h"

#include <stdbool.h>

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
