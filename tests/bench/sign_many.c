/* Does tred sign for years without taking anything of the TPM for good? Has it sign COUNT times,
 * each in an exchange of its own, with a SeGW that is no more than an IKE_SA_INIT response.
 *
 *     sign_many COUNT     as user henb-ike, on the system bus
 */
#include "base/cleanup.h"
#include "ikewire/message.h"

#include <inttypes.h>
#include <string.h>
#include <systemd/sd-bus.h>

enum { MESSAGE_MAX = 1024, GROUP = IKE_GROUP_ECP_256 };

/* The generator of P-256 (FIPS 186-4 D.1.2.3), which is as good a public value as any: nothing is
 * sealed here that has to stay secret. */
static const uint8_t ke_r[] = {
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
    0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
    0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16,
    0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
};

static const uint8_t nonce_r[32] = {1};

static IkeSaPayload suite(void)
{
    return (IkeSaPayload){
        .n_proposals = 1,
        .proposals = {{
            .number = 1,
            .protocol = IKE_PROTOCOL_IKE,
            .n_transforms = 3,
            .transforms =
                {{.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 128},
                 {.type = IKE_TRANSFORM_PRF, .id = IKE_PRF_HMAC_SHA2_256},
                 {.type = IKE_TRANSFORM_KE, .id = GROUP}},
        }},
    };
}

static int message_make(const IkeHeader *header, Bytes ke, Bytes nonce, uint8_t *buffer, Bytes *ret)
{
    static const uint8_t hashes[] = {0, IKE_HASH_SHA2_256, 0, IKE_HASH_SHA2_384};
    const IkeSaPayload sa = suite();
    IkeChain chain;
    Writer writer;

    writer_init(&writer, buffer, MESSAGE_MAX);
    ike_message_begin(&writer, header, &chain);
    ike_chain_add_sa(&chain, &sa);
    ike_chain_add_ke(&chain, GROUP, ke);
    ike_chain_add(&chain, IKE_PAYLOAD_NONCE, nonce);
    ike_chain_add_notify(&chain, IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS, BYTES_OF(hashes));
    ike_message_end(&chain);
    return writer_finish(&writer, ret);
}

typedef struct Begun {
    sd_bus_message *reply; /* what the others borrow from */
    const char *path;
    uint64_t spi_i;
    Bytes nonce_i, ke_i;
} Begun;

static int begin(sd_bus *bus, Begun *ret, sd_bus_error *error)
{
    const void *nonce_i, *ke_i;
    int r;

    r = sd_bus_call_method(bus, "org.tred.TrE1", "/org/tred/TrE1", "org.tred.TrE1.Manager",
                           "BeginExchange", error, &ret->reply, "q", GROUP);
    if (r >= 0)
        r = sd_bus_message_read(ret->reply, "ot", &ret->path, &ret->spi_i);
    if (r >= 0)
        r = sd_bus_message_read_array(ret->reply, 'y', &nonce_i, &ret->nonce_i.size);
    if (r >= 0)
        r = sd_bus_message_read_array(ret->reply, 'y', &ke_i, &ret->ke_i.size);
    if (r < 0)
        return r;
    ret->nonce_i.data = nonce_i;
    ret->ke_i.data = ke_i;
    return 0;
}

static int exchange_call(sd_bus *bus, const Begun *begun, const char *method, sd_bus_error *error)
{
    return sd_bus_call_method(bus, "org.tred.TrE1", begun->path, "org.tred.TrE1.Exchange", method,
                              error, NULL, "");
}

static int agree(sd_bus *bus, const Begun *begun, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
    const IkeHeader asks = {
        .spi_i = begun->spi_i, .exchange_type = IKE_SA_INIT, .flags = IKE_FLAG_INITIATOR};
    const IkeHeader answers = {.spi_i = begun->spi_i,
                               .spi_r = 1,
                               .exchange_type = IKE_SA_INIT,
                               .flags = IKE_FLAG_RESPONSE};
    uint8_t request_buffer[MESSAGE_MAX], response_buffer[MESSAGE_MAX];
    Bytes request, response;
    int r;

    r = message_make(&asks, begun->ke_i, begun->nonce_i, request_buffer, &request);
    if (r >= 0)
        r = message_make(&answers, BYTES_OF(ke_r), BYTES_OF(nonce_r), response_buffer, &response);
    if (r >= 0)
        r = sd_bus_message_new_method_call(bus, &call, "org.tred.TrE1", begun->path,
                                           "org.tred.TrE1.Exchange", "Agree");
    if (r >= 0)
        r = sd_bus_message_append_array(call, 'y', request.data, request.size);
    if (r >= 0)
        r = sd_bus_message_append_array(call, 'y', response.data, response.size);
    return r < 0 ? r : sd_bus_call(bus, call, 0, error, NULL);
}

static int sign_once(sd_bus *bus, sd_bus_error *error)
{
    Begun begun = {0};
    int r;

    r = begin(bus, &begun, error);
    if (r >= 0)
        r = agree(bus, &begun, error);
    if (r >= 0)
        r = exchange_call(bus, &begun, "SignAuth", error);
    if (r >= 0)
        r = exchange_call(bus, &begun, "Close", error);
    sd_bus_message_unref(begun.reply);
    return r;
}

int main(int argc, char **argv)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    const unsigned long count = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    int r;

    if (count == 0) {
        (void)fputs("Usage: sign_many COUNT\n", stderr);
        return 2;
    }
    r = sd_bus_open_system(&bus);
    if (r < 0) {
        (void)fprintf(stderr, "sign_many: there is no system bus: %s\n", strerror(-r));
        return EXIT_FAILURE;
    }
    for (unsigned long i = 0; i < count; i++) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        r = sign_once(bus, &error);
        if (r < 0) {
            (void)fprintf(stderr, "sign_many: signature %lu: %s\n", i + 1,
                          error.message ? error.message : strerror(-r));
            return EXIT_FAILURE;
        }
    }
    (void)printf("%lu signatures\n", count);
    return EXIT_SUCCESS;
}
