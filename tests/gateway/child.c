/* Child SAs: their keys, their Delete, and just enough packets to see who sends by which.
 *
 * It says on standard output:
 *   child SPI SPI      there is another one: what it receives and what it sends by
 *   gone SPI           and it is gone
 *   pong SPI NUMBER    an ICMP echo reply has come in by it
 *   packet SPI         something else that is authentic
 *   stray SPI          something that there is no Child SA for, or that is not authentic */
#include "gateway.h"

#include "crypto/suite.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum {
    IPV4_SIZE = 20,
    ICMP_SIZE = 8,
    ICMP_ECHO = 8,
    ECHO_SIZE = IPV4_SIZE + ICMP_SIZE,
    ECHO_ID = 0x5e67,
    TFC_SIZE = 100,
};

static GatewayChild *child_find(Gateway *gateway, uint32_t spi_in)
{
    for (size_t i = 0; i < gateway->n_children; i++) {
        if (gateway->children[i].spi_in == spi_in)
            return &gateway->children[i];
    }
    return NULL;
}

static GatewayChild *child_find_out(Gateway *gateway, uint32_t spi_out)
{
    for (size_t i = 0; i < gateway->n_children; i++) {
        if (gateway->children[i].spi_out == spi_out)
            return &gateway->children[i];
    }
    return NULL;
}

void child_add(Gateway *gateway, const GatewaySa *sa, bool initiator, const Secret *dh_secret,
               Bytes nonce_i, Bytes nonce_r, uint32_t spi_in, uint32_t spi_out)
{
    GatewayChild child = {.owner = sa->number, .spi_in = spi_in, .spi_out = spi_out};
    EspKeys keys = {0};
    EspSuite suite;

    if (gateway->n_children == GATEWAY_CHILDREN_MAX ||
        esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, IKE_GROUP_NONE, false,
                           &suite) != 0 ||
        esp_keys_derive(prf_find(IKE_PRF_HMAC_SHA2_256), &suite, sa->keys.sk_d, dh_secret, nonce_i,
                        nonce_r, &keys) < 0)
        return;
    if (esp_new(ESP_INBOUND, &suite, spi_in, initiator ? keys.encr_r : keys.encr_i, NULL,
                &child.in) == 0 &&
        esp_new(ESP_OUTBOUND, &suite, spi_out, initiator ? keys.encr_i : keys.encr_r, NULL,
                &child.out) == 0) {
        gateway->children[gateway->n_children++] = child;
        (void)printf("child %08x %08x\n", spi_in, spi_out);
    }
    esp_keys_deinit(&keys);
}

void child_forget(Gateway *gateway, uint32_t spi_in)
{
    GatewayChild *child = child_find(gateway, spi_in);

    if (!child)
        return;
    esp_free(child->in);
    esp_free(child->out);
    *child = gateway->children[--gateway->n_children];
    (void)printf("gone %08x\n", spi_in);
}

void child_deleted(Gateway *gateway)
{
    for (size_t i = gateway->n_children; i > 0; i--) {
        if (gateway->children[i - 1].delete_sent)
            child_forget(gateway, gateway->children[i - 1].spi_in);
    }
}

void child_inherit(Gateway *gateway, unsigned from, unsigned to)
{
    for (size_t i = gateway->n_children; i > 0; i--) {
        GatewayChild *child = &gateway->children[i - 1];

        if (child->owner != from)
            continue;
        if (to != 0) {
            child->owner = to;
        } else {
            child_forget(gateway, child->spi_in);
        }
    }
}

void child_ask_delete(Gateway *gateway, GatewaySa *sa, const uint32_t *spis, size_t n_spis,
                      bool each)
{
    IkeDelete delete_ = {.protocol = IKE_PROTOCOL_ESP};
    IkeChain chain;
    Writer inner;

    writer_init(&inner, gateway->inner, sizeof(gateway->inner));
    ike_chain_init(&chain, &inner);
    for (size_t i = 0; i < n_spis; i++) {
        GatewayChild *child = child_find(gateway, spis[i]);

        if (child)
            child->delete_sent = true;
        delete_.spis[delete_.n_spis++] = spis[i];
        if (each || i + 1 == n_spis) {
            ike_chain_add_delete(&chain, &delete_);
            delete_.n_spis = 0;
        }
    }
    gateway_request(gateway, sa, IKE_INFORMATIONAL, &chain);
}

/* No Delete for one that a request of ours deletes already. */
void child_answer_delete(Gateway *gateway, const IkeDelete *delete_, IkeChain *chain)
{
    IkeDelete answer = {.protocol = IKE_PROTOCOL_ESP};

    for (size_t i = 0; i < delete_->n_spis; i++) {
        GatewayChild *child = child_find_out(gateway, delete_->spis[i]);

        if (!child)
            continue;
        if (!child->delete_sent)
            answer.spis[answer.n_spis++] = child->spi_in;
        child_forget(gateway, child->spi_in);
    }
    if (answer.n_spis > 0 && !gateway->style.silent)
        ike_chain_add_delete(chain, &answer);
}

static uint16_t checksum(const uint8_t *octets, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < size; i += 2)
        sum += (uint32_t)octets[i] << 8 | octets[i + 1];
    while (sum > UINT16_MAX)
        sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)~sum;
}

static void echo_write(const uint8_t address[4], uint16_t number, uint8_t *ret)
{
    const uint8_t core[4] = {10, 200, 0, 1};
    Writer writer;

    writer_init(&writer, ret, ECHO_SIZE);
    writer_u16(&writer, 0x4500);
    writer_u16(&writer, ECHO_SIZE);
    writer_u32(&writer, 0);
    writer_u16(&writer, 64 << 8 | IPPROTO_ICMP);
    writer_u16(&writer, 0);
    writer_bytes(&writer, BYTES_OF(core));
    writer_bytes(&writer, (Bytes){address, 4});
    writer_patch_u16(&writer, 10, checksum(ret, IPV4_SIZE));
    writer_u16(&writer, ICMP_ECHO << 8);
    writer_u16(&writer, 0);
    writer_u16(&writer, ECHO_ID);
    writer_u16(&writer, number);
    writer_patch_u16(&writer, IPV4_SIZE + 2, checksum(ret + IPV4_SIZE, ICMP_SIZE));
}

/* `size` octets stand in the packet where they belong. */
static void packet_send(const GatewaySa *sa, GatewayChild *child, uint8_t next_header,
                        uint8_t *packet, size_t size)
{
    if (esp_seal(child->out, ++child->sequence, next_header, packet, size) == 0)
        wire_send(&sa->wire, (Bytes){packet, esp_sealed_size(child->out, size)}, false);
}

void child_ping(Gateway *gateway, uint32_t spi_in, const uint8_t address[4], unsigned count)
{
    GatewayChild *child = child_find(gateway, spi_in);
    const GatewaySa *sa = child ? gateway_find_sa(gateway, child->owner) : NULL;
    const bool tfc = gateway->style.tfc;
    uint8_t packet[ESP_OVERHEAD_MAX + ECHO_SIZE + TFC_SIZE];

    for (unsigned i = 1; sa && i <= count; i++) {
        uint8_t *inner = packet + esp_front_size(child->out);

        if (tfc) { /* RFC 4303 2.6: whatever is in it */
            memset(inner, UINT8_MAX, ECHO_SIZE);
            packet_send(sa, child, ESP_NEXT_DUMMY, packet, ECHO_SIZE);
            memset(inner + ECHO_SIZE, UINT8_MAX, TFC_SIZE);
        }
        echo_write(address, (uint16_t)i, inner);
        packet_send(sa, child, ESP_NEXT_IPV4, packet, tfc ? ECHO_SIZE + TFC_SIZE : ECHO_SIZE);
    }
}

void child_receive(Gateway *gateway, Bytes packet)
{
    static uint8_t buffer[GATEWAY_MESSAGE_MAX];
    uint8_t next_header = 0;
    uint32_t spi, low;
    GatewayChild *child;
    Bytes inner;

    if (packet.size > sizeof(buffer) || esp_peek(packet, &spi, &low) != 0)
        return; /* a NAT keepalive */
    memcpy(buffer, packet.data, packet.size);
    child = child_find(gateway, spi);
    if (!child || esp_open(child->in, low, buffer, packet.size, &inner, &next_header) != 0) {
        (void)printf("stray %08x\n", spi);
    } else if (inner.size >= ECHO_SIZE && inner.data[9] == IPPROTO_ICMP &&
               inner.data[IPV4_SIZE] == 0) {
        (void)printf("pong %08x %u\n", spi, inner.data[ECHO_SIZE - 1]);
    } else {
        (void)printf("packet %08x\n", spi);
    }
}
