/* How does an order to the helper stand on the socket pair? */
#include "dataplane/order.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

enum {
    TS_BODY_MAX = 4 + IKE_SELECTORS_MAX * 40,
    FAMILY_IPV4 = 4,
    FAMILY_IPV6 = 6,
};

void order_deinit(Order *order)
{
    if (!order->sa)
        return;
    secret_free(order->sa->encr_in);
    secret_free(order->sa->integ_in);
    secret_free(order->sa->encr_out);
    secret_free(order->sa->integ_out);
    free(order->sa);
    order->sa = NULL;
}

static void encode_secret(Writer *writer, const Secret *secret)
{
    Bytes octets = secret ? secret_bytes(secret) : (Bytes){};
    writer_u16(writer, (uint16_t)octets.size);
    writer_bytes(writer, octets);
}

/* `size` 0 stands for NULL: a suite without INTEG has no such key. */
static int decode_secret(Reader *reader, size_t size, Secret **ret)
{
    uint16_t found = 0;
    Bytes octets = {};
    int r = reader_u16(reader, &found);
    if (r >= 0 && found != size)
        r = -EBADMSG;
    if (r >= 0)
        r = reader_take(reader, size, &octets);
    if (r < 0 || size == 0)
        return r;
    r = secret_new(size, ret);
    if (r >= 0)
        memcpy((*ret)->data, octets.data, size);
    return r;
}

static void encode_ts(Writer *writer, const IkeTs *ts)
{
    size_t length_at = writer->size;
    writer_u16(writer, 0);
    ike_ts_encode(writer, ts);
    writer_patch_u16(writer, length_at, (uint16_t)(writer->size - length_at - 2));
}

static int decode_ts(Reader *reader, IkeTs *ret)
{
    uint16_t size = 0;
    Bytes body = {};
    int r = reader_u16(reader, &size);
    if (r >= 0)
        r = reader_take(reader, size, &body);
    if (r < 0)
        return r;
    return ike_ts_decode(body, ret) == 0 ? 0 : -EBADMSG;
}

static void encode_remote(Writer *writer, const struct sockaddr_storage *remote)
{
    if (remote->ss_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, remote, sizeof(ipv4));
        writer_u8(writer, FAMILY_IPV4);
        writer_bytes(writer, (Bytes){(const uint8_t *)&ipv4.sin_addr, 4});
        writer_u16(writer, ntohs(ipv4.sin_port));
    } else {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, remote, sizeof(ipv6));
        writer_u8(writer, FAMILY_IPV6);
        writer_bytes(writer, (Bytes){(const uint8_t *)&ipv6.sin6_addr, 16});
        writer_u16(writer, ntohs(ipv6.sin6_port));
        writer_u32(writer, ipv6.sin6_scope_id);
    }
}

static int decode_remote(Reader *reader, struct sockaddr_storage *ret)
{
    uint8_t family = 0;
    uint16_t port = 0;
    uint32_t scope = 0;
    Bytes address = {};
    int r = reader_u8(reader, &family);
    if (r >= 0 && family != FAMILY_IPV4 && family != FAMILY_IPV6)
        r = -EBADMSG;
    if (r >= 0)
        r = reader_take(reader, family == FAMILY_IPV4 ? 4 : 16, &address);
    if (r >= 0)
        r = reader_u16(reader, &port);
    if (r >= 0 && family == FAMILY_IPV6)
        r = reader_u32(reader, &scope);
    if (r < 0)
        return r;

    if (family == FAMILY_IPV4) {
        struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&ipv4.sin_addr, address.data, 4);
        memcpy(ret, &ipv4, sizeof(ipv4));
    } else {
        struct sockaddr_in6 ipv6 = {
            .sin6_family = AF_INET6,
            .sin6_port = htons(port),
            .sin6_scope_id = scope,
        };
        memcpy(&ipv6.sin6_addr, address.data, 16);
        memcpy(ret, &ipv6, sizeof(ipv6));
    }
    return port == 0 ? -EBADMSG : 0;
}

static void encode_lifetime(Writer *writer, const Lifetime *lifetime)
{
    writer_u64(writer, lifetime->bytes);
    writer_u64(writer, lifetime->packets);
    writer_u64(writer, lifetime->seconds);
}

static int decode_lifetime(Reader *reader, Lifetime *ret)
{
    int r = reader_u64(reader, &ret->bytes);
    if (r >= 0)
        r = reader_u64(reader, &ret->packets);
    if (r >= 0)
        r = reader_u64(reader, &ret->seconds);
    return r;
}

static void encode_suite(Writer *writer, const EspSuite *suite)
{
    writer_u16(writer, suite->cipher->id);
    writer_u16(writer, suite->cipher->key_bits);
    writer_u16(writer, suite->integ ? suite->integ->id : IKE_INTEG_NONE);
    writer_u8(writer, suite->esn);
}

static int decode_suite(Reader *reader, EspSuite *ret)
{
    uint16_t encr = 0, key_bits = 0, integ = 0;
    uint8_t esn = 0;
    int r = reader_u16(reader, &encr);
    if (r >= 0)
        r = reader_u16(reader, &key_bits);
    if (r >= 0)
        r = reader_u16(reader, &integ);
    if (r >= 0)
        r = reader_u8(reader, &esn);
    if (r >= 0 && esn > 1)
        r = -EBADMSG;
    if (r < 0)
        return r;
    if (esp_suite_from_ids(encr, key_bits, integ, IKE_GROUP_NONE, esn, ret) != 0)
        return -EOPNOTSUPP;
    return 0;
}

static void encode_sa(Writer *writer, const SaOrder *sa)
{
    writer_u32(writer, sa->spi_in);
    writer_u32(writer, sa->spi_out);
    writer_u32(writer, sa->transport);
    encode_suite(writer, &sa->suite);
    encode_secret(writer, sa->encr_in);
    encode_secret(writer, sa->integ_in);
    encode_secret(writer, sa->encr_out);
    encode_secret(writer, sa->integ_out);
    encode_ts(writer, &sa->ts_local);
    encode_ts(writer, &sa->ts_remote);
    encode_remote(writer, &sa->remote);
    encode_lifetime(writer, &sa->soft);
    encode_lifetime(writer, &sa->hard);
}

static int decode_keys(Reader *reader, SaOrder *sa)
{
    size_t encr_size = sa->suite.cipher->key_size + sa->suite.cipher->salt_size;
    size_t integ_size = sa->suite.integ ? sa->suite.integ->key_size : 0;
    int r = decode_secret(reader, encr_size, &sa->encr_in);
    if (r >= 0)
        r = decode_secret(reader, integ_size, &sa->integ_in);
    if (r >= 0)
        r = decode_secret(reader, encr_size, &sa->encr_out);
    if (r >= 0)
        r = decode_secret(reader, integ_size, &sa->integ_out);
    return r;
}

static int decode_sa(Reader *reader, SaOrder *sa)
{
    int r = reader_u32(reader, &sa->spi_in);
    if (r >= 0)
        r = reader_u32(reader, &sa->spi_out);
    if (r >= 0)
        r = reader_u32(reader, &sa->transport);
    if (r >= 0)
        r = decode_suite(reader, &sa->suite);
    if (r >= 0)
        r = decode_keys(reader, sa);
    if (r >= 0)
        r = decode_ts(reader, &sa->ts_local);
    if (r >= 0)
        r = decode_ts(reader, &sa->ts_remote);
    if (r >= 0)
        r = decode_remote(reader, &sa->remote);
    if (r >= 0)
        r = decode_lifetime(reader, &sa->soft);
    if (r >= 0)
        r = decode_lifetime(reader, &sa->hard);
    return r;
}

void order_encode(Writer *writer, const Order *order)
{
    writer_u8(writer, (uint8_t)order->type);
    switch (order->type) {
    case ORDER_OPEN_TRANSPORT:
    case ORDER_CLOSE_TRANSPORT:
    case ORDER_REMOVE_SA:
    case ORDER_SA_COUNTERS:
        writer_u32(writer, order->id);
        break;
    case ORDER_ADD_SA:
        encode_sa(writer, order->sa);
        break;
    default:
        break;
    }
}

int order_decode(Bytes message, Order *ret)
{
    Reader reader;
    reader_init(&reader, message);
    uint8_t type = 0;
    _cleanup_(order_deinit) Order order = {};
    int r = reader_u8(&reader, &type);
    if (r < 0)
        return r;
    order.type = type;
    switch (order.type) {
    case ORDER_OPEN_TUN:
    case ORDER_CLOSE_TUN:
    case ORDER_PLANE_COUNTERS:
        break;
    case ORDER_OPEN_TRANSPORT:
    case ORDER_CLOSE_TRANSPORT:
    case ORDER_REMOVE_SA:
    case ORDER_SA_COUNTERS:
        r = reader_u32(&reader, &order.id);
        break;
    case ORDER_ADD_SA:
        order.sa = calloc(1, sizeof(*order.sa));
        r = order.sa ? decode_sa(&reader, order.sa) : -ENOMEM;
        break;
    default:
        r = -EBADMSG;
    }
    if (r >= 0 && reader_left(&reader) > 0)
        r = -EBADMSG;
    if (r < 0)
        return r;
    *ret = order;
    order.sa = NULL;
    return 0;
}
