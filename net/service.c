/* What tred-net does for one tred after another: the plane of a connection, and the rules that
 * outlast it. */
#include "net/service.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/monotonic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { RETRY_MS = 1000 };

int service_unprotect(void)
{
    int r = protection_remove();
    if (r < 0)
        log_error("The rules that protect the tunnel can't be deleted: %s", strerror(-r));
    return r;
}

void service_unprotect_when_due(Service *service)
{
    if (service->unprotect_at == 0 || monotonic_ms() < service->unprotect_at)
        return;
    service->unprotect_at = 0;
    (void)service_unprotect();
}

/* Without rules nothing may tell of a change that would have them tried again. */
void service_retry_when_due(Service *service)
{
    const uint64_t now = monotonic_ms();
    if (service->protection && service->retry_at != 0 && now >= service->retry_at) {
        service->retry_at = 0;
        protection_try_again(service->protection);
    }
    if (!service->protection || !protection_is_touched(service->protection)) {
        service->retry_at = 0;
    } else if (service->retry_at == 0) {
        service->retry_at = now + RETRY_MS;
    }
}

/* There are no rules to try again once nobody wants any: one of both at the most is set. */
int service_patience_ms(const Service *service)
{
    const uint64_t now = monotonic_ms();
    const uint64_t next = service->unprotect_at ? service->unprotect_at : service->retry_at;
    if (next == 0)
        return -1;
    return next > now ? (int)(next - now) : 0;
}

static int open_plane(Service *service, const Order *order, Reason *reason)
{
    if (service->plane)
        return reason_set(reason, -EEXIST, "The plane is open already");
    int r = net_plane_open(order->mode, &order->interfaces, &service->plane, reason);
    if (r < 0)
        log_warning("%s", reason->text);
    return r;
}

static int put_in_force(Service *service, const ProtectOrder *order, Reason *reason)
{
    int r = protection_open(order, service->users, &service->protection, reason);
    return r == -EPERM ? net_plane_fail_network(reason, r, "") : r;
}

/* The rules let pass all that goes by the interfaces that they name, so these are looked at first:
 * where one is somebody else's, the rules that there were stay. */
static int protect(Service *service, const ProtectOrder *order, Reason *reason)
{
    if (service->protection)
        return reason_set(reason, -EEXIST, "The tunnel is protected already");
    int r = net_plane_check_interfaces(&order->interfaces, reason);
    if (r >= 0)
        r = put_in_force(service, order, reason);
    if (r < 0) {
        log_warning("%s", reason->text);
        return r;
    }
    service->unprotect_at = 0;
    return 0;
}

/* An SA's ESP may pass before there is any. */
static int protect_before(Protection *protection, const Order *order, Reason *reason)
{
    switch (order->type) {
    case ORDER_ADD_SA:
        return protection_add_sa(protection, order->sa, reason);
    case ORDER_MOVE_SA:
        return protection_add_way(protection, order->id, &order->path, reason);
    default:
        return 0;
    }
}

static void protect_after(Protection *protection, const Order *order, int error)
{
    switch (order->type) {
    case ORDER_ADD_SA:
        if (error < 0)
            protection_undo_sa(protection);
        break;
    case ORDER_MOVE_SA:
        protection_end_move(protection, order->id, error >= 0);
        break;
    case ORDER_REMOVE_SA:
        protection_remove_sa(protection, order->id);
        break;
    default:
        break;
    }
}

static void carry_out_in_plane(Service *service, const Order *order, int esp_fd, Answer *ret,
                               int *ret_tun)
{
    if (service->protection)
        ret->error = protect_before(service->protection, order, &ret->reason);
    if (ret->error < 0)
        return;
    net_plane_carry_out(service->plane, order, esp_fd, ret, ret_tun);
    if (service->protection)
        protect_after(service->protection, order, ret->error);
}

void service_carry_out(Service *service, const Order *order, int esp_fd, Answer *ret, int *ret_tun)
{
    *ret = (Answer){.type = order->type, .number = order->number};
    switch (order->type) {
    case ORDER_PROTECT:
        ret->error = protect(service, order->protect, &ret->reason);
        break;
    case ORDER_UNPROTECT:
        protection_free(steal_pointer(service->protection));
        service->unprotect_at = monotonic_ms() + service->unprotect_after_ms;
        break;
    case ORDER_PROTECTION_COUNTERS:
        if (service->protection)
            ret->error = protection_counters(service->protection, &ret->protection);
        break;
    case ORDER_OPEN:
        ret->error = open_plane(service, order, &ret->reason);
        if (ret->error >= 0)
            ret->mode = service->plane->backend->mode;
        break;
    default:
        if (service->plane) {
            carry_out_in_plane(service, order, esp_fd, ret, ret_tun);
        } else {
            ret->error = -ENOTCONN;
        }
    }
}

size_t service_poll(const Service *service, struct pollfd polled[SERVICE_POLL_MAX])
{
    size_t n = 0;
    if (service->plane)
        n = net_plane_poll(service->plane, polled);
    if (service->protection)
        n += protection_poll(service->protection, polled + n);
    return n;
}

void service_watch(Service *service, const struct pollfd *polled, size_t n_polled)
{
    struct pollfd own[SERVICE_POLL_MAX];
    const size_t n_plane = service->plane ? net_plane_poll(service->plane, own) : 0;
    if (service->plane)
        net_plane_watch(service->plane, polled, n_plane);
    if (service->protection)
        protection_watch(service->protection, polled + n_plane, n_polled - n_plane);
}

void service_disconnect(Service *service)
{
    if (service->plane)
        net_plane_close(steal_pointer(service->plane));
    protection_free(steal_pointer(service->protection));
}

void service_deinit(Service *service)
{
    service_disconnect(service);
    /* Stopped after tred was: nobody is left to take them away later. */
    if (service->unprotect_at != 0)
        (void)service_unprotect();
}
