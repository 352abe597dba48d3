/* Traffic Selector payloads: the traffic that one stands for, and whether one lies within
 * another (RFC 7296 2.9, 3.13). */
#include "ikewire/payload.h"

#include <string.h>

enum {
    SELECTOR_START_SIZE = 4, /* of any type: type, one octet of its own, length */
    SELECTOR_HEADER_SIZE = 8,
    IPV4_SIZE = 4,
    IPV6_SIZE = 16,
    PORT_MAX = 65535,
};

/* Octets of one address of a selector's type; 0 for a type that we do not know. */
static size_t address_size(uint8_t type)
{
    switch (type) {
    case IKE_TS_IPV4_ADDR_RANGE:
        return IPV4_SIZE;
    case IKE_TS_IPV6_ADDR_RANGE:
        return IPV6_SIZE;
    default:
        return 0;
    }
}

/* 3.13.1: ports that can't be seen, as in a fragment, are selected by this impossible range. */
static bool is_opaque(const IkeSelector *selector)
{
    return selector->start_port == PORT_MAX && selector->end_port == 0;
}

static bool is_range(const IkeSelector *selector)
{
    if (memcmp(selector->start, selector->end, address_size(selector->type)) > 0)
        return false;
    return selector->start_port <= selector->end_port || is_opaque(selector);
}

static int address_decode(Reader *reader, size_t size, uint8_t *ret)
{
    Bytes address;

    if (reader_take(reader, size, &address) < 0)
        return IKEWIRE_E_TRUNCATED;
    memcpy(ret, address.data, size);
    return 0;
}

/* One of a type that we do not know (RFC 9478 has one) is traffic that nobody selects here: its
 * length alone is read. */
static int selector_decode(Reader *reader, IkeSelector *ret)
{
    uint16_t length;

    *ret = (IkeSelector){0};
    if (reader_u8(reader, &ret->type) < 0 || reader_u8(reader, &ret->protocol) < 0 ||
        reader_u16(reader, &length) < 0)
        return IKEWIRE_E_TRUNCATED;
    size_t size = address_size(ret->type);
    if (size == 0) {
        if (length < SELECTOR_START_SIZE)
            return IKEWIRE_E_SELECTOR;
        return reader_skip(reader, length - (size_t)SELECTOR_START_SIZE) < 0 ? IKEWIRE_E_TRUNCATED
                                                                             : 0;
    }
    if (length != SELECTOR_HEADER_SIZE + 2 * size)
        return IKEWIRE_E_SELECTOR;
    if (reader_u16(reader, &ret->start_port) < 0 || reader_u16(reader, &ret->end_port) < 0)
        return IKEWIRE_E_TRUNCATED;
    int r = address_decode(reader, size, ret->start);
    if (r == 0)
        r = address_decode(reader, size, ret->end);
    if (r != 0)
        return r;
    return is_range(ret) ? 0 : IKEWIRE_E_SELECTOR;
}

int ike_ts_decode(Bytes body, IkeTs *ret)
{
    Reader reader;
    uint8_t count;

    reader_init(&reader, body);
    ret->n_selectors = 0;
    ret->n_skipped = 0;
    if (reader_u8(&reader, &count) < 0 || reader_skip(&reader, 3) < 0)
        return IKEWIRE_E_TRUNCATED;
    if (count == 0)
        return IKEWIRE_E_SELECTOR;

    for (size_t i = 0; i < count; i++) {
        IkeSelector selector;
        int r = selector_decode(&reader, &selector);
        if (r != 0)
            return r;
        if (address_size(selector.type) == 0 || ret->n_selectors == IKE_SELECTORS_MAX) {
            ret->n_skipped++;
        } else {
            ret->selectors[ret->n_selectors++] = selector;
        }
    }
    return reader_left(&reader) > 0 ? IKEWIRE_E_TRAILING : 0;
}

static void selector_encode(Writer *writer, const IkeSelector *selector)
{
    size_t size = address_size(selector->type);

    writer_u8(writer, selector->type);
    writer_u8(writer, selector->protocol);
    writer_u16(writer, (uint16_t)(SELECTOR_HEADER_SIZE + 2 * size));
    writer_u16(writer, selector->start_port);
    writer_u16(writer, selector->end_port);
    writer_bytes(writer, (Bytes){selector->start, size});
    writer_bytes(writer, (Bytes){selector->end, size});
}

void ike_ts_encode(Writer *writer, const IkeTs *ts)
{
    writer_u8(writer, (uint8_t)ts->n_selectors);
    writer_zeros(writer, 3);
    for (size_t i = 0; i < ts->n_selectors; i++)
        selector_encode(writer, &ts->selectors[i]);
}

static bool ports_within(const IkeSelector *narrow, const IkeSelector *wide)
{
    /* All ports include those that can't be seen (RFC 4301 4.4.1.1: ANY includes OPAQUE). */
    if (wide->start_port == 0 && wide->end_port == PORT_MAX)
        return true;
    if (is_opaque(narrow) || is_opaque(wide))
        return is_opaque(narrow) && is_opaque(wide);
    return narrow->start_port >= wide->start_port && narrow->end_port <= wide->end_port;
}

/* True if `wide` takes in the protocol and the ports of `narrow`, and its first address. */
static bool has_first(const IkeSelector *narrow, const IkeSelector *wide)
{
    size_t size = address_size(narrow->type);

    if (narrow->type != wide->type || size == 0)
        return false;
    if (wide->protocol != 0 && wide->protocol != narrow->protocol)
        return false;
    return memcmp(narrow->start, wide->start, size) >= 0 &&
           memcmp(narrow->start, wide->end, size) <= 0 && ports_within(narrow, wide);
}

/* The address after `end`, which is not the last one that there is. */
static void address_after(const uint8_t *end, size_t size, uint8_t *ret)
{
    memcpy(ret, end, size);
    for (size_t i = size; i > 0 && ++ret[i - 1] == 0; i--)
        ;
}

/* One after the other takes in what those before it have left. */
static bool selector_within(const IkeSelector *narrow, const IkeTs *wide)
{
    const size_t size = address_size(narrow->type);
    IkeSelector left = *narrow;

    for (;;) {
        size_t i = 0;

        while (i < wide->n_selectors && !has_first(&left, &wide->selectors[i]))
            i++;
        if (i == wide->n_selectors)
            return false;
        if (memcmp(left.end, wide->selectors[i].end, size) <= 0)
            return true;
        address_after(wide->selectors[i].end, size, left.start);
    }
}

bool ike_ts_is_subset(const IkeTs *narrow, const IkeTs *wide)
{
    for (size_t i = 0; i < narrow->n_selectors; i++) {
        if (!selector_within(&narrow->selectors[i], wide))
            return false;
    }
    return true;
}
