/* The end of tred-net and tred-esp: reads orders, which are checked whole, and writes answers and
 * events. */
#include "dataplane/order_internal.h"

#include "base/helper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

enum { MTU_MIN = 68 /* RFC 791 3.2: what every host must take in one piece */ };

void order_deinit(Order *order)
{
    free(order->protect);
    order->protect = NULL;
    if (!order->sa)
        return;
    secret_free(order->sa->encr_in);
    secret_free(order->sa->integ_in);
    secret_free(order->sa->encr_out);
    secret_free(order->sa->integ_out);
    free(order->sa);
    order->sa = NULL;
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

static int decode_ts(Reader *reader, IkeTs *ret)
{
    uint16_t size = 0;
    Bytes body = {};
    int r = reader_u16(reader, &size);
    if (r >= 0)
        r = reader_take(reader, size, &body);
    if (r < 0)
        return r;
    /* None is passed over here: an SA of fewer selectors would not be the one that was ordered. */
    return ike_ts_decode(body, ret) == 0 && ret->n_skipped == 0 ? 0 : -EBADMSG;
}

static int decode_ipv4(Reader *reader, struct sockaddr_storage *ret)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    uint16_t port = 0;
    Bytes address = {};
    int r = reader_take(reader, 4, &address);
    if (r >= 0)
        r = reader_u16(reader, &port);
    if (r < 0)
        return r;
    ipv4.sin_port = htons(port);
    memcpy(&ipv4.sin_addr, address.data, 4);
    memcpy(ret, &ipv4, sizeof(ipv4));
    return 0;
}

static int decode_ipv6(Reader *reader, struct sockaddr_storage *ret)
{
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    uint16_t port = 0;
    Bytes address = {};
    int r = reader_take(reader, 16, &address);
    if (r >= 0)
        r = reader_u16(reader, &port);
    if (r >= 0)
        r = reader_u32(reader, &ipv6.sin6_scope_id);
    if (r < 0)
        return r;
    ipv6.sin6_port = htons(port);
    memcpy(&ipv6.sin6_addr, address.data, 16);
    memcpy(ret, &ipv6, sizeof(ipv6));
    return 0;
}

static int decode_outer(Reader *reader, struct sockaddr_storage *ret)
{
    uint8_t family = 0;
    int r = reader_u8(reader, &family);
    if (r < 0)
        return r;
    switch (family) {
    case ORDER_FAMILY_NONE:
        return 0;
    case ORDER_FAMILY_IPV4:
        return decode_ipv4(reader, ret);
    case ORDER_FAMILY_IPV6:
        return decode_ipv6(reader, ret);
    default:
        return -EBADMSG;
    }
}

/* The SeGW's; its port stands at one place in both families' addresses. */
static int decode_remote(Reader *reader, struct sockaddr_storage *ret)
{
    int r = decode_outer(reader, ret);
    struct sockaddr_in any;
    memcpy(&any, ret, sizeof(any));
    return r >= 0 && (ret->ss_family == AF_UNSPEC || any.sin_port == 0) ? -EBADMSG : r;
}

/* Of the remote's family, or not known. */
static int decode_local(Reader *reader, sa_family_t family, struct sockaddr_storage *ret)
{
    int r = decode_outer(reader, ret);
    return r >= 0 && ret->ss_family != AF_UNSPEC && ret->ss_family != family ? -EBADMSG : r;
}

static int decode_flag(Reader *reader, bool *ret)
{
    uint8_t octet = 0;
    int r = reader_u8(reader, &octet);
    *ret = octet != 0;
    return r >= 0 && octet > 1 ? -EBADMSG : r;
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

static int decode_suite(Reader *reader, EspSuite *ret)
{
    uint16_t encr = 0, key_bits = 0, integ = 0;
    bool esn = false;
    int r = reader_u16(reader, &encr);
    if (r >= 0)
        r = reader_u16(reader, &key_bits);
    if (r >= 0)
        r = reader_u16(reader, &integ);
    if (r >= 0)
        r = decode_flag(reader, &esn);
    if (r < 0)
        return r;
    if (esp_suite_from_ids(encr, key_bits, integ, IKE_GROUP_NONE, esn, ret) != 0)
        return -EOPNOTSUPP;
    return 0;
}

static int decode_keys(Reader *reader, SaOrder *sa)
{
    size_t encr_size = sa->suite.cipher->key_size + sa->suite.cipher->salt_size;
    size_t integ_size = sa->suite.integ ? sa->suite.integ->key_size : 0;
    bool present = false;
    int r = decode_flag(reader, &present);
    if (r < 0 || !present)
        return r;
    r = decode_secret(reader, encr_size, &sa->encr_in);
    if (r >= 0)
        r = decode_secret(reader, integ_size, &sa->integ_in);
    if (r >= 0)
        r = decode_secret(reader, encr_size, &sa->encr_out);
    if (r >= 0)
        r = decode_secret(reader, integ_size, &sa->integ_out);
    return r;
}

static int decode_address(Reader *reader, InnerAddress *ret)
{
    Bytes octets = {};
    int r = reader_u8(reader, &ret->size);
    if (r >= 0)
        r = reader_u8(reader, &ret->prefix_length);
    if (r >= 0 && ((ret->size != 4 && ret->size != 16) || ret->prefix_length > ret->size * 8))
        r = -EBADMSG;
    if (r >= 0)
        r = reader_take(reader, ret->size, &octets);
    if (r >= 0)
        memcpy(ret->octets, octets.data, octets.size);
    return r;
}

static int decode_addresses(Reader *reader, SaOrder *sa)
{
    uint8_t n = 0;
    int r = reader_u8(reader, &n);
    if (r >= 0 && n > DATAPLANE_ADDRESSES_MAX)
        r = -EBADMSG;
    for (uint8_t i = 0; i < n && r >= 0; i++)
        r = decode_address(reader, &sa->addresses[sa->n_addresses++]);
    return r;
}

static int decode_path(Reader *reader, SaPath *ret)
{
    int r = decode_remote(reader, &ret->remote);
    if (r >= 0)
        r = decode_local(reader, ret->remote.ss_family, &ret->local);
    if (r >= 0)
        r = decode_flag(reader, &ret->udp_encapsulated);
    if (r >= 0)
        r = reader_u16(reader, &ret->mtu);
    return r >= 0 && ret->mtu < MTU_MIN ? -EBADMSG : r;
}

static int decode_sa_path(Reader *reader, SaOrder *sa)
{
    SaPath path = {0};
    int r = decode_path(reader, &path);
    if (r >= 0)
        r = decode_flag(reader, &sa->standby);
    if (r >= 0)
        r = decode_flag(reader, &sa->copy_dscp);
    if (r >= 0)
        r = decode_flag(reader, &sa->ecn);
    if (r >= 0)
        r = reader_u64(reader, &sa->dscps);
    sa->remote = path.remote;
    sa->local = path.local;
    sa->udp_encapsulated = path.udp_encapsulated;
    sa->mtu = path.mtu;
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
        r = reader_u32(reader, &sa->segw);
    if (r >= 0)
        r = reader_u8(reader, &sa->interface);
    if (r >= 0 && sa->interface >= DATAPLANE_INTERFACES_MAX)
        r = -EBADMSG;
    if (r >= 0)
        r = decode_suite(reader, &sa->suite);
    if (r >= 0)
        r = decode_keys(reader, sa);
    if (r >= 0)
        r = decode_ts(reader, &sa->ts_local);
    if (r >= 0)
        r = decode_ts(reader, &sa->ts_remote);
    if (r >= 0)
        r = decode_sa_path(reader, sa);
    if (r >= 0)
        r = decode_lifetime(reader, &sa->soft);
    if (r >= 0)
        r = decode_lifetime(reader, &sa->hard);
    if (r >= 0)
        r = decode_addresses(reader, sa);
    return r;
}

static int decode_interface(Reader *reader, InterfaceNames *interfaces)
{
    uint8_t size = 0;
    Bytes name = {};
    int r = reader_u8(reader, &size);
    if (r >= 0)
        r = reader_take(reader, size, &name);
    if (r >= 0 && !interface_name_is_valid(name))
        r = -EBADMSG;
    if (r < 0)
        return r;
    char text[IFNAMSIZ] = {0};
    memcpy(text, name.data, name.size);
    if (interface_find(interfaces, text) < interfaces->n)
        return -EBADMSG;
    memcpy(interfaces->names[interfaces->n++], text, sizeof(text));
    return 0;
}

static int decode_interfaces(Reader *reader, InterfaceNames *ret)
{
    uint8_t n = 0;
    int r = reader_u8(reader, &n);
    if (r >= 0 && (n == 0 || n > DATAPLANE_INTERFACES_MAX))
        r = -EBADMSG;
    for (uint8_t i = 0; i < n && r >= 0; i++)
        r = decode_interface(reader, ret);
    return r;
}

/* The place of one. */
static int decode_place(Reader *reader, uint32_t *ret)
{
    int r = reader_u32(reader, ret);
    return r >= 0 && *ret >= DATAPLANE_INTERFACES_MAX ? -EBADMSG : r;
}

static int decode_open(Reader *reader, Order *order)
{
    uint8_t mode = 0;
    int r = reader_u8(reader, &mode);
    if (r >= 0)
        r = decode_interfaces(reader, &order->interfaces);
    if (r >= 0 && mode >= DATAPLANE_NONE)
        r = -EBADMSG;
    order->mode = mode;
    return r;
}

static int decode_networks(Reader *reader, IkeTs *ret)
{
    Reader ahead = *reader;
    uint16_t size = 0;
    int r = reader_u16(&ahead, &size);
    if (r < 0 || size > 0)
        return r < 0 ? r : decode_ts(reader, ret);
    *reader = ahead;
    return 0;
}

static int decode_protect(Reader *reader, ProtectOrder *protect)
{
    uint8_t mode = 0;
    int r = reader_u8(reader, &mode);
    if (r >= 0)
        r = decode_interfaces(reader, &protect->interfaces);
    if (r >= 0)
        r = decode_networks(reader, &protect->networks);
    if (r >= 0)
        r = decode_networks(reader, &protect->except);
    if (r >= 0 && mode >= PROTECT_MODES)
        r = -EBADMSG;
    protect->mode = mode;
    return r;
}

static int decode_move(Reader *reader, Order *order)
{
    int r = reader_u32(reader, &order->id);
    if (r >= 0)
        r = reader_u32(reader, &order->path.transport);
    return r < 0 ? r : decode_path(reader, &order->path);
}

static int decode_path_mtu(Reader *reader, Order *order)
{
    int r = reader_u32(reader, &order->id);
    if (r >= 0)
        r = reader_u16(reader, &order->path.mtu);
    return r >= 0 && order->path.mtu < MTU_MIN ? -EBADMSG : r;
}

int order_decode(Bytes message, Order *ret)
{
    Reader reader;
    reader_init(&reader, message);
    uint8_t type = 0;
    _cleanup_(order_deinit) Order order = {};
    int r = reader_u8(&reader, &type);
    if (r >= 0)
        r = reader_u32(&reader, &order.number);
    if (r < 0)
        return r;
    order.type = type;
    switch (order.type) {
    case ORDER_OPEN:
        r = decode_open(&reader, &order);
        break;
    case ORDER_PLANE_COUNTERS:
    case ORDER_UNPROTECT:
    case ORDER_PROTECTION_COUNTERS:
        break;
    case ORDER_OPEN_TUN:
    case ORDER_CLOSE_TUN:
        r = decode_place(&reader, &order.id);
        break;
    case ORDER_OPEN_TRANSPORT:
    case ORDER_CLOSE_TRANSPORT:
    case ORDER_REMOVE_SA:
    case ORDER_USE_SA:
    case ORDER_SA_COUNTERS:
        r = reader_u32(&reader, &order.id);
        break;
    case ORDER_MOVE_SA:
        r = decode_move(&reader, &order);
        break;
    case ORDER_ADD_SA:
        order.sa = calloc(1, sizeof(*order.sa));
        r = order.sa ? decode_sa(&reader, order.sa) : -ENOMEM;
        break;
    case ORDER_PATH_MTU:
        r = decode_path_mtu(&reader, &order);
        break;
    case ORDER_PROTECT:
        order.protect = calloc(1, sizeof(*order.protect));
        r = order.protect ? decode_protect(&reader, order.protect) : -ENOMEM;
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
    order.protect = NULL;
    return 0;
}

int order_receive(int channel, Secret *message, Order *ret, int *ret_fd)
{
    _cleanup_(close_fdp) int fd = -1;
    int size = helper_receive(channel, message->data, message->size, &fd), r = size;
    if (size > 0)
        r = order_decode((Bytes){message->data, (size_t)size}, ret);
    explicit_bzero(message->data, message->size); /* also of what was too long */
    if (size <= 0 || r < 0)
        return r;
    *ret_fd = steal_fd(&fd);
    return 1;
}

/* ---- answers and events ---- */

static void encode_reason(Writer *writer, const Answer *answer)
{
    size_t size = strnlen(answer->reason.text, sizeof(answer->reason.text) - 1);
    writer_u16(writer, (uint16_t)size);
    writer_bytes(writer, (Bytes){(const uint8_t *)answer->reason.text, size});
}

void answer_encode(Writer *writer, const Answer *answer)
{
    Answer copy = *answer;
    size_t size = 0;
    const uint8_t *counters = answer_counters(&copy, &size);
    writer_u8(writer, REPORT_ANSWER);
    writer_u8(writer, (uint8_t)answer->type);
    writer_u32(writer, answer->number);
    writer_u32(writer, (uint32_t)-answer->error);
    if (answer->error != 0) {
        encode_reason(writer, answer);
    } else if (answer->type == ORDER_OPEN) {
        writer_u8(writer, (uint8_t)answer->mode);
    }
    for (size_t i = 0; answer->error == 0 && i < size; i += sizeof(uint64_t)) {
        uint64_t value;
        memcpy(&value, counters + i, sizeof(value));
        writer_u64(writer, value);
    }
}

void event_encode(Writer *writer, const DataPlaneEvent *event)
{
    writer_u8(writer, REPORT_EVENT);
    writer_u8(writer, (uint8_t)event->type);
    writer_u32(writer, event->spi_in);
}
