/* Which traffic may ever pass a tunnel: tred's own word on selectors, whatever the SeGW grants and
 * the IKE client asks for. */
#pragma once

#include "base/config.h"
#include "base/reason.h"
#include "ikewire/payload.h"

/* A ConfigParser for a list of prefixes, "10.0.0.0/8, 2001:db8::/32", into an IkeTs of ranges with
 * any protocol and port. At most IKE_SELECTORS_MAX. */
int selector_policy_parse(const ConfigItem *item, const char *value, void *target, Reason *allowed);

/* All IPv4 and IPv6 addresses. */
void selector_policy_any(IkeTs *ret);

/* The first of `selectors` that does not lie within `allowed`, or NULL if all do. */
const IkeSelector *selector_policy_breach(const IkeTs *allowed, const IkeTs *selectors);

/* The first selector of `a` that has an address of one of `b`'s in it, or NULL if none has. Ports
 * and protocols don't count. */
const IkeSelector *selector_policy_overlap(const IkeTs *a, const IkeTs *b);

/* "10.0.0.1-10.0.0.9" into `text` (SELECTOR_TEXT_SIZE octets). */
enum { SELECTOR_TEXT_SIZE = 96 };
void selector_text(const IkeSelector *selector, char *text);
