/* Where is a peer, and how is that written? */
#include "ikeclient/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

int endpoint_from_literal(const char *literal, uint16_t port, Endpoint *ret)
{
    Endpoint endpoint = {0};

    if (inet_pton(AF_INET, literal, &endpoint.v4.sin_addr) == 1) {
        endpoint.any.sa_family = AF_INET;
    } else {
        endpoint = (Endpoint){0};
        if (inet_pton(AF_INET6, literal, &endpoint.v6.sin6_addr) != 1)
            return -EINVAL;
        endpoint.any.sa_family = AF_INET6;
    }
    endpoint_set_port(&endpoint, port);
    *ret = endpoint;
    return 0;
}

socklen_t endpoint_size(const Endpoint *endpoint)
{
    return endpoint->any.sa_family == AF_INET6 ? sizeof(endpoint->v6) : sizeof(endpoint->v4);
}

uint16_t endpoint_port(const Endpoint *endpoint)
{
    return ntohs(endpoint->any.sa_family == AF_INET6 ? endpoint->v6.sin6_port
                                                     : endpoint->v4.sin_port);
}

void endpoint_set_port(Endpoint *endpoint, uint16_t port)
{
    if (endpoint->any.sa_family == AF_INET6) {
        endpoint->v6.sin6_port = htons(port);
    } else {
        endpoint->v4.sin_port = htons(port);
    }
}

Bytes endpoint_address(const Endpoint *endpoint)
{
    if (endpoint->any.sa_family == AF_INET6)
        return (Bytes){endpoint->v6.sin6_addr.s6_addr, sizeof(endpoint->v6.sin6_addr)};
    return (Bytes){(const uint8_t *)&endpoint->v4.sin_addr, sizeof(endpoint->v4.sin_addr)};
}

const char *endpoint_text(const Endpoint *endpoint, char *text)
{
    bool v6 = endpoint->any.sa_family == AF_INET6;
    char address[INET6_ADDRSTRLEN] = "?";

    (void)inet_ntop(v6 ? AF_INET6 : AF_INET, endpoint_address(endpoint).data, address,
                    sizeof(address));
    (void)snprintf(text, ENDPOINT_TEXT_SIZE, v6 ? "[%s]:%u" : "%s:%u", address,
                   (unsigned)endpoint_port(endpoint));
    return text;
}
