/* What identity*.c share, and nobody else. */
#pragma once

#include "base/reason.h"
#include "tred/identity.h"

/* Says in identity->validity_problem whether the device certificate is valid by the later of this
 * machine's clock and the last-known time, as far as that is known. */
void identity_validity_check(const TredConfig *config, Identity *identity);

/* The part IDENTITY_ANCHORS, again where the file has changed. */
int identity_anchors_load(const TredConfig *config, Identity *identity, Reason *reason);

/* The parts IDENTITY_ANCHOR_GUARD and IDENTITY_LAST_KNOWN_TIME. */
int identity_guard_load(const TredConfig *config, Identity *identity, Reason *reason);
int identity_last_known_load(const TredConfig *config, Identity *identity, Reason *reason);
