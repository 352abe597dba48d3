/* Octets for tests, written as hex; and tables of malformed ones. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"

/* The octets of `hex` (blanks are passed over) in heap memory of exactly their size, so that
 * AddressSanitizer sees one read too many. Never fails: text that is not hex aborts the test. */
Bytes octets_new(const char *hex);
Bytes octets_copy(Bytes bytes);
void octets_free(const Bytes *octets);

typedef struct Malformed {
    const char *what; /* printed when it is not refused as it should be */
    const char *hex;
    int fault; /* the IkeFaultCode expected */
} Malformed;

typedef int (*OctetsDecoder)(Bytes octets);

/* Each case must be refused with its fault. */
void malformed_check(const Malformed *cases, size_t count, OctetsDecoder decode);

/* Each shorter front of `hex` must be refused, with whatever fault. */
void truncations_check(const char *hex, OctetsDecoder decode);

/* What `writer` holds must be `hex`. */
void written_check(const Writer *writer, const char *hex);
