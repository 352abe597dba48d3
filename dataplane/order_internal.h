/* What both ends of orders share, and nobody else. */
#pragma once

#include "dataplane/order.h"

#include <assert.h>

enum {                        /* an outer address */
       ORDER_FAMILY_NONE = 0, /* not known */
       ORDER_FAMILY_IPV4 = 4,
       ORDER_FAMILY_IPV6 = 6,
};

enum { REPORT_ANSWER = 1, REPORT_EVENT = 2 };

static_assert(sizeof(SaCounters) == 11 * sizeof(uint64_t) &&
                  sizeof(DataPlaneCounters) == 4 * sizeof(uint64_t) &&
                  sizeof(ProtectionCounters) == 2 * sizeof(uint64_t),
              "counters are numbers of 64 bits and nothing else");

/* The counters that an answer without an error carries: `*ret_size` octets of a struct, whose
 * numbers stand on the socket in the order of its fields. NULL: none. */
static inline uint8_t *answer_counters(Answer *answer, size_t *ret_size)
{
    switch (answer->type) {
    case ORDER_SA_COUNTERS:
        *ret_size = sizeof(answer->sa);
        return (uint8_t *)&answer->sa;
    case ORDER_PLANE_COUNTERS:
        *ret_size = sizeof(answer->plane);
        return (uint8_t *)&answer->plane;
    case ORDER_PROTECTION_COUNTERS:
        *ret_size = sizeof(answer->protection);
        return (uint8_t *)&answer->protection;
    default:
        *ret_size = 0;
        return NULL;
    }
}
