/* Dates of certificates, CRLs and OCSP responses against a time. One that does not parse is neither
 * before nor after anything, so that every question about it is answered with no. */
#pragma once

#include <openssl/asn1.h>
#include <stdbool.h>
#include <time.h>

/* True if `date` (NULL: there is none) parses and is not later than `time`. */
bool date_is_by(const ASN1_TIME *date, time_t time);

/* True if it parses and is not earlier. Both are true of the second itself: notBefore, notAfter,
 * thisUpdate and nextUpdate include it (RFC 5280 4.1.2.5, 5.1.2.5). */
bool date_is_from(const ASN1_TIME *date, time_t time);

/* Seconds since 1970, or false. */
bool date_read(const ASN1_TIME *date, time_t *ret);
