/* The methods of an exchange that are about its Child SAs, and the sockets that these go by. */
#include "base/log.h"
#include "tred/bus_exchange_internal.h"
#include "tred/key_care.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

/* ---- transport ---- */

/* An address as the bus has it, with a port, as the socket calls have it. */
static int remote_of(Bytes address, uint16_t port, struct sockaddr_storage *ret, Reason *reason)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

    if (port != 0 && address.size == sizeof(v4->sin_addr)) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, address.data, address.size);
        return 0;
    }
    if (port != 0 && address.size == sizeof(v6->sin6_addr)) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        memcpy(&v6->sin6_addr, address.data, address.size);
        return 0;
    }
    return reason_set(reason, EXCHANGE_E_MALFORMED,
                      "The SeGW's address has 4 or 16 octets, and its port is not 0");
}

/* Whether the call may be made, and its arguments. */
static int transport_read(const CallerExchange *held, sd_bus_message *call,
                          ExchangeCall exchange_call, struct sockaddr_storage *ret, int *ret_nat,
                          Reason *reason)
{
    Bytes address;
    uint16_t port = 0;
    int r = exchange_allows(held->exchange, exchange_call, reason);

    if (r == 0)
        r = bus_read(call, "Aqb", &address, &port, ret_nat);
    return r != 0 ? r : remote_of(address, port, ret, reason);
}

int bus_exchange_open_transport(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    struct sockaddr_storage remote = {0};
    int nat = 0, fd = -1;
    int r = transport_read(held, call, EXCHANGE_OPEN_TRANSPORT, &remote, &nat, reason);

    if (r == 0)
        r = exchange_open_transport(held->exchange, &remote, nat != 0, &fd, reason);
    return r != 0 ? r : bus_reply(call, "h", fd);
}

static void on_moved(int error, int fd, const char *reason, void *userdata)
{
    _cleanup_(pending_call_freep) PendingCall *pending = userdata;

    if (error != 0)
        log_warning("MoveTransport failed. %s", reason);
    bus_answer(pending->call, error, reason, "h", fd);
}

/* Answered by on_moved() when the data plane has done its part. */
int bus_exchange_move_transport(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    _cleanup_(pending_call_freep) PendingCall *pending = pending_call_new(held, call);
    struct sockaddr_storage remote = {0};
    int nat = 0;
    int r = transport_read(held, call, EXCHANGE_MOVE_TRANSPORT, &remote, &nat, reason);

    if (!pending)
        return -ENOMEM;
    if (r == 0) {
        r = exchange_move_transport(held->exchange, &remote, nat != 0, on_moved, pending, reason);
    }
    if (r != 0)
        return r;
    pending = NULL; /* on_moved()'s */
    log_info("Exchange %" PRIu64 ": moves to another transport", held->number);
    return 0;
}

/* ---- Child SAs ---- */

int bus_exchange_allocate_spi(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    uint32_t spi = 0;
    int r = exchange_allocate_spi(held->exchange, &spi, reason);

    return r != 0 ? r : bus_reply(call, "u", spi);
}

int bus_exchange_set_dscps(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    uint32_t spi_in = 0;
    uint64_t dscps = 0;
    int r = bus_read(call, "ut", &spi_in, &dscps);

    if (r == 0)
        r = exchange_set_dscps(held->exchange, spi_in, dscps, reason);
    return r != 0 ? r : bus_reply(call, "");
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

static void refusal_log(const PendingCall *pending, const char *reason)
{
    log_warning("Exchange %" PRIu64 ": %s is refused. %s", pending->held->number,
                sd_bus_message_get_member(pending->call), reason);
}

/* Of all Child SAs of an exchange. */
static const char *interface_of(const CallerExchange *held)
{
    return dataplane_interface(held->caller->daemon->dataplane,
                               exchange_segw(held->exchange)->interface_place);
}

static void child_added(int error, const char *reason, void *userdata)
{
    _cleanup_(pending_call_freep) PendingCall *pending = userdata;
    Daemon *daemon = pending->held->caller->daemon;

    if (error != 0) {
        refusal_log(pending, reason);
    } else {
        log_child(pending->held, pending->spi_in);
    }
    bus_answer(pending->call, error, reason, "s", error == 0 ? interface_of(pending->held) : "");
    if (error == 0)
        daemon_prepare_exchange(daemon);
}

static void child_used(int error, const char *reason, void *userdata)
{
    _cleanup_(pending_call_freep) PendingCall *pending = userdata;

    if (error != 0) {
        refusal_log(pending, reason);
    } else {
        log_info("Exchange %" PRIu64 ": Child SA %08x sends from now on", pending->held->number,
                 pending->spi_in);
    }
    bus_answer(pending->call, error, reason, "");
}

/* exchange_add_child() or exchange_use_child(). */
typedef int (*ChildCall)(Exchange *exchange, uint32_t spi_in, ChildAdded done, void *userdata,
                         Reason *reason);

/* Answered by `done` when the data plane has done its part. */
static int child_call(CallerExchange *held, sd_bus_message *call, ChildCall make, ChildAdded done,
                      Reason *reason)
{
    _cleanup_(pending_call_freep) PendingCall *pending = pending_call_new(held, call);
    int r = pending ? bus_read(call, "u", &pending->spi_in) : -ENOMEM;

    if (r == 0)
        r = make(held->exchange, pending->spi_in, done, pending, reason);
    if (r == 0)
        pending = NULL; /* done()'s */
    return r;
}

static int add_child(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    return child_call(held, call, exchange_add_child, child_added, reason);
}

/* One that comes while the peer is judged waits for the verdict, so that a caller need not. */
int bus_exchange_add_child(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    if (exchange_state(held->exchange) != EXCHANGE_VERIFYING)
        return add_child(held, call, reason);
    if (held->waiting_child) {
        return reason_set(reason, EXCHANGE_E_WRONG_STATE,
                          "Another AddChild waits for the verdict on the peer. Wait for its "
                          "answer");
    }
    held->waiting_child = sd_bus_message_ref(call);
    return 0;
}

void bus_exchange_child_resume(CallerExchange *held)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = steal_pointer(held->waiting_child);
    Reason reason = {0};
    int r = call ? add_child(held, call, &reason) : 0;

    if (r > EXCHANGE_E_WRONG_STATE)
        log_warning("Exchange %" PRIu64 ": AddChild is refused. %s", held->number, reason.text);
    if (r != 0)
        bus_answer(call, r, reason.text, "");
}

void bus_exchange_child_cancel(CallerExchange *held)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = steal_pointer(held->waiting_child);

    if (call) {
        bus_answer(call, EXCHANGE_E_WRONG_STATE,
                   "The exchange was closed before its peer was judged. Begin another", "");
    }
}

int bus_exchange_use_child(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    return child_call(held, call, exchange_use_child, child_used, reason);
}

int bus_exchange_remove_child(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    uint32_t spi_in = 0;
    int r = bus_read(call, "u", &spi_in);

    if (r == 0)
        r = exchange_remove_child(held->exchange, spi_in, reason);
    if (r != 0)
        return r;
    log_info("Exchange %" PRIu64 ": Child SA %08x removed", held->number, spi_in);
    return bus_reply(call, "");
}
