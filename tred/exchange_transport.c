/* Through which local UDP port do IKE and ESP go once the peer is known? (RFC 7296 2.23) */
#include "tred/exchange_internal.h"

#include <errno.h>
#include <string.h>

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
        r = transport_init(&exchange->transport, &local);
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
