/* What the data plane's pairs of SAs have counted: asked of whoever has their keys. */
#include "dataplane/dataplane_internal.h"

#include <errno.h>

/* sum += now - before, but for how long it was idle */
static void counters_add(SaCounters *sum, const SaCounters *now, const SaCounters *before)
{
    sum->packets_in += now->packets_in - before->packets_in;
    sum->bytes_in += now->bytes_in - before->bytes_in;
    sum->packets_out += now->packets_out - before->packets_out;
    sum->bytes_out += now->bytes_out - before->bytes_out;
    sum->replays += now->replays - before->replays;
    sum->authentication_failures += now->authentication_failures - before->authentication_failures;
    sum->malformed += now->malformed - before->malformed;
    sum->selector_drops_in += now->selector_drops_in - before->selector_drops_in;
    sum->ecn_drops_in += now->ecn_drops_in - before->ecn_drops_in;
}

void plane_counters_keep(DataPlane *plane, const PlaneSa *sa)
{
    counters_add(&plane->ended, &sa->counters, &(SaCounters){0});
}

static void handle_last_counters(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)fd;
    DataPlane *plane = userdata;
    for (size_t i = 0; i < plane->n_leaving; i++) {
        if (plane->leaving[i].cookie != cookie)
            continue;
        if (answer->error == 0)
            counters_add(&plane->ended, &answer->sa, &plane->leaving[i].counted);
        plane->leaving[i] = plane->leaving[--plane->n_leaving];
        return;
    }
}

void plane_counters_last(DataPlane *plane, const PlaneSa *sa)
{
    OrderLink *helper = plane->mode == DATAPLANE_USER ? plane->esp : plane->net;
    if (sa->added || plane->n_leaving == ELEMENTS(plane->leaving))
        return;
    plane->leaving[plane->n_leaving++] = (PlaneLeaving){sa->cookie, sa->counters};
    order_link_give(helper, &(Order){.type = ORDER_SA_COUNTERS, .id = sa->spi_in}, -1,
                    order_link_deadline(), handle_last_counters, sa->cookie, plane);
}

/* One of the answers that dataplane_count() waits for. */
static void handle_counters(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)fd;
    DataPlane *plane = userdata;
    PlaneSa *sa = plane_sa_of_cookie(plane, cookie);
    if (answer->error == 0 && answer->type == ORDER_SA_COUNTERS && sa)
        sa->counters = answer->sa;
    if (answer->error == 0 && answer->type == ORDER_PLANE_COUNTERS)
        plane->counters = answer->plane;
    if (answer->error == 0 && answer->type == ORDER_PROTECTION_COUNTERS)
        plane->protection = answer->protection;
    if (--plane->n_counting == 0)
        plane->counted(plane->counted_userdata);
}

int dataplane_count(DataPlane *plane, DataPlaneCounted counted, void *userdata)
{
    if (plane->state != PLANE_OPEN)
        return -ENOTCONN;
    if (plane->n_counting > 0)
        return -EBUSY;
    plane->counted = counted;
    plane->counted_userdata = userdata;
    uint64_t deadline = order_link_deadline();
    OrderLink *helper = plane->mode == DATAPLANE_USER ? plane->esp : plane->net;
    const bool protects = plane->options->protect && plane->mode != DATAPLANE_NONE;
    plane->n_counting = plane->n_sas + (plane->mode == DATAPLANE_USER) + protects;
    if (plane->n_counting == 0) {
        counted(userdata);
        return 0;
    }
    for (size_t i = 0; i < plane->n_sas; i++) {
        order_link_give(helper, &(Order){.type = ORDER_SA_COUNTERS, .id = plane->sas[i].spi_in}, -1,
                        deadline, handle_counters, plane->sas[i].cookie, plane);
    }
    /* The kernel counts these for the whole host, in /proc/net/xfrm_stat. */
    if (plane->mode == DATAPLANE_USER) {
        order_link_give(helper, &(Order){.type = ORDER_PLANE_COUNTERS}, -1, deadline,
                        handle_counters, 0, plane);
    }
    if (protects) {
        order_link_give(plane->net, &(Order){.type = ORDER_PROTECTION_COUNTERS}, -1, deadline,
                        handle_counters, 0, plane);
    }
    return 0;
}

static const PlaneSa *sa_find(const DataPlane *plane, uint32_t spi_in)
{
    size_t i = 0;
    while (i < plane->n_sas && plane->sas[i].spi_in != spi_in)
        i++;
    return i < plane->n_sas ? &plane->sas[i] : NULL;
}

int dataplane_sa_counters(const DataPlane *plane, uint32_t spi_in, SaCounters *ret)
{
    const PlaneSa *sa = sa_find(plane, spi_in);
    if (!sa)
        return -ENOENT;
    *ret = sa->counters;
    return 0;
}

uint64_t dataplane_sa_soft_seconds(const DataPlane *plane, uint32_t spi_in)
{
    const PlaneSa *sa = sa_find(plane, spi_in);
    return sa ? sa->soft_seconds : 0;
}

void dataplane_counters(const DataPlane *plane, DataPlaneCounters *ret)
{
    *ret = plane->counters;
}

void dataplane_totals(const DataPlane *plane, SaCounters *ret)
{
    *ret = plane->ended;
    for (size_t i = 0; i < plane->n_sas; i++)
        counters_add(ret, &plane->sas[i].counters, &(SaCounters){0});
}

void dataplane_protection_counters(const DataPlane *plane, ProtectionCounters *ret)
{
    *ret = plane->protection;
}
