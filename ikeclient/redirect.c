/* Reading of REDIRECT, writing of REDIRECTED_FROM, and the limit on both. */
#include "ikeclient/redirect.h"

#include "base/fqdn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* RFC 5685 11: Gateway Identity Types. */
enum { GATEWAY_IPV4 = 1, GATEWAY_IPV6 = 2, GATEWAY_FQDN = 3 };

#define PERIOD_USEC (REDIRECT_PERIOD_S * UINT64_C(1000000))

static bool read_name(uint8_t type, Bytes identity, Redirect *ret)
{
    switch (type) {
    case GATEWAY_IPV4:
        return identity.size == sizeof(struct in_addr) &&
               inet_ntop(AF_INET, identity.data, ret->name, sizeof(ret->name));
    case GATEWAY_IPV6:
        return identity.size == sizeof(struct in6_addr) &&
               inet_ntop(AF_INET6, identity.data, ret->name, sizeof(ret->name));
    case GATEWAY_FQDN:
        if (identity.size == 0 || identity.size >= sizeof(ret->name) ||
            !fqdn_is_valid((const char *)identity.data, identity.size))
            return false;
        memcpy(ret->name, identity.data, identity.size);
        ret->name[identity.size] = 0;
        return true;
    default:
        return false;
    }
}

int redirect_read(Bytes data, Bytes nonce, Redirect *ret)
{
    uint8_t type = 0, size = 0;
    Redirect redirect = {0};
    Reader reader;
    Bytes identity;

    *ret = (Redirect){0};
    reader_init(&reader, data);
    if (reader_u8(&reader, &type) < 0 || reader_u8(&reader, &size) < 0 ||
        reader_take(&reader, size, &identity) < 0 || !read_name(type, identity, &redirect) ||
        !bytes_equal(reader_rest(&reader), nonce))
        return -EBADMSG;
    *ret = redirect;
    return 0;
}

size_t redirected_from_write(const Endpoint *segw, uint8_t *octets)
{
    const Bytes address = endpoint_address(segw);
    Writer writer;

    writer_init(&writer, octets, REDIRECTED_FROM_MAX);
    writer_u8(&writer, segw->any.sa_family == AF_INET6 ? GATEWAY_IPV6 : GATEWAY_IPV4);
    writer_u8(&writer, (uint8_t)address.size);
    writer_bytes(&writer, address);
    return writer.size;
}

bool redirect_allows(RedirectGuard *guard, uint64_t now)
{
    if (guard->times[0] != 0 && now - guard->times[0] < PERIOD_USEC)
        return false;
    memmove(&guard->times[0], &guard->times[1], sizeof(guard->times) - sizeof(guard->times[0]));
    guard->times[REDIRECTS_MAX - 1] = now > 0 ? now : 1;
    return true;
}
