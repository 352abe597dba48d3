/* Can any datagram, authentic or not, make the plane read or write past its end? The first octet
 * says what the rest is: an ESP packet as it stands, the inside of an authentic one, or a packet of
 * the host's to be cut and sealed. */
#include "esp/esp.h"
#include "esp/offload.h"
#include "esp/sa.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEY_SIZE = 20, ROOM = 2048, SPI = 0x00000101 };

static Secret *key(void)
{
    Secret *secret = NULL;
    if (secret_new(KEY_SIZE, &secret) < 0)
        abort();
    return secret;
}

static Sa *sa_for_all(void)
{
    SaOrder order = {.spi_in = SPI, .spi_out = SPI};
    if (esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 128, 0, IKE_GROUP_NONE, true, &order.suite) != 0)
        abort();
    order.ts_local.n_selectors = 2;
    order.ts_local.selectors[0] =
        (IkeSelector){.type = IKE_TS_IPV4_ADDR_RANGE, .end_port = UINT16_MAX};
    order.ts_local.selectors[1] =
        (IkeSelector){.type = IKE_TS_IPV6_ADDR_RANGE, .end_port = UINT16_MAX};
    memset(order.ts_local.selectors[0].end, 0xff, 4);
    memset(order.ts_local.selectors[1].end, 0xff, 16);
    order.ts_remote = order.ts_local;
    _cleanup_(secret_freep) Secret *in = key();
    _cleanup_(secret_freep) Secret *out = key();
    order.encr_in = in;
    order.encr_out = out;
    Sa *sa = NULL;
    if (sa_new(&order, -1, 0, &sa) < 0)
        abort();
    return sa;
}

static void open_and_join(Sa *sa, Coalescer *coalescer, uint8_t *packet, size_t size)
{
    uint32_t spi = 0, low = 0;
    Packet inner;
    if (esp_peek((Bytes){packet, size}, &spi, &low) != 0 ||
        sa_open(sa, low, packet[0], packet, size, 0, &inner) != 0)
        return;
    uint8_t *octets = packet + (inner.bytes.data - packet);
    struct virtio_net_hdr header;
    if (coalescer_add(coalescer, &inner, octets))
        return;
    coalescer_finish(coalescer, &header);
    coalescer->n_packets = 0;
    if (!coalescer_add(coalescer, &inner, octets))
        abort();
}

/* In memory of exactly the packet's size, for AddressSanitizer to watch. */
static void try_packet(Sa *sa, Bytes octets)
{
    static Coalescer coalescer;
    coalescer.n_packets = 0;
    uint8_t *packet = malloc(octets.size + 1);
    if (!packet)
        abort();
    memcpy(packet, octets.data, octets.size);
    open_and_join(sa, &coalescer, packet, octets.size);
    free(packet);
}

/* Two authentic packets with this inside, so that the second may join the first. */
static void try_inside(Sa *sa, uint8_t version, Bytes inside)
{
    static Coalescer coalescer;
    uint8_t *packets[2];
    coalescer.n_packets = 0;
    for (size_t i = 0; i < 2; i++) {
        Bytes half = bytes_slice(inside, i * (inside.size / 2), inside.size / 2);
        size_t sealed_size = sa_sealed_size(sa, half.size);
        packets[i] = malloc(sealed_size);
        if (!packets[i])
            abort();
        memcpy(packets[i] + sa_front_size(sa), half.data, half.size);
        if (sa_seal(sa, version, packets[i], half.size, 0) != 0)
            abort();
        open_and_join(sa, &coalescer, packets[i], sealed_size);
    }
    struct virtio_net_hdr header;
    if (coalescer.n_packets > 0)
        coalescer_finish(&coalescer, &header);
    free(packets[0]);
    free(packets[1]);
}

static void try_host(Bytes octets)
{
    struct virtio_net_hdr header;
    Packet packet;
    Segmenter segmenter;
    if (octets.size < sizeof(header))
        return;
    memcpy(&header, octets.data, sizeof(header));
    if (packet_parse(bytes_slice(octets, sizeof(header), SIZE_MAX), &packet) < 0 ||
        segmenter_init(&segmenter, &header, &packet) < 0)
        return;
    for (size_t size; (size = segmenter_next_size(&segmenter)) > 0;) {
        uint8_t *segment = malloc(size);
        if (!segment)
            abort();
        segmenter_write(&segmenter, segment);
        free(segment);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready && secrets_init() < 0)
        abort();
    ready = true;
    if (size < 2 || size > ROOM)
        return 0;
    _cleanup_(sa_freep) Sa *sa = sa_for_all();
    Bytes rest = {data + 1, size - 1};
    switch (data[0] % 4) {
    case 0:
        try_packet(sa, rest);
        break;
    case 1:
        try_inside(sa, 4, rest);
        break;
    case 2:
        try_inside(sa, 6, rest);
        break;
    default:
        try_host(rest);
    }
    return 0;
}
