/* Is a sealed message what the RFCs say, octet for octet, and does nothing else open? The messages
 * here were sealed with Python's cryptography module. */
#include "free_watch.h"
#include "no_random.h"
#include "octets_fixture.h"

#include "crypto/hmac.h"
#include "crypto/openssl.h"
#include "tred/seal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/varying.h"

typedef struct KnownAnswer {
    const char *name;
    uint16_t encr, key_bits;
    bool integ;
    bool fragment; /* 2 of 3 */
    const char *message;
} KnownAnswer;

static const KnownAnswer answers[] = {
    {"AES_GCM_16_128", IKE_ENCR_AES_GCM_16, 128, false, false,
     "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b82e202308000000010000004129000025"
     "0000000000000000474c89383841a5e9400fcb09ff208950623f2d39f341af80"
     "d3"},
    {"AES_GCM_16_256", IKE_ENCR_AES_GCM_16, 256, false, false,
     "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b82e202308000000010000004129000025"
     "000000000000000091fc581038a9c1d8f0c29dad43a16fb6fac1a3cc2492c4f6"
     "34"},
    {"CHACHA20_POLY1305", IKE_ENCR_CHACHA20_POLY1305, 0, false, false,
     "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b82e202308000000010000004129000025"
     "00000000000000006b76ad222bcc6a396823836cc7a65ee0f0ec6b20528b6f70"
     "9f"},
    {"AES_CBC_128", IKE_ENCR_AES_CBC, 128, true, false,
     "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b82e202308000000010000005029000034"
     "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfc570a105584a7aa0c3c84fca5537c4b0"
     "6a1294cb5c59f614ce9820b4b2a1ca07"},
    {"AES_CBC_256", IKE_ENCR_AES_CBC, 256, true, false,
     "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b82e202308000000010000005029000034"
     "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf514d2da37a9c1c9ffc355ab71895f9dd"
     "0dad17f6d5209d95c64514df101f89ee"},
    {"AES_GCM_16_128 in a fragment", IKE_ENCR_AES_GCM_16, 128, false, true,
     "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b835202308000000010000004500000029"
     "000200030000000000000000474c89383841a5e9401bce1bd0d2e21fd173e140"
     "113f47d604"},
    {"AES_CBC_128 in a fragment", IKE_ENCR_AES_CBC, 128, true, true,
     "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b835202308000000010000005400000038"
     "00020003c0c1c2c3c4c5c6c7c8c9cacbcccdcecfc570a105584a7aa0c3c84fca"
     "5537c4b05adea22265c40168b3e1da26b518d4bd"},
};
static const char padding_longer_than_all[] =
    "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b82e202308000000010000005029000034"
    "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf81bb597ea209400a66e3d3f50e1a0d42"
    "c8283ae39f0636b770d838596b9aec4d";
static const char padding_of_all[] =
    "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b82e202308000000010000005029000034"
    "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfc3f1cbb26ee28428d10be28af1bf07db"
    "c33895a7abdff8612715ea72b1ff3573";

/* A Notify of INITIAL_CONTACT. */
static const uint8_t plain[] = {0, 0, 0, 8, 0, 0, 0x40, 0};

static const IkeHeader header = {
    .spi_i = 0xa1a2a3a4a5a6a7a8,
    .spi_r = 0xb1b2b3b4b5b6b7b8,
    .exchange_type = IKE_AUTH,
    .flags = IKE_FLAG_INITIATOR,
    .message_id = 1,
};

static const IkeFragment second_of_three = {.number = 2, .total = 3};

enum { MESSAGE_MAX = 512 };

/* A seal with the keys of all answers: octets counted up, salt f0f1f2f3. */
typedef struct Sealer {
    Secret *encr, *integ;
    Seal *seal;
} Sealer;

static void sealer_init(Sealer *sealer, uint16_t encr, uint16_t key_bits, bool integ)
{
    const Cipher *cipher = cipher_find(encr, key_bits);

    *sealer = (Sealer){0};
    assert_int_equal(secret_new(cipher->key_size + cipher->salt_size, &sealer->encr), 0);
    for (size_t i = 0; i < cipher->key_size; i++)
        sealer->encr->data[i] = (uint8_t)i;
    memcpy(sealer->encr->data + cipher->key_size, "\xf0\xf1\xf2\xf3", cipher->salt_size);
    if (integ) {
        sealer->integ =
            secret_from_hex("404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f");
    }
    assert_int_equal(seal_new(cipher, integ ? integ_find(IKE_INTEG_HMAC_SHA2_256_128) : NULL,
                              sealer->encr, sealer->integ, &sealer->seal),
                     0);
}

static void sealer_deinit(Sealer *sealer)
{
    seal_free(sealer->seal);
    secret_free(sealer->encr);
    secret_free(sealer->integ);
}

static int message_open(Seal *seal, Bytes datagram, uint8_t *opened, size_t *ret_size)
{
    IkeMessage message;

    if (ike_message_decode(datagram, &message, NULL) != 0)
        return -EINVAL;
    return seal_open(seal, datagram, &message, opened, ret_size);
}

static void known_messages_open(void **state)
{
    (void)state;

    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(sealer_deinit) Sealer sealer;
        Octets message = octets_from_hex(answers[i].message);
        uint8_t opened[MESSAGE_MAX];
        size_t size = 0;

        sealer_init(&sealer, answers[i].encr, answers[i].key_bits, answers[i].integ);
        assert_int_equal(message_open(sealer.seal, octets_bytes(&message), opened, &size), 0);
        assert_int_equal(size, sizeof(plain));
        assert_memory_equal(opened, plain, sizeof(plain));
    }
}

static void known_aead_messages_are_made(void **state)
{
    (void)state;

    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(sealer_deinit) Sealer sealer = {0};
        uint8_t made[MESSAGE_MAX];
        Writer writer;

        if (answers[i].integ)
            continue; /* a CBC IV is random */
        sealer_init(&sealer, answers[i].encr, answers[i].key_bits, false);
        writer_init(&writer, made, sizeof(made));
        assert_int_equal(seal_message(sealer.seal, &header, IKE_PAYLOAD_NOTIFY,
                                      answers[i].fragment ? &second_of_three : NULL,
                                      BYTES_OF(plain), &writer),
                         0);
        assert_octets((Bytes){made, writer.size}, answers[i].message);
    }
}

static void what_was_sealed_opens_at_every_length(void **state)
{
    (void)state;
    enum { LENGTH_MAX = 50 };
    static const uint8_t octets[LENGTH_MAX] = {0xaa, 0xbb};

    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(sealer_deinit) Sealer sealer;

        sealer_init(&sealer, answers[i].encr, answers[i].key_bits, answers[i].integ);
        for (size_t length = 0; length <= LENGTH_MAX; length++) {
            uint8_t made[MESSAGE_MAX], opened[MESSAGE_MAX];
            size_t fixed = IKE_HEADER_SIZE + 4 + (answers[i].fragment ? 4 : 0), size = 0;
            Writer writer;

            writer_init(&writer, made, sizeof(made));
            assert_int_equal(seal_message(sealer.seal, &header, IKE_PAYLOAD_VENDOR_ID,
                                          answers[i].fragment ? &second_of_three : NULL,
                                          (Bytes){octets, length}, &writer),
                             0);
            assert_int_equal(writer.size, fixed + seal_size(sealer.seal, length));
            assert_true(seal_capacity(sealer.seal, writer.size - fixed) >= length);
            assert_int_equal(message_open(sealer.seal, (Bytes){made, writer.size}, opened, &size),
                             0);
            assert_int_equal(size, length);
            assert_memory_equal(opened, octets, length);
        }
    }
}

static void any_changed_bit_is_not_authentic(void **state)
{
    (void)state;

    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(sealer_deinit) Sealer sealer;
        Octets message = octets_from_hex(answers[i].message);

        sealer_init(&sealer, answers[i].encr, answers[i].key_bits, answers[i].integ);
        for (size_t bit = 0; bit < 8 * message.size; bit++) {
            uint8_t opened[MESSAGE_MAX];
            size_t size = 0;
            int r;

            message.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            r = message_open(sealer.seal, octets_bytes(&message), opened, &size);
            assert_true(r == -EBADMSG || r == -EINVAL); /* the latter: no message at all */
            if (bit / 8 >= IKE_HEADER_SIZE + 8)
                assert_int_equal(r, -EBADMSG);
            message.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

/* What deciphering makes of a message that is not authentic must not be read by anybody. */
static void what_does_not_open_leaves_nothing_in_the_clear(void **state)
{
    static const uint8_t zeros[9]; /* the Notify that is in each, and Pad Length */

    (void)state;
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(sealer_deinit) Sealer sealer;
        Octets message = octets_from_hex(answers[i].message);
        uint8_t opened[MESSAGE_MAX];
        size_t size = 0;

        sealer_init(&sealer, answers[i].encr, answers[i].key_bits, answers[i].integ);
        memset(opened, 0xee, sizeof(opened));
        message.data[message.size - 1] ^= 1;
        assert_int_equal(message_open(sealer.seal, octets_bytes(&message), opened, &size),
                         -EBADMSG);
        assert_memory_equal(opened, zeros, sizeof(zeros));
    }
}

static void the_salt_does_not_stay_on_the_stack(void **state)
{
    static const uint8_t salt[] = {0xf0, 0xf1, 0xf2, 0xf3};
    _cleanup_(sealer_deinit) Sealer sealer;
    uint8_t made[MESSAGE_MAX];
    Writer writer;

    (void)state;
    sealer_init(&sealer, IKE_ENCR_AES_GCM_16, 128, false);
    writer_init(&writer, made, sizeof(made));
    free_watch_begin(BYTES_OF(salt));
    assert_int_equal(
        seal_message(sealer.seal, &header, IKE_PAYLOAD_NOTIFY, NULL, BYTES_OF(plain), &writer), 0);
    assert_int_equal(free_watch_wiped(), 1); /* in the nonce */
    assert_false(free_watch_end());
}

int __real_EVP_CIPHER_CTX_reset(EVP_CIPHER_CTX *context);
int __wrap_EVP_CIPHER_CTX_reset(EVP_CIPHER_CTX *context);
static unsigned resets;

int __wrap_EVP_CIPHER_CTX_reset(EVP_CIPHER_CTX *context)
{
    resets++;
    return __real_EVP_CIPHER_CTX_reset(context);
}

/* OpenSSL keeps what it makes of a key in memory that is neither locked nor left out of dumps. */
static void the_expanded_key_goes_with_each_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(sealer_deinit) Sealer sealer;
        uint8_t made[MESSAGE_MAX], opened[MESSAGE_MAX];
        size_t size = 0;
        Writer writer;
        Bytes datagram;

        sealer_init(&sealer, answers[i].encr, answers[i].key_bits, answers[i].integ);
        writer_init(&writer, made, sizeof(made));
        resets = 0;
        assert_int_equal(
            seal_message(sealer.seal, &header, IKE_PAYLOAD_NOTIFY, NULL, BYTES_OF(plain), &writer),
            0);
        assert_int_equal(resets, 1);
        assert_int_equal(writer_finish(&writer, &datagram), 0);
        assert_int_equal(message_open(sealer.seal, datagram, opened, &size), 0);
        assert_int_equal(resets, 2);
    }
}

static void a_message_without_payloads_has_nothing_sealed_in_it(void **state)
{
    _cleanup_(sealer_deinit) Sealer sealer;
    const IkeMessage empty = {0};
    uint8_t opened[MESSAGE_MAX];
    size_t size = 0;

    (void)state;
    sealer_init(&sealer, IKE_ENCR_AES_GCM_16, 128, false);
    assert_int_equal(seal_open(sealer.seal, (Bytes){0}, &empty, opened, &size), -EBADMSG);
}

/* HMAC that fails: at a key, and at a message's end (ld --wrap). */
static bool no_hmac, no_end;

int __real_hmac_new(const char *digest, Bytes key, EVP_MAC_CTX **ret);
int __wrap_hmac_new(const char *digest, Bytes key, EVP_MAC_CTX **ret);
int __real_EVP_MAC_final(EVP_MAC_CTX *context, unsigned char *ret, size_t *ret_size, size_t size);
int __wrap_EVP_MAC_final(EVP_MAC_CTX *context, unsigned char *ret, size_t *ret_size, size_t size);

int __wrap_hmac_new(const char *digest, Bytes key, EVP_MAC_CTX **ret)
{
    return no_hmac ? -EIO : __real_hmac_new(digest, key, ret);
}

int __wrap_EVP_MAC_final(EVP_MAC_CTX *context, unsigned char *ret, size_t *ret_size, size_t size)
{
    return no_end ? 0 : __real_EVP_MAC_final(context, ret, ret_size, size);
}

static void without_hmac_nothing_is_sealed_nor_called_authentic_or_not(void **state)
{
    const Octets message = octets_from_hex(answers[3].message);
    uint8_t made[MESSAGE_MAX], opened[MESSAGE_MAX];
    size_t size = 0;
    Sealer sealer;
    Writer writer;
    Seal *seal = NULL;

    (void)state;
    sealer_init(&sealer, answers[3].encr, answers[3].key_bits, answers[3].integ);
    no_hmac = true;
    assert_int_equal(seal_new(cipher_find(answers[3].encr, answers[3].key_bits),
                              integ_find(IKE_INTEG_HMAC_SHA2_256_128), sealer.encr, sealer.integ,
                              &seal),
                     -EIO);
    no_hmac = false;
    assert_null(seal);
    no_end = true;
    assert_int_equal(message_open(sealer.seal, octets_bytes(&message), opened, &size), -EIO);
    writer_init(&writer, made, sizeof(made));
    assert_int_equal(
        seal_message(sealer.seal, &header, IKE_PAYLOAD_NOTIFY, NULL, BYTES_OF(plain), &writer),
        -EIO);
    no_end = false;
    assert_int_equal(writer.size, 0);
    assert_int_equal(message_open(sealer.seal, octets_bytes(&message), opened, &size), 0);
    sealer_deinit(&sealer);
}

/* What comes of `sealed` zeros whose ICV is right, and whose IV ends with this octet. */
static int zeros_open(const Sealer *sealer, size_t sealed, uint8_t iv_end)
{
    enum { ICV = 16, IV = 16 };
    uint8_t octets[MESSAGE_MAX] = {0}, opened[MESSAGE_MAX], full[EVP_MAX_MD_SIZE];
    _cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *context = NULL;
    size_t size = 0, written = 0;
    IkeChain chain;
    Bytes datagram;
    Writer writer;

    writer_init(&writer, octets, sizeof(octets));
    ike_message_begin(&writer, &header, &chain);
    ike_chain_open(&chain, IKE_PAYLOAD_SK, false);
    writer_zeros(&writer, IV - 1);
    writer_u8(&writer, iv_end);
    writer_zeros(&writer, sealed + ICV);
    ike_chain_close(&chain);
    ike_message_end(&chain);
    assert_int_equal(writer_finish(&writer, &datagram), 0);
    assert_int_equal(hmac_new("SHA256", secret_bytes(sealer->integ), &context), 0);
    assert_true(EVP_MAC_update(context, octets, datagram.size - ICV));
    assert_true(EVP_MAC_final(context, full, &written, sizeof(full)));
    memcpy(octets + datagram.size - ICV, full, ICV);
    return message_open(sealer->seal, datagram, opened, &size);
}

/* RFC 7296 3.14: whoever has the keys has sealed it, and it is not a number of blocks. Of one block
 * the Pad Length is what it deciphers to under CBC, exclusive-or the IV's last octet: of the 256,
 * those from 0 to 15 fit. */
static void what_is_no_number_of_blocks_is_refused_although_its_icv_is_right(void **state)
{
    enum { BLOCK = 16 };
    Sealer sealer;

    (void)state;
    sealer_init(&sealer, IKE_ENCR_AES_CBC, 128, true);
    for (size_t sealed = BLOCK - 1; sealed <= BLOCK + 1; sealed++) {
        unsigned opened = 0;

        for (unsigned iv_end = 0; iv_end <= UINT8_MAX; iv_end++) {
            const int r = zeros_open(&sealer, sealed, (uint8_t)iv_end);

            assert_true(r == 0 || r == -EBADMSG);
            opened += r == 0;
        }
        assert_int_equal(opened, sealed == BLOCK ? BLOCK : 0);
    }
    sealer_deinit(&sealer);
}

static void padding_must_fit_in_what_was_sealed(void **state)
{
    (void)state;
    _cleanup_(sealer_deinit) Sealer sealer;
    Octets longer = octets_from_hex(padding_longer_than_all);
    Octets all = octets_from_hex(padding_of_all);
    uint8_t opened[MESSAGE_MAX];
    size_t size = 1;

    sealer_init(&sealer, IKE_ENCR_AES_CBC, 128, true);
    assert_int_equal(message_open(sealer.seal, octets_bytes(&longer), opened, &size), -EBADMSG);
    assert_int_equal(message_open(sealer.seal, octets_bytes(&all), opened, &size), 0);
    assert_int_equal(size, 0);
}

static void what_is_too_short_to_be_sealed_is_not_authentic(void **state)
{
    (void)state;

    for (size_t i = 0; i < 5; i++) {
        _cleanup_(sealer_deinit) Sealer sealer;
        uint8_t octets[MESSAGE_MAX] = {0}, opened[MESSAGE_MAX];
        size_t size = 0;

        sealer_init(&sealer, answers[i].encr, answers[i].key_bits, answers[i].integ);
        for (size_t body = 0; body < 64; body++) {
            IkeChain chain;
            Bytes datagram;
            Writer writer;

            writer_init(&writer, octets, sizeof(octets));
            ike_message_begin(&writer, &header, &chain);
            ike_chain_open(&chain, IKE_PAYLOAD_SK, false);
            writer_zeros(&writer, body);
            ike_chain_close(&chain);
            ike_message_end(&chain);
            assert_int_equal(writer_finish(&writer, &datagram), 0);
            assert_true(message_open(sealer.seal, datagram, opened, &size) < 0);
        }
    }
}

/* RFC 7296 3.14: an IV of CBC is not to be foreseen. That of GCM is a counter. */
static void without_random_numbers_a_message_that_needs_an_iv_is_not_made(void **state)
{
    (void)state;
    for (int says = 0; says >= -1; says--) {
        _cleanup_(sealer_deinit) Sealer cbc, gcm;
        uint8_t made[MESSAGE_MAX] = {0};
        static const uint8_t zeros[sizeof(made)];
        Writer writer;

        sealer_init(&cbc, IKE_ENCR_AES_CBC, 128, true);
        sealer_init(&gcm, IKE_ENCR_AES_GCM_16, 128, false);
        writer_init(&writer, made, sizeof(made));
        no_random_begin(1, says);
        assert_int_equal(
            seal_message(cbc.seal, &header, IKE_PAYLOAD_NOTIFY, NULL, BYTES_OF(plain), &writer),
            -EIO);
        assert_true(no_random_end());
        assert_int_equal(writer.size, 0);
        assert_memory_equal(made, zeros, sizeof(made));
        no_random_begin(1, says);
        assert_int_equal(
            seal_message(gcm.seal, &header, IKE_PAYLOAD_NOTIFY, NULL, BYTES_OF(plain), &writer), 0);
        assert_false(no_random_end());
    }
}

/* RFC 7296 3.14: an IV of CBC can't be predicted. */
static void every_octet_of_an_iv_of_cbc_is_by_chance(void **state)
{
    enum { IV_OFFSET = IKE_HEADER_SIZE + 4, IV_SIZE = 16 };
    uint8_t ivs[VARYING_DRAWS][IV_SIZE];
    _cleanup_(sealer_deinit) Sealer sealer;

    (void)state;
    sealer_init(&sealer, IKE_ENCR_AES_CBC, 128, true);
    for (size_t i = 0; i < VARYING_DRAWS; i++) {
        uint8_t made[MESSAGE_MAX];
        Writer writer;

        writer_init(&writer, made, sizeof(made));
        assert_int_equal(
            seal_message(sealer.seal, &header, IKE_PAYLOAD_NOTIFY, NULL, BYTES_OF(plain), &writer),
            0);
        memcpy(ivs[i], made + IV_OFFSET, IV_SIZE);
    }
    assert_each_octet_varies(ivs, IV_SIZE);
}

static void no_two_messages_have_the_same_iv(void **state)
{
    (void)state;
    enum { MESSAGES = 64, IV_OFFSET = IKE_HEADER_SIZE + 4 };

    for (size_t i = 0; i < 5; i++) {
        _cleanup_(sealer_deinit) Sealer sealer;
        uint8_t made[MESSAGES][MESSAGE_MAX];
        size_t iv_size = cipher_find(answers[i].encr, answers[i].key_bits)->iv_size;

        sealer_init(&sealer, answers[i].encr, answers[i].key_bits, answers[i].integ);
        for (size_t j = 0; j < MESSAGES; j++) {
            Writer writer;

            writer_init(&writer, made[j], MESSAGE_MAX);
            assert_int_equal(seal_message(sealer.seal, &header, IKE_PAYLOAD_NOTIFY, NULL,
                                          BYTES_OF(plain), &writer),
                             0);
            for (size_t k = 0; k < j; k++)
                assert_memory_not_equal(made[j] + IV_OFFSET, made[k] + IV_OFFSET, iv_size);
        }
    }
}

static void a_message_without_room_leaves_nothing_in_the_clear(void **state)
{
    (void)state;
    _cleanup_(sealer_deinit) Sealer sealer;
    uint8_t made[60] = {0};
    static const uint8_t zeros[sizeof(made)];
    Writer writer;

    sealer_init(&sealer, IKE_ENCR_AES_GCM_16, 128, false);
    writer_init(&writer, made, sizeof(made)); /* room for the payloads, but not for the ICV */
    assert_int_equal(
        seal_message(sealer.seal, &header, IKE_PAYLOAD_NOTIFY, NULL, BYTES_OF(plain), &writer),
        -ENOBUFS);
    assert_int_equal(writer.size, 0);
    assert_memory_equal(made, zeros, sizeof(made));
}

static void keys_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const Cipher *gcm = cipher_find(IKE_ENCR_AES_GCM_16, 128);
    const Cipher *cbc = cipher_find(IKE_ENCR_AES_CBC, 128);
    const Integ *hmac = integ_find(IKE_INTEG_HMAC_SHA2_256_128);
    _cleanup_(secret_freep) Secret *key16 = NULL, *key20 = NULL;
    Seal *seal = NULL;

    assert_int_equal(secret_new(16, &key16), 0);
    assert_int_equal(secret_new(20, &key20), 0);
    assert_int_equal(seal_new(gcm, NULL, key16, NULL, &seal), -EINVAL); /* no salt */
    assert_int_equal(seal_new(gcm, hmac, key20, key16, &seal), -EINVAL);
    assert_int_equal(seal_new(cbc, NULL, key16, NULL, &seal), -EINVAL);
    assert_int_equal(seal_new(cbc, hmac, key16, NULL, &seal), -EINVAL);
    assert_null(seal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_messages_open),
        cmocka_unit_test(known_aead_messages_are_made),
        cmocka_unit_test(what_was_sealed_opens_at_every_length),
        cmocka_unit_test(any_changed_bit_is_not_authentic),
        cmocka_unit_test(what_does_not_open_leaves_nothing_in_the_clear),
        cmocka_unit_test(the_salt_does_not_stay_on_the_stack),
        cmocka_unit_test(the_expanded_key_goes_with_each_message),
        cmocka_unit_test(a_message_without_payloads_has_nothing_sealed_in_it),
        cmocka_unit_test(without_hmac_nothing_is_sealed_nor_called_authentic_or_not),
        cmocka_unit_test(what_is_no_number_of_blocks_is_refused_although_its_icv_is_right),
        cmocka_unit_test(padding_must_fit_in_what_was_sealed),
        cmocka_unit_test(what_is_too_short_to_be_sealed_is_not_authentic),
        cmocka_unit_test(without_random_numbers_a_message_that_needs_an_iv_is_not_made),
        cmocka_unit_test(every_octet_of_an_iv_of_cbc_is_by_chance),
        cmocka_unit_test(no_two_messages_have_the_same_iv),
        cmocka_unit_test(a_message_without_room_leaves_nothing_in_the_clear),
        cmocka_unit_test(keys_that_do_not_fit_are_refused),
    };

    if (secrets_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
