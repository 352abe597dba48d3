/* tred's end: writes orders, and reads answers and events, which it checks whole. */
#include "dataplane/order_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

enum {
    TS_BODY_MAX = 4 + IKE_SELECTORS_MAX * 40,
    OUTER_SIZE_MAX = 1 + 16 + 2 + 4,
    ADDRESS_SIZE_MAX = 2 + 16,
    INTERFACES_SIZE_MAX = 1 + DATAPLANE_INTERFACES_MAX * IFNAMSIZ,
    SA_SIZE_MAX = 5 + 17 + 7 + 1 + 4 * (2 + IKE_KEY_MAX) + 2 * (2 + TS_BODY_MAX) +
                  2 * OUTER_SIZE_MAX + 6 + 8 + 2 * 24 + 1 +
                  DATAPLANE_ADDRESSES_MAX * ADDRESS_SIZE_MAX,
};

static_assert((size_t)SA_SIZE_MAX <= (size_t)ORDER_SIZE_MAX, "every ADD_SA fits a frame");
static_assert(5 + 1 + INTERFACES_SIZE_MAX + 2 * (2 + (size_t)TS_BODY_MAX) <= (size_t)ORDER_SIZE_MAX,
              "every PROTECT fits a frame");

static void encode_secret(Writer *writer, const Secret *secret)
{
    Bytes octets = secret ? secret_bytes(secret) : (Bytes){};
    writer_u16(writer, (uint16_t)octets.size);
    writer_bytes(writer, octets);
}

static void encode_ts(Writer *writer, const IkeTs *ts)
{
    size_t length_at = writer->size;
    writer_u16(writer, 0);
    ike_ts_encode(writer, ts);
    writer_patch_u16(writer, length_at, (uint16_t)(writer->size - length_at - 2));
}

static void encode_outer(Writer *writer, const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof(ipv4));
        writer_u8(writer, ORDER_FAMILY_IPV4);
        writer_bytes(writer, (Bytes){(const uint8_t *)&ipv4.sin_addr, 4});
        writer_u16(writer, ntohs(ipv4.sin_port));
    } else if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, address, sizeof(ipv6));
        writer_u8(writer, ORDER_FAMILY_IPV6);
        writer_bytes(writer, (Bytes){(const uint8_t *)&ipv6.sin6_addr, 16});
        writer_u16(writer, ntohs(ipv6.sin6_port));
        writer_u32(writer, ipv6.sin6_scope_id);
    } else {
        writer_u8(writer, ORDER_FAMILY_NONE);
    }
}

static void encode_lifetime(Writer *writer, const Lifetime *lifetime)
{
    writer_u64(writer, lifetime->bytes);
    writer_u64(writer, lifetime->packets);
    writer_u64(writer, lifetime->seconds);
}

static void encode_suite(Writer *writer, const EspSuite *suite)
{
    writer_u16(writer, suite->cipher->id);
    writer_u16(writer, suite->cipher->key_bits);
    writer_u16(writer, suite->integ ? suite->integ->id : IKE_INTEG_NONE);
    writer_u8(writer, suite->esn);
}

static void encode_keys(Writer *writer, const SaOrder *sa)
{
    writer_u8(writer, sa->encr_in != NULL);
    if (!sa->encr_in)
        return;
    encode_secret(writer, sa->encr_in);
    encode_secret(writer, sa->integ_in);
    encode_secret(writer, sa->encr_out);
    encode_secret(writer, sa->integ_out);
}

static void encode_addresses(Writer *writer, const SaOrder *sa)
{
    writer_u8(writer, (uint8_t)sa->n_addresses);
    for (size_t i = 0; i < sa->n_addresses; i++) {
        const InnerAddress *address = &sa->addresses[i];
        writer_u8(writer, address->size);
        writer_u8(writer, address->prefix_length);
        writer_bytes(writer, (Bytes){address->octets, address->size});
    }
}

static void encode_path(Writer *writer, const SaPath *path)
{
    encode_outer(writer, &path->remote);
    encode_outer(writer, &path->local);
    writer_u8(writer, path->udp_encapsulated);
    writer_u16(writer, path->mtu);
}

static void encode_sa(Writer *writer, const SaOrder *sa)
{
    writer_u32(writer, sa->spi_in);
    writer_u32(writer, sa->spi_out);
    writer_u32(writer, sa->transport);
    writer_u32(writer, sa->segw);
    writer_u8(writer, sa->interface);
    encode_suite(writer, &sa->suite);
    encode_keys(writer, sa);
    encode_ts(writer, &sa->ts_local);
    encode_ts(writer, &sa->ts_remote);
    encode_path(writer, &(SaPath){.remote = sa->remote,
                                  .local = sa->local,
                                  .udp_encapsulated = sa->udp_encapsulated,
                                  .mtu = sa->mtu});
    writer_u8(writer, sa->standby);
    writer_u8(writer, sa->copy_dscp);
    writer_u8(writer, sa->ecn);
    writer_u64(writer, sa->dscps);
    encode_lifetime(writer, &sa->soft);
    encode_lifetime(writer, &sa->hard);
    encode_addresses(writer, sa);
}

static void encode_interfaces(Writer *writer, const InterfaceNames *interfaces)
{
    writer_u8(writer, (uint8_t)interfaces->n);
    for (size_t i = 0; i < interfaces->n; i++) {
        const char *name = interfaces->names[i];
        size_t size = strlen(name);
        writer_u8(writer, (uint8_t)size);
        writer_bytes(writer, (Bytes){(const uint8_t *)name, size});
    }
}

static void encode_open(Writer *writer, const Order *order)
{
    writer_u8(writer, (uint8_t)order->mode);
    encode_interfaces(writer, &order->interfaces);
}

/* No selector at all is no TS payload's body, and stands as one of no octets. */
static void encode_networks(Writer *writer, const IkeTs *networks)
{
    if (networks->n_selectors > 0) {
        encode_ts(writer, networks);
    } else {
        writer_u16(writer, 0);
    }
}

static void encode_protect(Writer *writer, const ProtectOrder *protect)
{
    writer_u8(writer, (uint8_t)protect->mode);
    encode_interfaces(writer, &protect->interfaces);
    encode_networks(writer, &protect->networks);
    encode_networks(writer, &protect->except);
}

void order_encode(Writer *writer, const Order *order)
{
    writer_u8(writer, (uint8_t)order->type);
    writer_u32(writer, order->number);
    switch (order->type) {
    case ORDER_OPEN:
        encode_open(writer, order);
        break;
    case ORDER_OPEN_TUN:
    case ORDER_CLOSE_TUN:
    case ORDER_OPEN_TRANSPORT:
    case ORDER_CLOSE_TRANSPORT:
    case ORDER_REMOVE_SA:
    case ORDER_USE_SA:
    case ORDER_SA_COUNTERS:
        writer_u32(writer, order->id);
        break;
    case ORDER_MOVE_SA:
        writer_u32(writer, order->id);
        writer_u32(writer, order->path.transport);
        encode_path(writer, &order->path);
        break;
    case ORDER_ADD_SA:
        encode_sa(writer, order->sa);
        break;
    case ORDER_PATH_MTU:
        writer_u32(writer, order->id);
        writer_u16(writer, order->path.mtu);
        break;
    case ORDER_PROTECT:
        encode_protect(writer, order->protect);
        break;
    default:
        break;
    }
}

/* ---- answers and events ---- */

/* The text is shown to people: no control characters. */
static int decode_text(Reader *reader, Reason *ret)
{
    uint16_t size = 0;
    Bytes text = {};
    int r = reader_u16(reader, &size);
    if (r >= 0 && size >= sizeof(ret->text))
        r = -EBADMSG;
    if (r >= 0)
        r = reader_take(reader, size, &text);
    for (size_t i = 0; r >= 0 && i < text.size; i++) {
        if (!isprint(text.data[i]))
            r = -EBADMSG;
    }
    if (r >= 0)
        bytes_copy((uint8_t *)ret->text, text);
    return r;
}

static int decode_opened(Reader *reader, Answer *answer)
{
    uint8_t mode = 0;
    int r = reader_u8(reader, &mode);
    if (r >= 0 && mode != DATAPLANE_KERNEL && mode != DATAPLANE_USER)
        r = -EBADMSG;
    answer->mode = mode;
    return r;
}

static int decode_answer(Reader *reader, Answer *answer)
{
    uint8_t type = 0;
    uint32_t error = 0;
    int r = reader_u8(reader, &type);
    if (r >= 0)
        r = reader_u32(reader, &answer->number);
    if (r >= 0)
        r = reader_u32(reader, &error);
    if (r >= 0 && (type == 0 || type >= ORDER_TYPES || error > INT16_MAX))
        r = -EBADMSG;
    if (r < 0)
        return r;
    answer->type = type;
    answer->error = -(int)error;
    if (answer->error != 0)
        return decode_text(reader, &answer->reason);
    if (answer->type == ORDER_OPEN)
        return decode_opened(reader, answer);
    size_t size = 0;
    uint8_t *counters = answer_counters(answer, &size);
    for (size_t i = 0; i < size && r >= 0; i += sizeof(uint64_t)) {
        uint64_t value = 0;
        r = reader_u64(reader, &value);
        memcpy(counters + i, &value, sizeof(value));
    }
    return r;
}

static int decode_event(Reader *reader, DataPlaneEvent *event)
{
    uint8_t type = 0;
    int r = reader_u8(reader, &type);
    if (r >= 0)
        r = reader_u32(reader, &event->spi_in);
    if (r >= 0 && type >= DATAPLANE_EVENT_TYPES)
        r = -EBADMSG;
    event->type = type;
    return r;
}

int report_decode(Bytes message, Report *ret)
{
    Reader reader;
    reader_init(&reader, message);
    Report report = {};
    uint8_t kind = 0;
    int r = reader_u8(&reader, &kind);
    if (r >= 0 && kind == REPORT_ANSWER) {
        r = decode_answer(&reader, &report.answer);
    } else if (r >= 0 && kind == REPORT_EVENT) {
        r = decode_event(&reader, &report.event);
    } else if (r >= 0) {
        r = -EBADMSG;
    }
    if (r >= 0 && reader_left(&reader) > 0)
        r = -EBADMSG;
    if (r >= 0)
        *ret = report;
    return r;
}
