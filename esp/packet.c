/* The inner IP packet: its headers, what the selectors of an SA are matched against, and DSCP and
 * ECN between inner and outer header. */
#include "esp/packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

enum {
    IPV4_HEADER = 20,
    IPV4_FRAGMENT_MASK = 0x3fff, /* More Fragments and the offset */
    IPV4_OFFSET_MASK = 0x1fff,
    IPV6_OFFSET_MASK = 0xfff8,
    IPV6_MORE_FRAGMENTS = 0x0001,
    IPV6_EXTENSIONS_MAX = 8,
};

static int parse_ipv4(Bytes bytes, Packet *packet, bool *ret_first)
{
    Reader reader;
    reader_init(&reader, bytes);
    uint8_t version_ihl = 0;
    uint16_t total = 0, fragment = 0;
    int r = reader_u8(&reader, &version_ihl);
    if (r >= 0)
        r = reader_skip(&reader, 1);
    if (r >= 0)
        r = reader_u16(&reader, &total);
    if (r >= 0)
        r = reader_skip(&reader, 2);
    if (r >= 0)
        r = reader_u16(&reader, &fragment);
    if (r >= 0)
        r = reader_skip(&reader, 1);
    if (r >= 0)
        r = reader_u8(&reader, &packet->protocol);
    if (r >= 0)
        r = reader_skip(&reader, 2);
    if (r >= 0)
        r = reader_take(&reader, 4, &packet->source);
    if (r >= 0)
        r = reader_take(&reader, 4, &packet->destination);
    if (r < 0)
        return r;

    packet->header_size = (size_t)(version_ihl & 0x0f) * 4;
    if (packet->header_size < IPV4_HEADER || total < packet->header_size || total > bytes.size)
        return -EBADMSG;
    packet->bytes = bytes_slice(bytes, 0, total);
    packet->fragment = (fragment & IPV4_FRAGMENT_MASK) != 0;
    *ret_first = (fragment & IPV4_OFFSET_MASK) == 0;
    return 0;
}

/* Walks one extension header (RFC 8200 4). Returns 1 if there was one, 0 at the upper layer. */
static int skip_extension(Reader *reader, Packet *packet, bool *first)
{
    uint8_t next = 0, length = 0;
    uint16_t fragment = 0;
    int r = 0;
    switch (packet->protocol) {
    case IPPROTO_HOPOPTS:
    case IPPROTO_ROUTING:
    case IPPROTO_DSTOPTS:
        r = reader_u8(reader, &next);
        if (r >= 0)
            r = reader_u8(reader, &length);
        if (r >= 0)
            r = reader_skip(reader, (size_t)length * 8 + 6);
        break;
    case IPPROTO_FRAGMENT:
        r = reader_u8(reader, &next);
        if (r >= 0)
            r = reader_skip(reader, 1);
        if (r >= 0)
            r = reader_u16(reader, &fragment);
        if (r >= 0)
            r = reader_skip(reader, 4);
        packet->fragment |= (fragment & (IPV6_OFFSET_MASK | IPV6_MORE_FRAGMENTS)) != 0;
        *first = (fragment & IPV6_OFFSET_MASK) == 0;
        break;
    default:
        return 0;
    }
    if (r < 0)
        return r;
    packet->protocol = next;
    return 1;
}

static int parse_ipv6(Bytes bytes, Packet *packet, bool *ret_first)
{
    Reader reader;
    reader_init(&reader, bytes);
    uint16_t payload = 0;
    int r = reader_skip(&reader, 4);
    if (r >= 0)
        r = reader_u16(&reader, &payload);
    if (r >= 0)
        r = reader_u8(&reader, &packet->protocol);
    if (r >= 0)
        r = reader_skip(&reader, 1);
    if (r >= 0)
        r = reader_take(&reader, 16, &packet->source);
    if (r >= 0)
        r = reader_take(&reader, 16, &packet->destination);
    if (r < 0)
        return r;
    if (payload > reader_left(&reader))
        return -EBADMSG;

    packet->bytes = bytes_slice(bytes, 0, reader.position + payload);
    reader.bytes = packet->bytes;
    *ret_first = true;
    for (unsigned i = 0; *ret_first; i++) {
        if (i == IPV6_EXTENSIONS_MAX)
            return -EBADMSG;
        r = skip_extension(&reader, packet, ret_first);
        if (r < 0)
            return r;
        if (r == 0)
            break;
    }
    packet->header_size = reader.position;
    return 0;
}

static int parse_ports(Packet *packet)
{
    Reader reader;
    reader_init(&reader, packet->bytes);
    int r = reader_skip(&reader, packet->header_size);
    switch (packet->protocol) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_SCTP:
    case IPPROTO_DCCP:
        if (r >= 0)
            r = reader_u16(&reader, &packet->source_port);
        if (r >= 0)
            r = reader_u16(&reader, &packet->destination_port);
        break;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        if (r >= 0)
            r = reader_u16(&reader, &packet->source_port);
        packet->destination_port = packet->source_port;
        break;
    default:
        return r;
    }
    packet->has_ports = r >= 0;
    return r;
}

int packet_parse(Bytes bytes, Packet *ret)
{
    *ret = (Packet){};
    if (bytes.size == 0)
        return -EBADMSG;
    ret->version = bytes.data[0] >> 4;
    bool first = false;
    int r = -EBADMSG;
    if (ret->version == 4) {
        r = parse_ipv4(bytes, ret, &first);
    } else if (ret->version == 6) {
        r = parse_ipv6(bytes, ret, &first);
    }
    if (r < 0)
        return r;
    return first ? parse_ports(ret) : 0;
}

static bool selector_matches(const IkeSelector *selector, const Packet *packet, Bytes address,
                             uint16_t port)
{
    uint8_t type = packet->version == 4 ? IKE_TS_IPV4_ADDR_RANGE : IKE_TS_IPV6_ADDR_RANGE;
    if (selector->type != type)
        return false;
    if (memcmp(selector->start, address.data, address.size) > 0 ||
        memcmp(selector->end, address.data, address.size) < 0)
        return false;
    if (selector->protocol != 0 && selector->protocol != packet->protocol)
        return false;
    if (selector->start_port == 0 && selector->end_port == UINT16_MAX)
        return true;
    if (selector->start_port == UINT16_MAX && selector->end_port == 0) /* OPAQUE: RFC 7296 3.13.1 */
        return !packet->has_ports;
    return packet->has_ports && selector->start_port <= port && port <= selector->end_port;
}

static bool ts_matches(const IkeTs *ts, const Packet *packet, Bytes address, uint16_t port)
{
    for (size_t i = 0; i < ts->n_selectors; i++) {
        if (selector_matches(&ts->selectors[i], packet, address, port))
            return true;
    }
    return false;
}

bool packet_matches(const Packet *packet, const IkeTs *local, const IkeTs *remote, bool outbound)
{
    return ts_matches(outbound ? local : remote, packet, packet->source, packet->source_port) &&
           ts_matches(outbound ? remote : local, packet, packet->destination,
                      packet->destination_port);
}

/* The bits that all addresses of a range begin with, and one each for a protocol and for ports. */
static int selector_narrowness(const IkeSelector *selector, size_t address_size)
{
    int bits =
        (selector->protocol != 0) + (selector->start_port != 0 || selector->end_port != UINT16_MAX);

    for (size_t i = 0; i < address_size; i++) {
        const unsigned differ = selector->start[i] ^ selector->end[i];
        if (differ != 0)
            return bits + __builtin_clz(differ) - (int)(sizeof(differ) - 1) * 8;
        bits += 8;
    }
    return bits;
}

static int ts_narrowness(const IkeTs *ts, const Packet *packet, Bytes address, uint16_t port)
{
    int narrowest = -1;

    for (size_t i = 0; i < ts->n_selectors; i++) {
        if (!selector_matches(&ts->selectors[i], packet, address, port))
            continue;
        const int bits = selector_narrowness(&ts->selectors[i], address.size);
        narrowest = bits > narrowest ? bits : narrowest;
    }
    return narrowest;
}

int packet_narrowness(const Packet *packet, const IkeTs *local, const IkeTs *remote)
{
    const int source = ts_narrowness(local, packet, packet->source, packet->source_port);
    const int destination =
        ts_narrowness(remote, packet, packet->destination, packet->destination_port);

    return source < 0 || destination < 0 ? -1 : source + destination;
}

enum {
    TOS = 1 /* RFC 791 3.1 */,
    CHECKSUM = 10,
    TRAFFIC_CLASS = 1 /* its lower half, RFC 8200 3 */
};

uint8_t traffic_class_read(const uint8_t *octets, uint8_t version)
{
    if (version == 4)
        return octets[TOS];
    return (uint8_t)(octets[0] << 4 | octets[TRAFFIC_CLASS] >> 4);
}

uint8_t traffic_class_outer(uint8_t inner, bool copy_dscp, bool ecn)
{
    unsigned copied = (copy_dscp ? 0xffU & ~(unsigned)ECN_MASK : 0) | (ecn ? ECN_MASK : 0);
    return (uint8_t)(inner & copied);
}

int ecn_combine(uint8_t inner, uint8_t outer)
{
    static const int8_t combined[4][4] = {
        /* outer:       Not-ECT,     ECT(1),      ECT(0),      CE */
        [ECN_NOT_ECT] = {ECN_NOT_ECT, ECN_NOT_ECT, ECN_NOT_ECT, ECN_DROP},
        [ECN_ECT_1] = {ECN_ECT_1, ECN_ECT_1, ECN_ECT_1, ECN_CE},
        [ECN_ECT_0] = {ECN_ECT_0, ECN_ECT_1, ECN_ECT_0, ECN_CE},
        [ECN_CE] = {ECN_CE, ECN_CE, ECN_CE, ECN_CE},
    };
    return combined[inner & ECN_MASK][outer & ECN_MASK];
}

/* RFC 1624 3, equation 3: HC' = ~(~HC + ~m + m'), of the one 16-bit word that changes. */
static void update_checksum(uint8_t *octets, uint16_t before, uint16_t after)
{
    uint32_t sum = (uint16_t) ~(octets[CHECKSUM] << 8 | octets[CHECKSUM + 1]);
    sum += (uint16_t)~before;
    sum += after;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    octets[CHECKSUM] = (uint8_t)(~sum >> 8);
    octets[CHECKSUM + 1] = (uint8_t)~sum;
}

void ecn_write(uint8_t *octets, uint8_t version, uint8_t ecn)
{
    if (version == 6) {
        octets[TRAFFIC_CLASS] = (uint8_t)((octets[TRAFFIC_CLASS] & ~(ECN_MASK << 4)) | ecn << 4);
        return;
    }
    uint16_t before = (uint16_t)(octets[0] << 8 | octets[TOS]);
    octets[TOS] = (uint8_t)((octets[TOS] & ~ECN_MASK) | ecn);
    update_checksum(octets, before, (uint16_t)(octets[0] << 8 | octets[TOS]));
}
