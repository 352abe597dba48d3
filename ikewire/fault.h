/* Why a message was refused. Each way of being wrong has its own number, so that tests, logs and
 * INVALID_SYNTAX / UNSUPPORTED_CRITICAL_PAYLOAD answers can tell them apart. */
#pragma once

#include <stdint.h>

/* Decoders return 0 or one of these, which the caller must handle. */
typedef enum IkeFaultCode {
    IKEWIRE_E_TRUNCATED = 1, /* fewer octets than a fixed field needs */
    IKEWIRE_E_LENGTH,        /* a length field that is below its minimum or beyond what is there */
    IKEWIRE_E_TRAILING,      /* octets left over after the last field, or the last payload */
    IKEWIRE_E_MAJOR_VERSION, /* major version above 2 (RFC 7296 2.5) */
    IKEWIRE_E_VERSION,       /* major version below 2 */
    IKEWIRE_E_NEXT_PAYLOAD,  /* the chain breaks: a payload that is not there, one after SK, … */
    IKEWIRE_E_CRITICAL,      /* an unknown payload with the critical bit (RFC 7296 2.5) */
    IKEWIRE_E_DUPLICATE,     /* a payload that may stand once stands twice */
    IKEWIRE_E_TOO_MANY,      /* more proposals or transforms than our fixed bounds */
    IKEWIRE_E_PROPOSAL,      /* SA: numbering, SPI size, "last" marker or transform count wrong */
    IKEWIRE_E_TRANSFORM,     /* SA: a transform's "last" marker or attribute wrong */
    IKEWIRE_E_TRANSFORM_LENGTH, /* SA: a transform of zero length, or below its fixed fields */
    IKEWIRE_E_VALUE,    /* a field that must be something else (zero SPI, empty nonce, …) */
    IKEWIRE_E_SELECTOR, /* TS: type, length or range wrong */
    IKEWIRE_E_FRAGMENT, /* SKF: number 0, or above its total */
} IkeFaultCode;

typedef struct IkeFault {
    IkeFaultCode code;
    uint8_t payload_type; /* the payload it was found in; 0 for the header */
    uint32_t offset;      /* of that payload in what was decoded */
} IkeFault;

/* "octets are left over …": a static phrase for a log line; for a code that is none, "unknown
 * fault". */
const char *ike_fault_text(IkeFaultCode code);
