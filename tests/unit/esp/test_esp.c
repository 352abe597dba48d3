/* Is an ESP packet what the RFCs say, octet for octet, and does nothing else open? The packets here
 * were made with Python's cryptography module. */
#include "esp/esp.h"

#include "free_watch.h"
#include "tests/unit/tred/octets_fixture.h"

#include <errno.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/varying.h"

enum { SPI = 0x1234abcd, BUFFER_SIZE = 4096 };

/* 46 octets: an IPv4 packet of UDP's number, payload 00 01 02 … */
static const char inner_packet[] = "4500002e00014000401100000a0000010a000002"
                                   "000102030405060708090a0b0c0d0e0f10111213141516171819";

typedef struct KnownAnswer {
    const char *name;
    uint16_t encr, key_bits, integ;
    bool esn;
    uint64_t sequence;
    const char *packet;
} KnownAnswer;

static const KnownAnswer answers[] = {
    {"AES_GCM_16_128, ESN", IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true, 0x100000007,
     "1234abcd000000070000000100000007203f4587c7f274803470f34da8067b522e7389ea7a26cdea3f663748"
     "2b059f1e0f75c7f331248e6bced146754251d0b967d421fdd5b5159165492d2ed0f88172"},
    {"AES_GCM_16_128", IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, false, 7,
     "1234abcd00000007000000000000000779b7e3dedfd1b7733168fda9b7bd903bb699734f64a1f86fe6e6b9f3"
     "c91f7cdaaf18f0d08c3876a9e8da11caad7e8694023fbd5d25e89ef9e855965f4cc6f288"},
    {"AES_GCM_16_256, ESN", IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, true, 0x100000007,
     "1234abcd000000070000000100000007f13ec0672fce9aa7449f4fbc602eeeb8e4e635454e83a06780dc25bc"
     "dabdd42d7531deea37e351ebbcb975924af21210fda4a702e91fc28e8fdd3eb907c03fe2"},
    {"CHACHA20_POLY1305, ESN", IKE_ENCR_CHACHA20_POLY1305, 0, IKE_INTEG_NONE, true, 0x100000007,
     "1234abcd0000000700000001000000073e9b388ec1e3f8ce7df229c080b3a932d6c1361eaf35b31ef2808f6c"
     "6960dbf803024d62d0647bb100412cad7a294cf301fc597198a4b5114a6dca5ab6f9fd31"},
    {"CHACHA20_POLY1305", IKE_ENCR_CHACHA20_POLY1305, 0, IKE_INTEG_NONE, false, 7,
     "1234abcd000000070000000000000007e99bbab9bf0dd5d96fa936ecf7f0d3382698f06fde9b40d569a52a5f"
     "04fcc73e6b5bd17ae267300ac526b006f14d167717d9e87e3482af5b04848474dbebcb28"},
    {"AES_CBC_128 with HMAC_SHA2_256_128, ESN", IKE_ENCR_AES_CBC, 128, IKE_INTEG_HMAC_SHA2_256_128,
     true, 0x100000007,
     "1234abcd00000007f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff0dc3b2fb206ab3bf5e36a7db668890a19e1b0f7e"
     "0a428fc67ea51f5be3952ae8ff3627a0f56682fb40e0d7565465344116c10a1c3c81049638b92c023aee513a"},
    {"AES_CBC_256 with HMAC_SHA2_256_128", IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128,
     false, 7,
     "1234abcd00000007f0f1f2f3f4f5f6f7f8f9fafbfcfdfefffcd4e4c75f6632fb2940db95c0c55fc347020798"
     "5b25b0c846e5486b4d3189763fbc6681cadb3fd008e11506834f3c42e85c1993d0013b9ba819ae288dc368dc"},
};

/* OpenSSL's MAC, which fails where a test has it so (ld --wrap). */
static bool no_mac;

int __wrap_EVP_MAC_init(EVP_MAC_CTX *context, const unsigned char *key, size_t size,
                        const OSSL_PARAM parameters[]);
int __real_EVP_MAC_init(EVP_MAC_CTX *context, const unsigned char *key, size_t size,
                        const OSSL_PARAM parameters[]);

int __wrap_EVP_MAC_init(EVP_MAC_CTX *context, const unsigned char *key, size_t size,
                        const OSSL_PARAM parameters[])
{
    return no_mac ? 0 : __real_EVP_MAC_init(context, key, size, parameters);
}

/* esp_new() with that answer's suite, and keys as they belong to it. */
static int esp_new_for(const KnownAnswer *answer, EspDirection direction, Esp **ret)
{
    EspSuite suite;
    assert_int_equal(esp_suite_from_ids(answer->encr, answer->key_bits, answer->integ,
                                        IKE_GROUP_NONE, answer->esn, &suite),
                     0);
    const char *keys = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    char encr_hex[80] = "";
    (void)strncat(encr_hex, keys, suite.cipher->key_size * 2);
    if (suite.cipher->salt_size > 0)
        (void)strcat(encr_hex, "a0a1a2a3");
    _cleanup_(secret_freep) Secret *encr = secret_from_hex(encr_hex);
    _cleanup_(secret_freep) Secret *integ = NULL;
    if (suite.integ)
        integ = secret_from_hex("404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f");
    return esp_new(direction, &suite, SPI, encr, integ, ret);
}

static Esp *esp_for(const KnownAnswer *answer, EspDirection direction)
{
    Esp *esp = NULL;
    assert_int_equal(esp_new_for(answer, direction, &esp), 0);
    return esp;
}

static void aead_packets_are_sealed_as_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        if (answers[i].integ != IKE_INTEG_NONE)
            continue; /* its IV is random */
        _cleanup_(esp_freep) Esp *esp = esp_for(&answers[i], ESP_OUTBOUND);
        Octets inner = octets_from_hex(inner_packet);
        uint8_t buffer[BUFFER_SIZE];
        memcpy(buffer + esp_front_size(esp), inner.data, inner.size);
        assert_int_equal(esp_seal(esp, answers[i].sequence, ESP_NEXT_IPV4, buffer, inner.size), 0);
        assert_octets((Bytes){buffer, esp_sealed_size(esp, inner.size)}, answers[i].packet);
    }
}

static void packets_of_every_suite_open_as_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(esp_freep) Esp *esp = esp_for(&answers[i], ESP_INBOUND);
        Octets packet = octets_from_hex(answers[i].packet);
        Bytes inner;
        uint8_t next_header = 0;
        assert_int_equal(
            esp_open(esp, answers[i].sequence, packet.data, packet.size, &inner, &next_header), 0);
        assert_octets(inner, inner_packet);
        assert_int_equal(next_header, ESP_NEXT_IPV4);
    }
}

static void a_packet_with_any_bit_turned_is_not_authentic(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(esp_freep) Esp *esp = esp_for(&answers[i], ESP_INBOUND);
        size_t size = octets_from_hex(answers[i].packet).size;
        for (size_t bit = 0; bit < size * 8; bit++) {
            Octets packet = octets_from_hex(answers[i].packet);
            /* AEAD authenticates SPI and sequence number of the SA, not of the packet: who looks
             * the SA up and infers the number has read them already. */
            if (bit < ESP_HEADER_SIZE * 8 && answers[i].integ == IKE_INTEG_NONE)
                continue;
            packet.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            Bytes inner;
            uint8_t next_header = 0;
            assert_int_equal(
                esp_open(esp, answers[i].sequence, packet.data, packet.size, &inner, &next_header),
                ESP_E_NOT_AUTHENTIC);
        }
    }
}

static void a_packet_under_another_sequence_number_is_not_authentic(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(esp_freep) Esp *esp = esp_for(&answers[i], ESP_INBOUND);
        if (!answers[i].esn && answers[i].integ != IKE_INTEG_NONE)
            continue; /* it stands in the packet alone */
        uint64_t other = answers[i].sequence ^ (answers[i].esn ? UINT64_C(1) << 32 : 1);
        Octets packet = octets_from_hex(answers[i].packet);
        Bytes inner;
        uint8_t next_header = 0;
        assert_int_equal(esp_open(esp, other, packet.data, packet.size, &inner, &next_header),
                         ESP_E_NOT_AUTHENTIC);
    }
}

static void a_packet_cut_short_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(esp_freep) Esp *esp = esp_for(&answers[i], ESP_INBOUND);
        for (size_t size = 0; size < octets_from_hex(answers[i].packet).size; size++) {
            Octets whole = octets_from_hex(answers[i].packet);
            uint8_t *packet = malloc(size + 1); /* of its size, for AddressSanitizer to watch */
            assert_non_null(packet);
            memcpy(packet, whole.data, size);
            Bytes inner;
            uint8_t next_header = 0;
            assert_true(esp_open(esp, answers[i].sequence, packet, size, &inner, &next_header) > 0);
            free(packet);
        }
    }
}

/* RFC 4303 2.4: to 4 octets, or to the cipher's block. It is no question of who has sent it. */
static void a_packet_that_is_not_aligned_is_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(esp_freep) Esp *esp = esp_for(&answers[i], ESP_INBOUND);
        const size_t alignment = answers[i].integ == IKE_INTEG_NONE ? 4 : 16;
        for (size_t more = 1; more <= alignment; more++) {
            Octets packet = octets_from_hex(answers[i].packet);
            Bytes inner;
            uint8_t next_header = 0;
            assert_true(packet.size + more <= sizeof(packet.data));
            memset(packet.data + packet.size, 0, more);
            assert_int_equal(esp_open(esp, answers[i].sequence, packet.data, packet.size + more,
                                      &inner, &next_header),
                             more < alignment ? ESP_E_MALFORMED : ESP_E_NOT_AUTHENTIC);
        }
    }
}

static void packets_of_every_size_come_back_aligned_and_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(esp_freep) Esp *out = esp_for(&answers[i], ESP_OUTBOUND);
        _cleanup_(esp_freep) Esp *in = esp_for(&answers[i], ESP_INBOUND);
        for (size_t size = 0; size < 200; size++) { /* 0: padding alone */
            uint8_t buffer[BUFFER_SIZE];
            memset(buffer, 0xee, sizeof(buffer));
            memset(buffer + esp_front_size(out), (int)size, size);
            size_t sealed_size = esp_sealed_size(out, size);
            assert_int_equal(sealed_size % 4, 0);
            assert_true(sealed_size <= size + ESP_OVERHEAD_MAX);
            assert_int_equal(esp_seal(out, size, ESP_NEXT_IPV6, buffer, size), 0);
            assert_int_equal(buffer[sealed_size], 0xee);
            Bytes inner;
            uint8_t next_header = 0;
            assert_int_equal(esp_open(in, size, buffer, sealed_size, &inner, &next_header), 0);
            assert_int_equal(next_header, ESP_NEXT_IPV6);
            assert_int_equal(inner.size, size);
            for (size_t j = 0; j < size; j++)
                assert_int_equal(inner.data[j], size);
        }
    }
}

static bool random_fails;

int __real_RAND_bytes(unsigned char *octets, int size);
int __wrap_RAND_bytes(unsigned char *octets, int size);

int __wrap_RAND_bytes(unsigned char *octets, int size)
{
    return random_fails ? 0 : __real_RAND_bytes(octets, size);
}

static void no_two_packets_have_the_same_iv(void **state)
{
    (void)state;
    enum { PACKETS = 8, INNER_SIZE = 40 };
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(esp_freep) Esp *out = esp_for(&answers[i], ESP_OUTBOUND);
        uint8_t packets[PACKETS][256] = {{0}};
        size_t iv_size = cipher_find(answers[i].encr, answers[i].key_bits)->iv_size;
        assert_true(iv_size > 0);
        for (size_t j = 0; j < PACKETS; j++) {
            assert_int_equal(esp_seal(out, j + 1, ESP_NEXT_IPV4, packets[j], INNER_SIZE), 0);
            for (size_t k = 0; k < j; k++)
                assert_memory_not_equal(packets[j] + 8, packets[k] + 8, iv_size);
        }
    }
}

/* RFC 3602 3: an IV of CBC must be unpredictable; a counter would differ from packet to packet,
 * too, but by little. */
static void an_iv_of_cbc_is_no_counter(void **state)
{
    (void)state;
    uint8_t ivs[VARYING_DRAWS][16];
    _cleanup_(esp_freep) Esp *out = esp_for(&answers[ELEMENTS(answers) - 1], ESP_OUTBOUND);
    for (size_t i = 0; i < VARYING_DRAWS; i++) {
        uint8_t packet[256] = {0};
        assert_int_equal(esp_seal(out, i + 1, ESP_NEXT_IPV4, packet, 40), 0);
        memcpy(ivs[i], packet + 8, sizeof(ivs[i]));
    }
    assert_each_octet_varies(ivs, sizeof(ivs[0]));
}

static void without_random_numbers_nothing_is_sealed_and_nothing_left_in_the_clear(void **state)
{
    (void)state;
    static const uint8_t zeros[256];
    uint8_t buffer[256];
    _cleanup_(esp_freep) Esp *out = esp_for(&answers[ELEMENTS(answers) - 1], ESP_OUTBOUND);
    memset(buffer, 0xee, sizeof(buffer));
    random_fails = true;
    int r = esp_seal(out, 1, ESP_NEXT_IPV4, buffer, 40);
    random_fails = false;
    assert_int_equal(r, -EIO);
    assert_memory_equal(buffer, zeros, esp_sealed_size(out, 40));
}

static void what_was_not_authentic_leaves_nothing_in_the_clear(void **state)
{
    (void)state;
    static const uint8_t zeros[256];
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(esp_freep) Esp *out = esp_for(&answers[i], ESP_OUTBOUND);
        _cleanup_(esp_freep) Esp *in = esp_for(&answers[i], ESP_INBOUND);
        uint8_t buffer[256];
        memset(buffer, 0xee, sizeof(buffer));
        assert_int_equal(esp_seal(out, 1, ESP_NEXT_IPV4, buffer, 40), 0);
        size_t front = esp_front_size(in), size = esp_sealed_size(out, 40);
        buffer[size - 1] ^= 1;
        Bytes inner;
        uint8_t next_header = 0;
        assert_int_equal(esp_open(in, 1, buffer, size, &inner, &next_header), ESP_E_NOT_AUTHENTIC);
        assert_memory_equal(buffer + front, zeros, 40);
    }
}

static void the_salt_goes_with_its_sa(void **state)
{
    (void)state;
    static const uint8_t salt[] = {0xa0, 0xa1, 0xa2, 0xa3};
    Esp *esp = esp_for(&answers[0], ESP_OUTBOUND);
    free_watch_begin(BYTES_OF(salt));
    esp_free(esp);
    assert_false(free_watch_end());
}

static void the_largest_inner_packet_fits_and_one_octet_more_does_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(esp_freep) Esp *esp = esp_for(&answers[i], ESP_OUTBOUND);
        EspSuite suite;
        assert_int_equal(esp_suite_from_ids(answers[i].encr, answers[i].key_bits, answers[i].integ,
                                            IKE_GROUP_NONE, answers[i].esn, &suite),
                         0);
        for (size_t room = 1200; room < 1300; room++) {
            size_t inner_size = esp_inner_max(&suite, room);
            assert_true(esp_sealed_size(esp, inner_size) <= room);
            assert_true(esp_sealed_size(esp, inner_size + 1) > room);
        }
        assert_int_equal(esp_inner_max(&suite, 20), 0);
    }
}

/* Padding 02 02 instead of 01 02, sealed with Python's cryptography module; AES_GCM_16_128,
 * number 9. */
static void authentic_padding_that_is_not_1_2_3_is_refused(void **state)
{
    (void)state;
    _cleanup_(esp_freep) Esp *esp = esp_for(&answers[1], ESP_INBOUND);
    Octets packet = octets_from_hex(
        "1234abcd000000090000000000000009e9ac4dd6db8d23865a554bd9db3b359df1d63697a57141daf75325c9"
        "3718f008ca09b07bc54d5209daa5935863dd2b13bc945a7afeadf9797f445ce278058e32");
    Bytes inner;
    uint8_t next_header = 0;
    assert_int_equal(esp_open(esp, 9, packet.data, packet.size, &inner, &next_header),
                     ESP_E_PADDING);
}

/* Pad Length is one too many, and the octet before the body, the last one of the IV, would fit. */
static void authentic_padding_longer_than_the_packet_is_refused(void **state)
{
    (void)state;
    _cleanup_(esp_freep) Esp *esp = esp_for(&answers[1], ESP_INBOUND);
    Octets packet = octets_from_hex(
        "1234abcd000000010000000000000001447218f76a837f598d674a1ad50b847703e10d9680e298bb77ea970d"
        "02b97f33c9d8ea8e0316b8fe1a21c895e1039010ece89284c195f546f197489902625592");
    Bytes inner;
    uint8_t next_header = 0;
    assert_int_equal(esp_open(esp, 1, packet.data, packet.size, &inner, &next_header),
                     ESP_E_PADDING);
}

static void a_key_of_another_size_is_refused(void **state)
{
    (void)state;
    EspSuite suite;
    assert_int_equal(
        esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, IKE_GROUP_NONE, true, &suite),
        0);
    _cleanup_(secret_freep) Secret *encr = secret_from_hex("00010203040506070809");
    Esp *esp = NULL;
    assert_int_equal(esp_new(ESP_INBOUND, &suite, SPI, encr, NULL, &esp), -EINVAL);
    _cleanup_(secret_freep) Secret *good =
        secret_from_hex("000102030405060708090a0b0c0d0e0fa0a1a2a3");
    assert_int_equal(esp_new(ESP_INBOUND, &suite, SPI, good, good, &esp), -EINVAL);
    assert_int_equal(esp_suite_from_ids(IKE_ENCR_AES_CBC, 128, IKE_INTEG_HMAC_SHA2_256_128,
                                        IKE_GROUP_NONE, true, &suite),
                     0);
    _cleanup_(secret_freep) Secret *cbc = secret_from_hex("000102030405060708090a0b0c0d0e0f");
    assert_int_equal(esp_new(ESP_INBOUND, &suite, SPI, cbc, cbc, &esp), -EINVAL);
    assert_int_equal(esp_new(ESP_INBOUND, &suite, SPI, cbc, NULL, &esp), -EINVAL);
    assert_null(esp);
}

static void without_an_icv_nothing_is_sealed_and_nothing_opened(void **state)
{
    (void)state;
    _cleanup_(esp_freep) Esp *out = esp_for(&answers[5], ESP_OUTBOUND);
    _cleanup_(esp_freep) Esp *in = esp_for(&answers[5], ESP_INBOUND);
    Octets packet = octets_from_hex(answers[5].packet);
    const uint8_t none[BUFFER_SIZE] = {0};
    uint8_t buffer[BUFFER_SIZE] = {0};
    Bytes inner;
    uint8_t next_header = 0;
    memset(buffer + esp_front_size(out), 0xee, 46);
    no_mac = true;
    assert_int_equal(esp_seal(out, 7, 4, buffer, 46), -EIO);
    assert_memory_equal(buffer, none, sizeof(buffer));
    assert_int_equal(
        esp_open(in, answers[5].sequence, packet.data, packet.size, &inner, &next_header), -EIO);
    no_mac = false;
}

static bool no_context;

EVP_CIPHER_CTX *__real_EVP_CIPHER_CTX_new(void);
EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void);

EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void)
{
    return no_context ? NULL : __real_EVP_CIPHER_CTX_new();
}

static void without_memory_for_its_cipher_there_is_no_sa(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(esp_freep) Esp *esp = NULL;
        no_context = true;
        assert_int_equal(esp_new_for(&answers[i], ESP_INBOUND, &esp), -EIO);
        no_context = false;
        assert_null(esp);
    }
}

static int setup(void **state)
{
    (void)state;
    return secrets_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aead_packets_are_sealed_as_known),
        cmocka_unit_test(packets_of_every_suite_open_as_known),
        cmocka_unit_test(a_packet_with_any_bit_turned_is_not_authentic),
        cmocka_unit_test(a_packet_under_another_sequence_number_is_not_authentic),
        cmocka_unit_test(a_packet_cut_short_anywhere_is_refused),
        cmocka_unit_test(no_two_packets_have_the_same_iv),
        cmocka_unit_test(an_iv_of_cbc_is_no_counter),
        cmocka_unit_test(without_random_numbers_nothing_is_sealed_and_nothing_left_in_the_clear),
        cmocka_unit_test(what_was_not_authentic_leaves_nothing_in_the_clear),
        cmocka_unit_test(the_salt_goes_with_its_sa),
        cmocka_unit_test(a_packet_that_is_not_aligned_is_malformed),
        cmocka_unit_test(packets_of_every_size_come_back_aligned_and_whole),
        cmocka_unit_test(the_largest_inner_packet_fits_and_one_octet_more_does_not),
        cmocka_unit_test(authentic_padding_that_is_not_1_2_3_is_refused),
        cmocka_unit_test(authentic_padding_longer_than_the_packet_is_refused),
        cmocka_unit_test(a_key_of_another_size_is_refused),
        cmocka_unit_test(without_an_icv_nothing_is_sealed_and_nothing_opened),
        cmocka_unit_test(without_memory_for_its_cipher_there_is_no_sa),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
