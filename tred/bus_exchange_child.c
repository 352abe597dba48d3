/* Child SAs on the bus: OpenTransport, MoveTransport, AllocateSpi, AddChild, UseChild, RemoveChild.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/reason.h"
#include "tred/bus_error.h"
#include "tred/bus_exchange.h"
#include "tred/key_care.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* An address as the bus has it, with a port, as the socket calls have it. */
static int read_remote(sd_bus_message *call, struct sockaddr_storage *ret, int *ret_nat)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    Bytes address = {0};
    uint16_t port = 0;
    int r;

    r = bus_read_bytes(call, &address);
    if (r >= 0)
        r = sd_bus_message_read(call, "qb", &port, ret_nat);
    if (r < 0)
        return r;
    if (address.size == sizeof(v4->sin_addr)) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, address.data, address.size);
    } else if (address.size == sizeof(v6->sin6_addr)) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        memcpy(&v6->sin6_addr, address.data, address.size);
    } else {
        return -EINVAL;
    }
    return port == 0 ? -EINVAL : 0;
}

/* Whether the call may be made, and its arguments. -errno with `error` set. */
static int check_transport_call(sd_bus_message *call, const CallerExchange *held,
                                ExchangeCall exchange_call, struct sockaddr_storage *ret,
                                int *ret_nat, sd_bus_error *error)
{
    Reason reason = {0};
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = exchange_allows(held->exchange, exchange_call, &reason);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    r = read_remote(call, ret, ret_nat);
    if (r == -EINVAL) {
        return bus_error_set(error, EXCHANGE_E_MALFORMED,
                             "The SeGW's address has 4 or 16 octets, and its port is not 0");
    }
    return r;
}

int bus_exchange_open_transport(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    Reason reason = {0};
    struct sockaddr_storage remote = {0};
    int nat = 0, fd = -1;
    int r;

    r = check_transport_call(call, held, EXCHANGE_OPEN_TRANSPORT, &remote, &nat, error);
    if (r < 0)
        return r;
    r = exchange_open_transport(held->exchange, &remote, nat != 0, &fd, &reason);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    return sd_bus_reply_method_return(call, "h", fd);
}

static void on_moved(int error, int fd, const char *reason, void *userdata)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = userdata;
    _cleanup_(sd_bus_error_free) sd_bus_error failure = SD_BUS_ERROR_NULL;
    int r;

    if (error == 0) {
        r = sd_bus_reply_method_return(call, "h", fd);
    } else {
        log_warning("MoveTransport failed. %s", reason);
        (void)bus_error_set(&failure, error, reason);
        r = sd_bus_reply_method_error(call, &failure);
    }
    if (r < 0)
        log_warning("MoveTransport could not be answered: %s", strerror(-r));
}

/* Answered by on_moved() when the data plane has done its part. */
int bus_exchange_move_transport(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    Reason reason = {0};
    struct sockaddr_storage remote = {0};
    int nat = 0;
    int r;

    r = check_transport_call(call, held, EXCHANGE_MOVE_TRANSPORT, &remote, &nat, error);
    if (r < 0)
        return r;
    r = exchange_move_transport(held->exchange, &remote, nat != 0, on_moved,
                                sd_bus_message_ref(call), &reason);
    if (r == 0) {
        log_info("Exchange %" PRIu64 ": moves to another transport", held->number);
        return 1;
    }
    sd_bus_message_unref(call); /* on_moved()'s */
    return bus_error_set(error, r, reason.text);
}

int bus_exchange_allocate_spi(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    Reason reason = {0};
    uint32_t spi = 0;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = exchange_allocate_spi(held->exchange, &spi, &reason);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    return sd_bus_reply_method_return(call, "u", spi);
}

/* An AddChild or UseChild that the data plane has not answered yet. The exchange outlives it:
 * whoever ends the exchange has it answered before. */
typedef struct PendingChild {
    sd_bus_message *call;
    const CallerExchange *held;
    uint32_t spi_in;
} PendingChild;

static void pending_child_free(PendingChild *pending)
{
    sd_bus_message_unref(pending->call);
    free(pending);
}

DEFINE_POINTER_CLEANUP(PendingChild, pending_child_free);

static int pending_child_new(sd_bus_message *call, const CallerExchange *held, uint32_t spi_in,
                             PendingChild **ret)
{
    PendingChild *pending = calloc(1, sizeof(*pending));

    if (!pending)
        return -ENOMEM;
    *pending = (PendingChild){sd_bus_message_ref(call), held, spi_in};
    *ret = pending;
    return 0;
}

static void log_child(const CallerExchange *held, uint32_t spi_in)
{
    ChildStatus children[EXCHANGE_CHILDREN_MAX];
    size_t count = exchange_children(held->exchange, children);

    for (size_t i = 0; i < count; i++) {
        if (children[i].spi_in != spi_in)
            continue;
        log_info("Exchange %" PRIu64 ": Child SA %08x in, %08x out, %s; data plane %s",
                 held->number, spi_in, children[i].spi_out, children[i].suite,
                 dataplane_name(held->caller->daemon->dataplane));
    }
}

static void refuse_child(const PendingChild *pending, int error, const char *reason)
{
    _cleanup_(sd_bus_error_free) sd_bus_error failure = SD_BUS_ERROR_NULL;
    int r;

    log_warning("Exchange %" PRIu64 ": %s is refused. %s", pending->held->number,
                sd_bus_message_get_member(pending->call), reason);
    (void)bus_error_set(&failure, error, reason);
    r = sd_bus_reply_method_error(pending->call, &failure);
    if (r < 0)
        log_warning("Its owner could not be told: %s", strerror(-r));
}

static void child_added(int error, const char *reason, void *userdata)
{
    _cleanup_(pending_child_freep) PendingChild *pending = userdata;
    const DataPlane *plane = pending->held->caller->daemon->dataplane;
    int r;

    if (error != 0) {
        refuse_child(pending, error, reason);
        return;
    }
    log_child(pending->held, pending->spi_in);
    r = sd_bus_reply_method_return(pending->call, "s", dataplane_interface(plane));
    if (r < 0)
        log_warning("Its owner could not be told: %s", strerror(-r));
    daemon_prepare_exchange(pending->held->caller->daemon);
}

/* Answered by child_added() when the data plane has done its part. */
static int add_child(CallerExchange *held, sd_bus_message *call, sd_bus_error *error)
{
    _cleanup_(pending_child_freep) PendingChild *pending = NULL;
    Reason reason = {0};
    uint32_t spi_in = 0;
    int r;

    r = sd_bus_message_read(call, "u", &spi_in);
    if (r < 0)
        return r;
    r = pending_child_new(call, held, spi_in, &pending);
    if (r < 0)
        return r;
    r = exchange_add_child(held->exchange, spi_in, child_added, pending, &reason);
    if (r > 0 && r != EXCHANGE_E_WRONG_STATE)
        log_warning("Exchange %" PRIu64 ": AddChild is refused. %s", held->number, reason.text);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    pending = NULL; /* child_added()'s */
    return 1;
}

/* One that comes while the peer is judged waits for the verdict, so that a caller need not. */
int bus_exchange_add_child(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    if (exchange_state(held->exchange) != EXCHANGE_VERIFYING)
        return add_child(held, call, error);
    if (held->waiting_child) {
        return bus_error_set(error, EXCHANGE_E_WRONG_STATE,
                             "Another AddChild waits for the verdict on the peer. Wait for its "
                             "answer");
    }
    held->waiting_child = sd_bus_message_ref(call);
    return 1;
}

void bus_exchange_child_resume(CallerExchange *held)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = steal_pointer(held->waiting_child);
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    int r;

    if (!call)
        return;
    r = add_child(held, call, &error);
    if (r < 0)
        bus_answer_error(call, r, &error);
}

void bus_exchange_child_cancel(CallerExchange *held)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = steal_pointer(held->waiting_child);

    if (call) {
        (void)sd_bus_reply_method_errorf(
            call, bus_error_name(EXCHANGE_E_WRONG_STATE),
            "The exchange was closed before its peer was judged. Begin "
            "another");
    }
}

static void child_used(int error, const char *reason, void *userdata)
{
    _cleanup_(pending_child_freep) PendingChild *pending = userdata;
    int r;

    if (error != 0) {
        refuse_child(pending, error, reason);
        return;
    }
    log_info("Exchange %" PRIu64 ": Child SA %08x sends from now on", pending->held->number,
             pending->spi_in);
    r = sd_bus_reply_method_return(pending->call, NULL);
    if (r < 0)
        log_warning("Its owner could not be told: %s", strerror(-r));
}

/* Answered by child_used() when the data plane has done its part. */
int bus_exchange_use_child(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    _cleanup_(pending_child_freep) PendingChild *pending = NULL;
    CallerExchange *held = userdata;
    Reason reason = {0};
    uint32_t spi_in = 0;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r >= 0)
        r = sd_bus_message_read(call, "u", &spi_in);
    if (r >= 0)
        r = pending_child_new(call, held, spi_in, &pending);
    if (r < 0)
        return r;
    r = exchange_use_child(held->exchange, spi_in, child_used, pending, &reason);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    pending = NULL; /* child_used()'s */
    return 1;
}

int bus_exchange_remove_child(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    Reason reason = {0};
    uint32_t spi_in = 0;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = sd_bus_message_read(call, "u", &spi_in);
    if (r < 0)
        return r;
    r = exchange_remove_child(held->exchange, spi_in, &reason);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    log_info("Exchange %" PRIu64 ": Child SA %08x removed", held->number, spi_in);
    return sd_bus_reply_method_return(call, NULL);
}
