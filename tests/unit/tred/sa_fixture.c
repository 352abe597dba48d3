#include "sa_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A Notify of INITIAL_CONTACT: length 8, no SPI, type 16384. */
static const uint8_t notify[] = {0, 0, 0, 8, 0, 0, 0x40, 0};

static Secret *counted_secret(size_t size, uint8_t from)
{
    Secret *secret = NULL;

    assert_int_equal(secret_new(size, &secret), 0);
    for (size_t i = 0; i < size; i++)
        secret->data[i] = (uint8_t)(from + i);
    return secret;
}

Sa *sa_new(uint16_t encr, uint16_t key_bits, bool fragmentation)
{
    Sa *sa = calloc(1, sizeof(*sa));
    const Cipher *cipher = cipher_find(encr, key_bits);
    const IkeSuite suite = {
        .cipher = cipher,
        .integ = cipher->aead ? NULL : integ_find(IKE_INTEG_HMAC_SHA2_256_128),
        .prf = prf_find(IKE_PRF_HMAC_SHA2_256),
        .group = IKE_GROUP_ECP_256,
    };
    Writer writer;

    assert_non_null(sa);
    sa->keys.sk_ei = counted_secret(cipher->key_size + cipher->salt_size, 0);
    sa->keys.sk_er = counted_secret(cipher->key_size + cipher->salt_size, 100);
    if (suite.integ) {
        sa->keys.sk_ai = counted_secret(32, 150);
        sa->keys.sk_ar = counted_secret(32, 200);
    }
    assert_int_equal(protection_new(&suite, &sa->keys,
                                    &(ProtectionTerms){SA_SPI_I, SA_SPI_R, true, 1, fragmentation},
                                    &sa->ours),
                     0);
    assert_int_equal(seal_new(cipher, suite.integ, sa->keys.sk_er, sa->keys.sk_ar, &sa->peer_out),
                     0);
    assert_int_equal(seal_new(cipher, suite.integ, sa->keys.sk_ei, sa->keys.sk_ai, &sa->peer_in),
                     0);
    memcpy(sa->notify, notify, sizeof(notify));
    for (size_t i = 0; i < LARGE; i++)
        sa->large[i] = (uint8_t)(i * 7);
    writer_init(&writer, sa->large, 4);
    writer_u16(&writer, 0);
    writer_u16(&writer, LARGE);
    return sa;
}

void sa_free(Sa *sa)
{
    protection_free(sa->ours);
    seal_free(sa->peer_out);
    seal_free(sa->peer_in);
    ike_keys_deinit(&sa->keys);
    free(sa);
}

Sa *sa_new_gcm(void)
{
    return sa_new(IKE_ENCR_AES_GCM_16, 128, true);
}

PeerMessage sa_auth_response(const Sa *sa)
{
    return (PeerMessage){.exchange_type = IKE_AUTH,
                         .flags = IKE_FLAG_RESPONSE,
                         .message_id = 1,
                         .first = IKE_PAYLOAD_NOTIFY,
                         .plain = BYTES_OF(sa->notify)};
}

PeerMessage sa_peer_request(const Sa *sa, uint32_t message_id)
{
    return (PeerMessage){.exchange_type = IKE_INFORMATIONAL,
                         .message_id = message_id,
                         .first = IKE_PAYLOAD_NOTIFY,
                         .plain = BYTES_OF(sa->notify)};
}

Bytes sa_peer_seal(Sa *sa, const PeerMessage *message)
{
    const IkeHeader header = {
        .spi_i = SA_SPI_I,
        .spi_r = SA_SPI_R,
        .exchange_type = message->exchange_type,
        .flags = message->flags,
        .message_id = message->message_id,
    };
    const IkeFragment fragment = {.number = message->number, .total = message->total};
    Bytes datagram;
    Writer writer;

    writer_init(&writer, sa->datagram, sizeof(sa->datagram));
    assert_int_equal(seal_message(sa->peer_out, &header, message->first,
                                  message->total ? &fragment : NULL, message->plain, &writer),
                     0);
    assert_int_equal(writer_finish(&writer, &datagram), 0);
    return datagram;
}

int sa_peer_says(Sa *sa, const PeerMessage *message, Bytes expected)
{
    _cleanup_(opened_message_deinit) OpenedMessage opened = {0};
    int r = protection_open(sa->ours, sa_peer_seal(sa, message), &opened);

    if (r != 0)
        return r;
    assert_int_equal(opened.exchange_type, message->exchange_type);
    assert_int_equal(opened.response, (message->flags & IKE_FLAG_RESPONSE) != 0);
    assert_int_equal(opened.message_id, message->message_id);
    assert_true(bytes_equal((Bytes){opened.plain, opened.plain_size}, expected));
    return 0;
}

int sa_peer_says_notify(Sa *sa, const PeerMessage *message)
{
    return sa_peer_says(sa, message, BYTES_OF(sa->notify));
}

PeerMessage sa_large_piece(const Sa *sa, PeerMessage message, uint16_t number, uint16_t total)
{
    size_t piece = (LARGE + (size_t)total - 1) / total;

    message.number = number;
    message.total = total;
    message.first = IKE_PAYLOAD_VENDOR_ID;
    message.plain = bytes_slice(BYTES_OF(sa->large), (number - 1U) * piece, piece);
    return message;
}

int sa_seal_notify(Sa *sa, uint8_t exchange_type, bool response, SealedMessage *ret)
{
    return protection_seal(sa->ours, exchange_type, response, IKE_PAYLOAD_NOTIFY,
                           BYTES_OF(sa->notify), DATAGRAM_MAX, ret);
}

void sa_request(Sa *sa, uint8_t exchange_type, uint32_t message_id)
{
    _cleanup_(sealed_message_deinit) SealedMessage sealed = {0};

    assert_int_equal(sa_seal_notify(sa, exchange_type, false, &sealed), 0);
    assert_int_equal(sealed.message_id, message_id);
}

void sa_respond(Sa *sa, uint32_t message_id)
{
    _cleanup_(sealed_message_deinit) SealedMessage sealed = {0};

    assert_int_equal(sa_seal_notify(sa, IKE_INFORMATIONAL, true, &sealed), 0);
    assert_int_equal(sealed.message_id, message_id);
}

int sa_open_altered(Sa *sa, const PeerMessage *message, size_t offset)
{
    OpenedMessage opened = {0};
    Bytes datagram = sa_peer_seal(sa, message);

    sa->datagram[offset] ^= 0x01;
    return protection_open(sa->ours, datagram, &opened);
}

size_t sa_peer_opens(Sa *sa, const SealedMessage *sealed, size_t index, IkeMessage *message,
                     uint8_t *plain)
{
    Bytes datagram = {sealed->datagrams[index].data, sealed->datagrams[index].size};
    size_t size = 0;

    assert_int_equal(ike_message_decode(datagram, message, NULL), 0);
    assert_int_equal(seal_open(sa->peer_in, datagram, message, plain, &size), 0);
    return size;
}
