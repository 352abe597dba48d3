/* The path MTU to the SeGW, as long as there are pairs of SAs. */
#include "dataplane/dataplane_internal.h"

/* Until it has been seen, what is larger goes in fragments outside. */
enum { LOOK_US = 5 * 1000 * 1000 };

/* Those of which tred-net has been told, and is not being told. */
static void look_at(DataPlane *plane, PlaneSa *sa)
{
    SaPath path = sa->path;
    if (sa->order || sa->added || sa->move || plane_path_complete(&path, &sa->suite) < 0 ||
        path.mtu == sa->path.mtu)
        return;
    sa->path.mtu = path.mtu;
    order_link_give(plane->net,
                    &(Order){.type = ORDER_PATH_MTU, .id = sa->spi_in, .path = {.mtu = path.mtu}},
                    -1, order_link_deadline(), NULL, 0, NULL);
}

static int handle_look(sd_event_source *source, uint64_t usec, void *userdata)
{
    DataPlane *plane = userdata;
    (void)source;
    (void)usec;
    for (size_t i = 0; i < plane->n_sas && plane->state == PLANE_OPEN; i++)
        look_at(plane, &plane->sas[i]);
    plane->pmtu_timer = sd_event_source_disable_unref(plane->pmtu_timer);
    plane_pmtu_follow(plane);
    return 0;
}

void plane_pmtu_follow(DataPlane *plane)
{
    if (plane->pmtu_timer || plane->n_sas == 0)
        return;
    (void)sd_event_add_time_relative(plane->options->event, &plane->pmtu_timer, CLOCK_MONOTONIC,
                                     LOOK_US, LOOK_US / 5, handle_look, plane);
}
