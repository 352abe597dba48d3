/* What identity*.c share, and nobody else. */
#pragma once

#include "base/reason.h"
#include "device/identity.h"

/* The part IDENTITY_ANCHORS, again where the file has changed. */
int identity_anchors_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason);

/* The parts IDENTITY_ANCHOR_GUARD and IDENTITY_LAST_KNOWN_TIME. */
int identity_guard_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason);
int identity_last_known_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason);
