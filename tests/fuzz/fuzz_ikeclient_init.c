/* Can a stranger's IKE_SA_INIT responses, one after the other, bring the IKE client to more than a
 * bounded wait? */
#include "ikeclient/initial_exchanges.h"
#include "ikeclient/proposals.h"

#include <stdlib.h>
#include <string.h>

enum { SPI_I = 0x1d1d1d1d, SPI_SIZE = 8 };

/* Our SPI is not secret to who sees the request: spare the fuzzer the guess. */
static void give_spi(uint8_t *datagram, size_t size)
{
    static const uint8_t spi[SPI_SIZE] = {0, 0, 0, 0, 0x1d, 0x1d, 0x1d, 0x1d};

    if (size >= SPI_SIZE)
        memcpy(datagram, spi, SPI_SIZE);
}

static void judge(InitExchange *init, Bytes octets)
{
    static const uint8_t ke[INIT_KE_MAX];
    Endpoint henb, segw;
    InitResponse response;
    uint8_t *copy = malloc(octets.size + 1);

    if (!copy || endpoint_from_literal("198.51.100.7", 40000, &henb) < 0 ||
        endpoint_from_literal("192.0.2.1", 500, &segw) < 0)
        abort();
    if (octets.size > 0)
        memcpy(copy, octets.data, octets.size);
    give_spi(copy, octets.size);
    init_response_judge(init, (Bytes){copy, octets.size}, &henb, &segw, &response);
    if (response.verdict == INIT_GROUP && init_change_group(init, response.group, BYTES_OF(ke)) < 0)
        abort();
    if (init->cookies > INIT_COOKIES_MAX || init->group_changes > INIT_GROUP_CHANGES_MAX ||
        ((response.verdict == INIT_DROP || response.verdict == INIT_UNFIT) && !response.why))
        abort();
    free(copy);
}

/* The input is a row of datagrams, each after its length (u16). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t nonce[32], ke[64];
    char problem[PROPOSALS_PROBLEM_SIZE];
    InitExchange init;
    Reader reader;
    uint16_t length;
    Bytes datagram;
    IkeSaPayload offer;

    if (proposals_parse("aes128gcm16-prfsha256-ecp256-ecp384-curve25519", IKE_PROTOCOL_IKE, &offer,
                        problem) < 0 ||
        init_begin(&init, &offer, IKE_GROUP_ECP_256, SPI_I, BYTES_OF(nonce), BYTES_OF(ke)) < 0)
        abort();
    reader_init(&reader, (Bytes){data, size});
    while (reader_u16(&reader, &length) == 0 && reader_take(&reader, length, &datagram) == 0)
        judge(&init, datagram);
    return 0;
}
