/* OpenTransport: the local UDP port through which IKE and ESP go once the peer is known (RFC
 * 7296 2.23). MoveTransport: another one in its place (RFC 4555). */
#include "tred/exchange_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void exchange_transport_free(Transport *transport)
{
    if (transport)
        transport_deinit(transport);
    free(transport);
}

/* From where the route to `remote` leaves. */
static int transport_open(const struct sockaddr_storage *remote, Transport **ret)
{
    struct sockaddr_storage local = {.ss_family = remote->ss_family};
    Transport *transport;
    int r = transport_source(&local, remote);

    if (r < 0)
        return r;
    transport = malloc(sizeof(*transport));
    if (!transport)
        return -ENOMEM;
    r = transport_init(transport, &local);
    if (r < 0) {
        free(transport);
        return r;
    }
    r = transport_take_from(transport, remote);
    if (r < 0) {
        exchange_transport_free(transport);
        return r;
    }
    *ret = transport;
    return 0;
}

static int transport_refuse(int r, Reason *reason)
{
    if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM) {
        return reason_set(reason, EXCHANGE_E_OUT_OF_RESOURCES,
                          "There is no descriptor or memory for a UDP port now: %s. Make the "
                          "call again later",
                          strerror(-r));
    }
    return reason_set(reason, EXCHANGE_E_DATA_PLANE_FAILED,
                      "No way through a UDP port to the SeGW can be opened: %s. Check the route",
                      strerror(-r));
}

int exchange_open_transport(Exchange *exchange, const struct sockaddr_storage *remote, bool nat,
                            int *ret_fd, Reason *reason)
{
    int r;

    r = exchange_allows(exchange, EXCHANGE_OPEN_TRANSPORT, reason);
    if (r != 0)
        return r;
    if (exchange->transport) {
        return reason_set(reason, EXCHANGE_E_WRONG_STATE,
                          "This exchange has its transport already");
    }
    r = transport_open(remote, &exchange->transport);
    if (r < 0)
        return transport_refuse(r, reason);
    exchange->nat = nat;
    exchange->remote = *remote;
    exchange_step(exchange, EXCHANGE_OPEN_TRANSPORT);
    *ret_fd = exchange->transport->ike_fd;
    return 0;
}

/* The data plane has answered, or the Child SAs are gone. One that was removed meanwhile is no
 * failure of the others. */
static void on_moved(int error, const char *why, void *userdata)
{
    Exchange *exchange = userdata;
    TransportMoved moved = exchange->moved;
    Reason reason = {0};
    int r = 0;

    exchange->moved = NULL;
    exchange_transport_free(steal_pointer(exchange->transport_before));
    if (error < 0 && error != -ECANCELED) {
        r = reason_set(
            &reason, EXCHANGE_E_DATA_PLANE_FAILED,
            "The Child SAs could not be moved: %s. Close this exchange, and connect again",
            why[0] != '\0' ? why : strerror(-error));
    }
    moved(r, exchange->transport->ike_fd, reason.text, exchange->moved_userdata);
}

static size_t moves_count(const ExchangeContext *context)
{
    size_t count = 0;

    for (const Exchange *other = context->exchanges; other; other = other->next)
        count += other->moved != NULL;
    return count;
}

static int move_check(const Exchange *exchange, Reason *reason)
{
    int r = exchange_allows(exchange, EXCHANGE_MOVE_TRANSPORT, reason);

    if (r != 0)
        return r;
    if (!exchange->mobike) {
        return reason_set(reason, EXCHANGE_E_MOBIKE_NOT_SUPPORTED,
                          "The SeGW did not say in IKE_AUTH that it supports MOBIKE. Authenticate "
                          "anew from the new address");
    }
    if (!exchange->transport || exchange->moved) {
        return reason_set(reason, EXCHANGE_E_WRONG_STATE, "MoveTransport is not possible: %s",
                          exchange->moved ? "a move is under way. Wait for its answer"
                                          : "there was no OpenTransport before IKE_AUTH");
    }
    if (moves_count(exchange->context) < EXCHANGE_MOVES_MAX)
        return 0;
    return reason_set(reason, EXCHANGE_E_OUT_OF_RESOURCES,
                      "%d exchanges are being moved already. Make the call again later",
                      EXCHANGE_MOVES_MAX);
}

int exchange_move_transport(Exchange *exchange, const struct sockaddr_storage *remote, bool nat,
                            TransportMoved moved, void *userdata, Reason *reason)
{
    const struct sockaddr_storage remote_before = exchange->remote;
    const bool nat_before = exchange->nat;
    Transport *to = NULL;
    int r;

    r = move_check(exchange, reason);
    if (r != 0)
        return r;
    r = transport_open(remote, &to);
    if (r < 0)
        return transport_refuse(r, reason);
    exchange->transport_before = exchange->transport;
    exchange->transport = to;
    exchange->remote = *remote;
    exchange->nat = nat;
    exchange->moved = moved;
    exchange->moved_userdata = userdata;
    r = dataplane_move_sas(exchange->context->dataplane, exchange->transport_before, to, remote,
                           exchange_is_udp_encapsulated(exchange), on_moved, exchange);
    if (r < 0) { /* nobody has heard of it */
        exchange->moved = NULL;
        exchange->transport = steal_pointer(exchange->transport_before);
        exchange->remote = remote_before;
        exchange->nat = nat_before;
        exchange_transport_free(to);
        return transport_refuse(r, reason);
    }
    exchange_step(exchange, EXCHANGE_MOVE_TRANSPORT);
    return 0;
}
