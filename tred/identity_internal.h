/* What identity*.c share, and nobody else. */
#pragma once

#include "tred/identity.h"

/* Fills in `reason` and yields `state`. */
int identity_unfit(char *reason, IdentityState state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Says in identity->validity_problem whether the device certificate is valid by the later of this
 * machine's clock and the last-known time, as far as that is known. */
void identity_validity_check(const TredConfig *config, Identity *identity);

/* The part IDENTITY_ANCHORS, again where the file has changed. */
int identity_anchors_load(const TredConfig *config, Identity *identity, char *reason);

/* The parts IDENTITY_ANCHOR_GUARD and IDENTITY_LAST_KNOWN_TIME. */
int identity_guard_load(const TredConfig *config, Identity *identity, char *reason);
int identity_last_known_load(const TredConfig *config, Identity *identity, char *reason);
