/* Traffic selectors (RFC 7296 3.13) written as address prefixes: "10.200.0.0/16, 2001:db8::/32". */
#pragma once

#include "ikewire/payload.h"

enum { SELECTORS_TEXT_SIZE = 512 };

/* Reads a list of prefixes; an address alone is a prefix of its full length. 0, or -EINVAL. */
int selectors_parse(const char *text, IkeTs *ret);

/* Appends all addresses of the family of `ts_type` (IKE_TS_IPV4_ADDR_RANGE or _IPV6_). */
void selectors_add_any(IkeTs *ts, uint8_t ts_type);

/* What lies both in `a` and in `b` (RFC 7296 2.9), as far as it fits. False if nothing does. */
bool selectors_intersect(const IkeTs *a, const IkeTs *b, IkeTs *ret);

/* "10.200.0.1/32, …" into `text` (SELECTORS_TEXT_SIZE octets); "a-b" for what is no prefix. Cut off
 * where it does not fit. Returns `text`. */
const char *selectors_text(const IkeTs *ts, char *text);
