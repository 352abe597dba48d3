/* The operator's correction of a last-known time that ran ahead: a line in the file of the SeGW
 * anchors, outside of its PEM blocks,
 *
 *     last-known-time henb-0001.vendor.example minus 3650
 *
 * by which that device takes so many days from what its TPM keeps. The TPM's counter only goes up,
 * and its base is locked; but the TPM guards the file's digest, so that the line is the operator's,
 * who signed it, and neither root nor an older file takes it away or puts it back. */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"

enum { TIME_CORRECTION_DAYS_MAX = 1000 * 1000 };

/* How many days it is for the device `fqdn`; 0 if there is no line for it. 0, or -EINVAL for a line
 * that begins like one and is none, or a second one for a device (reason filled). `fqdn` may be
 * NULL: all lines are looked at, and *ret is how many there are. */
int time_correction_read(Bytes bundle, const char *fqdn, unsigned *ret, Reason *reason);
