/* What systemd-resolved is told of an interface (org.freedesktop.resolve1(5)). */
#pragma once

#include "base/reason.h"
#include "trectl/busjson.h"

enum { RESOLVED_DOMAINS_MAX = 16 };

typedef struct ResolvedDomains {
    size_t count;
    const char *names[RESOLVED_DOMAINS_MAX]; /* "." stands for all */
} ResolvedDomains;

/* Has names below `domains` be asked of `servers` (an array of addresses as text) over the
 * interface with that index, and no others. 0, or -errno with `reason`. */
int resolved_set(sd_bus *bus, int interface, json_object *servers, const ResolvedDomains *domains,
                 Reason *reason);

/* Takes all of it back. 0 or -errno. */
int resolved_revert(sd_bus *bus, int interface);
