/* The data plane's opening and loss: the links to tred-net and tred-esp, which begin anew together.
 */
#include "dataplane/dataplane_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    RETRY_FIRST_US = 100 * 1000,
    RETRY_MAX_US = 10 * 1000 * 1000,
    OPEN_DEADLINE_US = 20 * 1000 * 1000, /* systemd may have to start tred-net first */
    /* At first the kernel has to load its modules as well, on a slow machine that boots. It is one
     * time for all orders together, within what tred.service has to start in (TimeoutStartSec=120).
     */
    FIRST_DEADLINE_US = 80 * 1000 * 1000,
};

static const char *const mode_names[] = {
    [DATAPLANE_KERNEL] = "kernel",
    [DATAPLANE_USER] = "user",
    [DATAPLANE_NONE] = "none",
};

static void open_start(DataPlane *plane);

static uint64_t open_deadline_from_now(const DataPlane *plane)
{
    return order_link_deadline() + (plane->opened_before ? OPEN_DEADLINE_US : FIRST_DEADLINE_US);
}

static int handle_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    open_start(userdata);
    return 0;
}

/* Every wait is twice as long as the one before, from the last time on that it was open. */
static void retry_later(DataPlane *plane)
{
    sd_event *event = plane->options->event;
    const uint64_t next_us = plane->retry_us == 0 ? RETRY_FIRST_US : 2 * plane->retry_us;
    plane->retry_us = next_us < RETRY_MAX_US ? next_us : RETRY_MAX_US;
    plane->retry = sd_event_source_disable_unref(plane->retry);
    int r = sd_event_add_time_relative(event, &plane->retry, CLOCK_MONOTONIC, plane->retry_us, 0,
                                       handle_retry, plane);
    if (r < 0) /* without a timer there would be no way back */
        (void)sd_event_exit(event, EXIT_FAILURE);
}

/* Whatever one of the two does not do any more, the other has no use for: both begin anew. */
static void handle_lost(const char *reason, void *userdata)
{
    DataPlane *plane = userdata;
    const DataPlaneCallbacks *callbacks = &plane->options->callbacks;
    bool was_open = plane->state == PLANE_OPEN;
    reason_set(&plane->reason, 0, "%s", reason);
    plane->state = PLANE_LOST;
    memset(plane->tun_open, 0, sizeof(plane->tun_open));
    plane->n_transports = 0;
    plane->n_counting = 0;
    plane->n_leaving = 0;
    plane_counters_restart(plane);
    order_link_free(steal_pointer(plane->esp)); /* `reason` may go with it */
    order_link_free(steal_pointer(plane->net));
    while (plane->n_sas > 0)
        plane_sa_forget(plane, &plane->sas[plane->n_sas - 1], -ECONNRESET);
    if (plane->opened_before)
        retry_later(plane);
    if (was_open && callbacks->lost)
        callbacks->lost(plane->reason.text, callbacks->userdata);
}

static void tell_event(DataPlane *plane, const DataPlaneEvent *event)
{
    const DataPlaneCallbacks *callbacks = &plane->options->callbacks;
    if (callbacks->event && plane_sa_find(plane, event->spi_in))
        callbacks->event(event, callbacks->userdata);
}

static void handle_esp_lives(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)answer;
    (void)fd;
    tell_event(userdata, &(DataPlaneEvent){.type = (DataPlaneEventType)(cookie >> 32),
                                           .spi_in = (uint32_t)cookie});
}

/* An interface, with its addresses and routes, goes when tred-esp goes. Then it is that which is to
 * be told: so tred-esp is asked for a sign of life before anybody else is blamed. */
static void handle_event(const DataPlaneEvent *event, void *userdata)
{
    DataPlane *plane = userdata;
    if (plane->mode != DATAPLANE_USER || event->type < DATAPLANE_INTERFACE_GONE || !plane->esp) {
        tell_event(plane, event);
        return;
    }
    order_link_give(plane->esp, &(Order){.type = ORDER_PLANE_COUNTERS}, -1, order_link_deadline(),
                    handle_esp_lives, (uint64_t)event->type << 32 | event->spi_in, plane);
}

static OrderLinkCallbacks link_callbacks(DataPlane *plane)
{
    return (OrderLinkCallbacks){.event = handle_event, .lost = handle_lost, .userdata = plane};
}

static void open_finish(DataPlane *plane)
{
    if (!plane->net_ready || (plane->mode == DATAPLANE_USER && !plane->esp_ready))
        return;
    const DataPlaneCallbacks *callbacks = &plane->options->callbacks;
    bool again = plane->opened_before;
    plane->state = PLANE_OPEN;
    plane->opened_before = true;
    plane->retry_us = 0;
    if (again && callbacks->opened)
        callbacks->opened(callbacks->userdata);
}

/* Its first answer says that tred-esp has locked itself down. */
static void handle_esp_ready(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)answer;
    (void)fd;
    (void)cookie;
    DataPlane *plane = userdata;
    plane->esp_ready = true;
    open_finish(plane);
}

static void start_esp(DataPlane *plane)
{
    const DataPlaneOptions *options = plane->options;
    OrderLinkCallbacks callbacks = link_callbacks(plane);
    int r = order_link_start("tred-esp", options->esp_program, NULL, options->event, &callbacks,
                             &plane->esp);
    if (r >= 0) {
        order_link_give(plane->esp, &(Order){.type = ORDER_PLANE_COUNTERS}, -1,
                        plane->open_deadline, handle_esp_ready, 0, plane);
        return;
    }
    Reason reason;
    reason_set(&reason, 0, "%s can't be started: %s", options->esp_program, strerror(-r));
    order_link_give_up(plane->net, reason.text);
}

static void handle_opened(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)fd;
    (void)cookie;
    DataPlane *plane = userdata;
    if (answer->error < 0) {
        order_link_give_up(plane->net, answer->reason.text);
        return;
    }
    plane->mode = answer->mode;
    plane->net_ready = true;
    if (plane->mode == DATAPLANE_USER && !plane->esp)
        start_esp(plane);
    open_finish(plane);
}

/* One that is started here serves this connection alone: for looking whether all would work. */
static int connect_net(DataPlane *plane)
{
    const DataPlaneOptions *options = plane->options;
    OrderLinkCallbacks callbacks = link_callbacks(plane);
    if (options->net_program) {
        return order_link_start("tred-net", options->net_program, "--connected", options->event,
                                &callbacks, &plane->net);
    }
    return order_link_connect("tred-net", options->net_socket, options->event, &callbacks,
                              &plane->net);
}

static void handle_protected(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    (void)fd;
    (void)cookie;
    DataPlane *plane = userdata;
    if (answer->error < 0)
        order_link_give_up(plane->net, answer->reason.text);
}

/* Before anything is opened, so that nothing is open without it. */
static void protect(DataPlane *plane)
{
    if (!plane->options->protect)
        return;
    ProtectOrder protect = *plane->options->protect;
    protect.interfaces = plane->options->interfaces;
    order_link_give(plane->net, &(Order){.type = ORDER_PROTECT, .protect = &protect}, -1,
                    plane->open_deadline, handle_protected, 0, plane);
}

static void open_start(DataPlane *plane)
{
    const DataPlaneOptions *options = plane->options;
    /* As before: nobody is told that it has become another. */
    Order order = {.type = ORDER_OPEN,
                   .mode = plane->opened_before ? plane->mode : options->mode,
                   .interfaces = options->interfaces};
    int r = connect_net(plane);
    if (r >= 0) {
        plane->state = PLANE_OPENING;
        plane->open_deadline = open_deadline_from_now(plane);
        plane->net_ready = plane->esp_ready = false;
        protect(plane);
        order_link_give(plane->net, &order, -1, plane->open_deadline, handle_opened, 0, plane);
        if (order.mode == DATAPLANE_USER) /* no need to wait for what tred-net decides */
            start_esp(plane);
        return;
    }
    reason_set(&plane->reason, 0,
               "tred-net can't be reached at %s: %s. Start it: systemctl start tred-net.socket",
               options->net_program ? options->net_program : options->net_socket, strerror(-r));
    if (plane->opened_before)
        retry_later(plane);
}

int dataplane_begin(const DataPlaneOptions *options, DataPlane **ret, Reason *reason)
{
    DataPlane *plane = calloc(1, sizeof(*plane));
    if (!plane)
        return reason_set(reason, -ENOMEM, "Out of memory");
    plane->options = options;
    plane->mode = DATAPLANE_NONE;
    plane->state = options->mode == DATAPLANE_NONE ? PLANE_OPEN : PLANE_LOST;
    plane->encapsulation = -1;
    if (options->mode != DATAPLANE_NONE) {
        plane->encapsulation = transport_hold_encapsulation();
        open_start(plane);
    }
    *ret = plane;
    return 0;
}

int dataplane_await(DataPlane *plane, Reason *reason)
{
    int r = 0;
    while (r >= 0 && plane->state == PLANE_OPENING)
        r = sd_event_run(plane->options->event, UINT64_MAX);
    if (r >= 0 && plane->state == PLANE_OPEN)
        return 0;
    reason_set(reason, 0, "%s", r < 0 ? strerror(-r) : plane->reason.text);
    return r < 0 ? r : -ENOTCONN;
}

int dataplane_open(const DataPlaneOptions *options, DataPlane **ret, Reason *reason)
{
    _cleanup_(dataplane_closep) DataPlane *plane = NULL;
    int r = dataplane_begin(options, &plane, reason);
    if (r >= 0 && plane)
        r = dataplane_await(plane, reason);
    if (r >= 0)
        *ret = steal_pointer(plane);
    return r;
}

void dataplane_close(DataPlane *plane)
{
    if (!plane)
        return;
    while (plane->n_sas > 0)
        plane_sa_forget(plane, &plane->sas[plane->n_sas - 1], -ECANCELED);
    sd_event_source_disable_unref(plane->retry);
    sd_event_source_disable_unref(plane->pmtu_timer);
    order_link_free(plane->esp);
    order_link_free(plane->net);
    close_fdp(&plane->encapsulation);
    free(plane);
}

/* Where the plane is lost, a tred-net is told that systemd starts for it. */
void dataplane_unprotect(DataPlane *plane)
{
    const DataPlaneOptions *options = plane->options;
    const Order order = {.type = ORDER_UNPROTECT};
    if (!options->protect || options->mode == DATAPLANE_NONE)
        return;
    if (plane->net) {
        order_link_tell(plane->net, &order);
    } else if (!options->net_program) {
        (void)order_link_leave(options->net_socket, &order);
    }
}

const char *dataplane_name(const DataPlane *plane)
{
    return mode_names[plane->mode];
}

const char *dataplane_interface(const DataPlane *plane, size_t place)
{
    return plane->mode == DATAPLANE_NONE ? "" : plane->options->interfaces.names[place];
}

bool dataplane_knows_dscps(const DataPlane *plane)
{
    return plane->mode != DATAPLANE_KERNEL;
}

bool dataplane_keeps_keys(const DataPlane *plane)
{
    return plane->mode != DATAPLANE_NONE;
}
