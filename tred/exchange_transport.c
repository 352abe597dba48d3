/* OpenTransport: the local UDP port through which IKE and ESP go once the peer is known (RFC
 * 7296 2.23). */
#include "tred/exchange_internal.h"

#include <errno.h>
#include <string.h>

static int transport_open(const struct sockaddr_storage *local,
                          const struct sockaddr_storage *remote, Transport *ret)
{
    int r = transport_init(ret, local);

    if (r < 0)
        return r;
    r = transport_take_from(ret, remote);
    if (r < 0)
        transport_deinit(ret);
    return r;
}

int exchange_open_transport(Exchange *exchange, const struct sockaddr_storage *remote, bool nat,
                            int *ret_fd, Reason *reason)
{
    struct sockaddr_storage local = {.ss_family = remote->ss_family};
    int r;

    r = exchange_allows(exchange, EXCHANGE_OPEN_TRANSPORT, reason);
    if (r != 0)
        return r;
    if (exchange->has_transport) {
        return reason_set(reason, EXCHANGE_E_WRONG_STATE,
                          "This exchange has its transport already");
    }
    r = transport_source(&local, remote);
    if (r == 0)
        r = transport_open(&local, remote, &exchange->transport);
    if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM) {
        return reason_set(reason, EXCHANGE_E_OUT_OF_RESOURCES,
                          "There is no descriptor or memory for a UDP port now: %s. Make the "
                          "call again later",
                          strerror(-r));
    }
    if (r < 0) {
        return reason_set(reason, EXCHANGE_E_DATA_PLANE_FAILED,
                          "No UDP port towards the SeGW can be opened: %s. Check the route",
                          strerror(-r));
    }
    exchange->has_transport = true;
    exchange->nat = nat;
    exchange->remote = *remote;
    exchange_step(exchange, EXCHANGE_OPEN_TRANSPORT);
    *ret_fd = exchange->transport.ike_fd;
    return 0;
}
