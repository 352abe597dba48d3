/* The numbers in answers of tred-net and tred-esp. */
#include "dataplane/report_internal.h"

#include <string.h>

enum {
    SA_COUNTERS = sizeof(SaCounters) / sizeof(uint64_t),
    PLANE_COUNTERS = sizeof(DataPlaneCounters) / sizeof(uint64_t),
    PROTECTION_COUNTERS = sizeof(ProtectionCounters) / sizeof(uint64_t),
};

/* The numbers of each message, in their order on the socket: one list for both directions. */
static void sa_fields(SaCounters *sa, uint64_t *fields[ANSWER_FIELDS_MAX])
{
    uint64_t *const list[SA_COUNTERS] = {
        &sa->packets_in, &sa->bytes_in,          &sa->packets_out,
        &sa->bytes_out,  &sa->replays,           &sa->authentication_failures,
        &sa->malformed,  &sa->selector_drops_in, &sa->ecn_drops_in,
        &sa->idle_in_ms, &sa->idle_out_ms,
    };
    memcpy(fields, list, sizeof(list));
}

static void plane_fields(DataPlaneCounters *plane, uint64_t *fields[PLANE_COUNTERS])
{
    uint64_t *const list[PLANE_COUNTERS] = {
        &plane->unknown_spi,
        &plane->no_sa_out,
        &plane->send_failures,
        &plane->delivery_failures,
    };
    memcpy(fields, list, sizeof(list));
}

static void protection_fields(ProtectionCounters *protection, uint64_t *fields[PROTECTION_COUNTERS])
{
    fields[0] = &protection->dropped_in;
    fields[1] = &protection->dropped_out;
}

size_t answer_fields(Answer *answer, uint64_t *fields[ANSWER_FIELDS_MAX])
{
    if (answer->error != 0)
        return 0;
    switch (answer->type) {
    case ORDER_SA_COUNTERS:
        sa_fields(&answer->sa, fields);
        return SA_COUNTERS;
    case ORDER_PLANE_COUNTERS:
        plane_fields(&answer->plane, fields);
        return PLANE_COUNTERS;
    case ORDER_PROTECTION_COUNTERS:
        protection_fields(&answer->protection, fields);
        return PROTECTION_COUNTERS;
    default:
        return 0;
    }
}
