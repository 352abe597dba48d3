/* Datagrams from outside into protection_open(): as they are, and sealed by somebody who has the
 * SeGW's keys, so that windows and reassembly are reached behind the ICV. Input: options, then a
 * raw datagram, or a list of messages to be sealed (flags, message ID, fragment number and total,
 * first payload, size, payloads). */
#include "tred/protection.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPTION_CBC = 1, OPTION_FRAGMENTATION = 2, OPTION_SEALED = 4, DATAGRAM_MAX = 2048 };

static const uint64_t spi_i = 1, spi_r = 2;

typedef struct Fuzz {
    IkeKeys keys;
    Protection *ours;
    Seal *peer;
} Fuzz;

static Secret *zero_secret(size_t size)
{
    Secret *secret = NULL;

    if (secret_new(size, &secret) < 0)
        abort();
    return secret;
}

static void fuzz_init(Fuzz *fuzz, uint8_t options)
{
    bool cbc = options & OPTION_CBC;
    const IkeSuite suite = {
        .cipher = cipher_find(cbc ? IKE_ENCR_AES_CBC : IKE_ENCR_AES_GCM_16, 128),
        .integ = cbc ? integ_find(IKE_INTEG_HMAC_SHA2_256_128) : NULL,
        .prf = prf_find(IKE_PRF_HMAC_SHA2_256),
        .group = IKE_GROUP_ECP_256,
    };
    size_t encr_size = suite.cipher->key_size + suite.cipher->salt_size;
    SealedMessage request = {0};

    *fuzz = (Fuzz){0};
    fuzz->keys.sk_ei = zero_secret(encr_size);
    fuzz->keys.sk_er = zero_secret(encr_size);
    if (cbc) {
        fuzz->keys.sk_ai = zero_secret(suite.integ->key_size);
        fuzz->keys.sk_ar = zero_secret(suite.integ->key_size);
    }
    if (protection_new(&suite, &fuzz->keys,
                       &(ProtectionTerms){spi_i, spi_r, true, 1, options & OPTION_FRAGMENTATION},
                       &fuzz->ours) < 0 ||
        seal_new(suite.cipher, suite.integ, fuzz->keys.sk_er, fuzz->keys.sk_ar, &fuzz->peer) < 0)
        abort();
    /* A request of ours is open, so that a response is due as well. */
    if (protection_seal(fuzz->ours, IKE_AUTH, false, 0, (Bytes){0}, DATAGRAM_MAX, &request) != 0)
        abort();
    sealed_message_deinit(&request);
}

static void fuzz_deinit(Fuzz *fuzz)
{
    protection_free(fuzz->ours);
    seal_free(fuzz->peer);
    ike_keys_deinit(&fuzz->keys);
}

/* What opens is answered if it is a request, so that the next one is due. */
static void datagram_open(Fuzz *fuzz, Bytes datagram)
{
    OpenedMessage opened = {0};
    SealedMessage response = {0};
    int r = protection_open(fuzz->ours, datagram, &opened);

    if (r < 0)
        abort();
    if (r == 0) {
        if (opened.plain_size > IKE_MESSAGE_MAX)
            abort();
        if (!opened.response && protection_seal(fuzz->ours, opened.exchange_type, true, 0,
                                                (Bytes){0}, DATAGRAM_MAX, &response) != 0)
            abort();
        /* No message opens twice. */
        if (protection_open(fuzz->ours, datagram, &opened) == 0)
            abort();
    }
    opened_message_deinit(&opened);
    sealed_message_deinit(&response);
}

/* Seals the next message of the input; false when there is none. */
static bool message_seal(Fuzz *fuzz, Reader *reader, Writer *writer)
{
    uint8_t flags, message_id, number, total, first, size;
    Bytes plain;

    if (reader_u8(reader, &flags) < 0 || reader_u8(reader, &message_id) < 0 ||
        reader_u8(reader, &number) < 0 || reader_u8(reader, &total) < 0 ||
        reader_u8(reader, &first) < 0 || reader_u8(reader, &size) < 0 ||
        reader_take(reader, size, &plain) < 0)
        return false;

    const IkeHeader header = {
        .spi_i = spi_i,
        .spi_r = spi_r,
        .exchange_type = flags & IKE_FLAG_RESPONSE ? IKE_AUTH : IKE_INFORMATIONAL,
        .flags = flags,
        .message_id = message_id,
    };
    const IkeFragment fragment = {.number = number, .total = total};

    return seal_message(fuzz->peer, &header, first, total ? &fragment : NULL, plain, writer) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    uint8_t options, datagram[DATAGRAM_MAX];
    Reader reader;
    Fuzz fuzz;

    if (!ready && secrets_init() < 0)
        abort();
    ready = true;
    reader_init(&reader, (Bytes){data, size});
    if (reader_u8(&reader, &options) < 0)
        return 0;
    fuzz_init(&fuzz, options);
    if (!(options & OPTION_SEALED)) {
        datagram_open(&fuzz, reader_rest(&reader));
    } else {
        for (;;) {
            Writer writer;

            writer_init(&writer, datagram, sizeof(datagram));
            if (!message_seal(&fuzz, &reader, &writer))
                break;
            datagram_open(&fuzz, (Bytes){datagram, writer.size});
        }
    }
    fuzz_deinit(&fuzz);
    return 0;
}
