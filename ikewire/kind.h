/* The payload types that this project knows. Internal to ikewire. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct IkePayloadKind {
    uint8_t type;
    const char *name;
    bool may_repeat; /* in one chain */
    uint8_t most;    /* that are kept of one chain; the others are checked and skipped */
    int (*validate)(Bytes body); /* 0 or an IkeFaultCode; NULL: any octets will do */
} IkePayloadKind;

/* NULL for a type that we do not know. */
const IkePayloadKind *ike_payload_kind(uint8_t type);
