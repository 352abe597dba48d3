/* OpenTransport: the local UDP port through which IKE and ESP go once the peer is known (RFC
 * 7296 2.23). */
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
    if (r < 0)
        exchange_transport_free(transport);
    else
        *ret = transport;
    return r;
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
                      "No UDP port towards the SeGW can be opened: %s. Check the route",
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

int exchange_move_transport(Exchange *exchange, const struct sockaddr_storage *remote, bool nat,
                            int *ret_fd, Reason *reason)
{
    int r;

    (void)remote, (void)nat, (void)ret_fd;
    r = exchange_allows(exchange, EXCHANGE_MOVE_TRANSPORT, reason);
    if (r != 0)
        return r;
    if (!exchange->mobike) {
        return reason_set(reason, EXCHANGE_E_MOBIKE_NOT_SUPPORTED,
                          "The SeGW did not say in IKE_AUTH that it supports MOBIKE. Authenticate "
                          "anew from the new address");
    }
    return reason_set(reason, EXCHANGE_E_DATA_PLANE_FAILED,
                      "The data plane does not move Child SAs to another transport yet");
}
