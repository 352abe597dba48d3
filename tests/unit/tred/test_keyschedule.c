/* Do the key schedule's results equal those that another implementation found? The answers here
 * were made with Python's hmac module from the formulas of RFC 7296 2.13-2.18;
 * test_keyschedule_vectors has NIST's. */
#include "octets_fixture.h"

#include "tred/keyschedule.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct KnownAnswer {
    uint16_t prf, encr, key_bits, integ;
    const char *skeyseed;
    const char *sk_d, *sk_ai, *sk_ar, *sk_ei, *sk_er, *sk_pi, *sk_pr;
    const char *rekeyed;
    const char *child, *child_dh;
} KnownAnswer;

static const KnownAnswer answers[] = {
    {
        .prf = IKE_PRF_HMAC_SHA2_256,
        .encr = IKE_ENCR_AES_GCM_16,
        .key_bits = 128,
        .integ = 0,
        .skeyseed = "fb7b0d6107cf71fb87cb4f19020bd81cc0f757a8f6a81a8a62c5b6f3a2660ac5",
        .sk_d = "0c26341d77313c227236f4aebf29182f0629dbe10e8ac56347f067a8defc22d5",
        .sk_ei = "8748594d3353b3e04121026ebf49d4a4907e2ae4",
        .sk_er = "eb2a9831832397da89af6f7968b67ce3c70fad27",
        .sk_pi = "3ae0bbb34ee581341bbfd3303ab1d48166dde54604d0286bd75427665fbbb117",
        .sk_pr = "f4d9f877d73606ca959fbdb34f746d24f8939191f8d3af60fc816d7edfca54ae",
        .rekeyed = "ecec767c67865c42d02a4de348b7a1e3ee3698fd2c21b7f8dece10ac6703e1db",
        .child = "2b9b2f8d7f6469c5053114fe8b9f093e4c8d1156c64f995b9b6455e3a98772fa"
                 "1f7a4aace2fe2358",
        .child_dh = "33a6210f4949332abe27eee8617d547ad3f83f20ec53e6087680462b17616833"
                    "2b3ed749067e6ae3",
    },
    {
        .prf = IKE_PRF_HMAC_SHA2_384,
        .encr = IKE_ENCR_AES_CBC,
        .key_bits = 256,
        .integ = IKE_INTEG_HMAC_SHA2_256_128,
        .skeyseed = "02912ef2a408bf5c1da073914cd8065b59976d25aadfd35dce5f6a60eb9b3a7e"
                    "be3044eb8b45fe168062fa6fb6cf58f6",
        .sk_d = "f9c95d9b71b9dce3036c0503f9050ba5454e4edf4f211c4735678a36ea2be382"
                "c147db63d0742bb7a7067418d1c1b1e8",
        .sk_ai = "4dbc5ff5d633d9435a9da5dd51708f53d3133823f576f79c3c61000539df644e",
        .sk_ar = "7deb93714a3123e1f4d1d5e1896275933263d5620fc46f6e602270808d032d50",
        .sk_ei = "e873c2b0d1c1d551e8bfa97595ce8f3bc2ebcd52c7395e271a197bb7931ce6b8",
        .sk_er = "c10ba334c0ab80b252843c3f8ef403856f00eb7211eb7286516bf1f96b091ea5",
        .sk_pi = "f889ea06d2fa3dccdc3530090c94690c35563d484e929fa757e6380389abbf25"
                 "6c7ba297f639989111a0134cfe97397e",
        .sk_pr = "f069e68d69be8655cf58eee1d31cd59346c61c2d47cd0c2ed736ea3ce807e9d7"
                 "6f6fd05682fd50e34a7defcbca6c68a9",
        .rekeyed = "51e107c6b389094625af21ae44e63b6840677ca4a4474af71dba140d167c22ac"
                   "5be69647e1f54f5e7d7113203ca4519c",
        .child = "0fd573e1eb9469a433d43e232da18785c1fce4627870ecf346f09c21c63287ed"
                 "fa809e6fa5b5fc3908a0ecb399074b7b6206e2ebcdb3f4b4aa921892014d1769"
                 "9f992e37ffb3e957345c30e8f3343079a27bbad53f779bf599940ef965419a4b"
                 "c1761f6c4eb6df337026e5351181333f4c32dc07457dd4ca5ce872ea248795fb",
        .child_dh = "a4a3b0c9afa9a3a7977cec5d6ff41511b5d0bd46301efdc446526b26159ae275"
                    "51c04f30fe4623de543dc46de7f2ec207d4f16dc0b354e89700655fa6c3e7cdd"
                    "8262333c3e26597e041211ee69db033e02f308fec5c0742fbae33f0e59152c74"
                    "d22c2ff2819f03a183303694083f54bf6980a8f3f3d7a2c00804cc23925e1f28",
    },
    {
        .prf = IKE_PRF_HMAC_SHA2_512,
        .encr = IKE_ENCR_CHACHA20_POLY1305,
        .key_bits = 0,
        .integ = 0,
        .skeyseed = "dc36e899d7b955564e10316fa4b6f5d65169bd8aa1a3df0537bb95c4b5cd40b8"
                    "da527af7fbb96e84b1d1edeb31559d243b36286a85035aed490c22b86a3f144e",
        .sk_d = "4ac6bbbe85eb36f89131e551922034c9ce1eb0eccfdac4624be1d5977a522209"
                "320737975fc4dcf48a2f06540ecf3b0ddd958ed7f07a839f2c9cdde976217e3a",
        .sk_ei = "152a9b9cdb32acc8ef78dd9a3894d420deddfe6db08b43d51373acc9d764f11b"
                 "5267969b",
        .sk_er = "4fb054ab94b3af7bef83076ac7b92569390282096648d69de3e40514c90132ca"
                 "ff8791dc",
        .sk_pi = "82c5741cee4c9ce28c4ef8a8fb8d4f9509c26670da4a5b43c6fbe1db784fbd0c"
                 "da39ed3ad83386377cb93ff9f006b989247e4fb53efe09108c51eb2480cb27bc",
        .sk_pr = "42b242124152172f45154c3b23904b8d7cab5e7031e885ef7602ab998a7819b2"
                 "4fbfa2f57fcc687d7dd37fae418d89edfd4ecb524939829f493087fd7511551b",
        .rekeyed = "ed95c16fb6e8d37266a492c347e3aa3c12116e5758b17f0a68417cfd06e63452"
                   "8a64ab73d84cd8826c5c11906289c0e9fb85d20550ac91d6052511ee4db65b33",
        .child = "e5fe2d85a1311e5ef64df4a786c3357ec1b16216af0a3af481a4cc88417f5e99"
                 "b71784069ae9bcc943f6726f2eb987a0a53e118bd96ad3dd4e35d0f79fc59e61"
                 "31153eb9d5b372e8",
        .child_dh = "15836fadff64965bbd29d6724f990de2f4bd4216e60b6b4c1a56bedf1ab55d65"
                    "025deb5648fdddcd15bb946a8f2ab8c5d656e4e5f6d4fcecc5f8941e16f48364"
                    "9df6c91dc3ec19cd",
    },
};

enum { ANSWERS = sizeof(answers) / sizeof(answers[0]) };

static const uint64_t spi_i = 0x0102030405060708, spi_r = 0x1112131415161718;

/* The inputs of all answers: four times 32 octets, counted up from 0. */
typedef struct Inputs {
    uint8_t nonce_i[32], nonce_r[32];
    Secret *dh_secret, *new_dh_secret;
} Inputs;

static void count_up(uint8_t *octets, uint8_t from)
{
    for (size_t i = 0; i < 32; i++)
        octets[i] = (uint8_t)(from + i);
}

static int inputs_new(void **state)
{
    Inputs *inputs = calloc(1, sizeof(*inputs));

    if (!inputs || secret_new(32, &inputs->dh_secret) < 0 ||
        secret_new(32, &inputs->new_dh_secret) < 0)
        return -1;
    count_up(inputs->nonce_i, 0);
    count_up(inputs->nonce_r, 32);
    count_up(inputs->dh_secret->data, 64);
    count_up(inputs->new_dh_secret->data, 96);
    *state = inputs;
    return 0;
}

static int inputs_free(void **state)
{
    Inputs *inputs = *state;

    secret_free(inputs->dh_secret);
    secret_free(inputs->new_dh_secret);
    free(inputs);
    return 0;
}

static void assert_secret(const Secret *found, const char *hex)
{
    if (!hex) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    assert_octets(secret_bytes(found), hex);
}

static void skeyseed_is_as_known(void **state)
{
    const Inputs *inputs = *state;

    for (size_t i = 0; i < ANSWERS; i++) {
        _cleanup_(secret_freep) Secret *skeyseed = NULL;

        assert_int_equal(skeyseed_compute(prf_find(answers[i].prf), BYTES_OF(inputs->nonce_i),
                                          BYTES_OF(inputs->nonce_r), inputs->dh_secret, &skeyseed),
                         0);
        assert_secret(skeyseed, answers[i].skeyseed);
    }
}

static void the_keys_of_an_ike_sa_are_as_known(void **state)
{
    const Inputs *inputs = *state;

    for (size_t i = 0; i < ANSWERS; i++) {
        const KnownAnswer *answer = &answers[i];
        _cleanup_(secret_freep) Secret *skeyseed = secret_from_hex(answer->skeyseed);
        _cleanup_(ike_keys_deinit) IkeKeys keys = {0};
        const IkeSuite suite = {
            .cipher = cipher_find(answer->encr, answer->key_bits),
            .integ = integ_find(answer->integ),
            .prf = prf_find(answer->prf),
            .group = IKE_GROUP_ECP_256,
        };

        assert_int_equal(ike_keys_derive(&suite, skeyseed, BYTES_OF(inputs->nonce_i),
                                         BYTES_OF(inputs->nonce_r), spi_i, spi_r, &keys),
                         0);
        assert_secret(keys.sk_d, answer->sk_d);
        assert_secret(keys.sk_ai, answer->sk_ai);
        assert_secret(keys.sk_ar, answer->sk_ar);
        assert_secret(keys.sk_ei, answer->sk_ei);
        assert_secret(keys.sk_er, answer->sk_er);
        assert_secret(keys.sk_pi, answer->sk_pi);
        assert_secret(keys.sk_pr, answer->sk_pr);
    }
}

static void skeyseed_of_a_rekeyed_sa_is_as_known(void **state)
{
    const Inputs *inputs = *state;

    for (size_t i = 0; i < ANSWERS; i++) {
        _cleanup_(secret_freep) Secret *sk_d = secret_from_hex(answers[i].sk_d);
        _cleanup_(secret_freep) Secret *rekeyed = NULL;

        assert_int_equal(skeyseed_rekey(prf_find(answers[i].prf), sk_d, inputs->new_dh_secret,
                                        BYTES_OF(inputs->nonce_i), BYTES_OF(inputs->nonce_r),
                                        &rekeyed),
                         0);
        assert_secret(rekeyed, answers[i].rekeyed);
    }
}

/* The four ESP keys, one after another, are the whole key stream. */
static void assert_esp_keys(const EspKeys *keys, const char *hex)
{
    const Secret *parts[] = {keys->encr_i, keys->integ_i, keys->encr_r, keys->integ_r};
    uint8_t joined[256];
    Bytes whole;
    Writer writer;

    writer_init(&writer, joined, sizeof(joined));
    for (size_t i = 0; i < ELEMENTS(parts); i++) {
        if (parts[i])
            writer_bytes(&writer, secret_bytes(parts[i]));
    }
    assert_int_equal(writer_finish(&writer, &whole), 0);
    assert_octets(whole, hex);
}

static void the_keys_of_a_child_sa_are_as_known(void **state)
{
    const Inputs *inputs = *state;

    for (size_t i = 0; i < ANSWERS; i++) {
        const KnownAnswer *answer = &answers[i];
        _cleanup_(secret_freep) Secret *sk_d = secret_from_hex(answer->sk_d);
        _cleanup_(esp_keys_deinit) EspKeys keys = {0}, keys_dh = {0};
        EspSuite suite;

        assert_int_equal(
            esp_suite_from_ids(answer->encr, answer->key_bits, answer->integ, 0, false, &suite), 0);
        assert_int_equal(esp_keys_derive(prf_find(answer->prf), &suite, sk_d, NULL,
                                         BYTES_OF(inputs->nonce_i), BYTES_OF(inputs->nonce_r),
                                         &keys),
                         0);
        assert_esp_keys(&keys, answer->child);
        assert_int_equal(esp_keys_derive(prf_find(answer->prf), &suite, sk_d, inputs->new_dh_secret,
                                         BYTES_OF(inputs->nonce_i), BYTES_OF(inputs->nonce_r),
                                         &keys_dh),
                         0);
        assert_esp_keys(&keys_dh, answer->child_dh);
    }
}

static void esp_keys_come_initiator_first_and_encryption_first(void **state)
{
    const Inputs *inputs = *state;
    _cleanup_(secret_freep) Secret *sk_d = secret_from_hex(answers[1].sk_d);
    _cleanup_(esp_keys_deinit) EspKeys keys = {0};
    EspSuite suite;

    assert_int_equal(
        esp_suite_from_ids(IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128, 0, false, &suite),
        0);
    assert_int_equal(esp_keys_derive(prf_find(answers[1].prf), &suite, sk_d, NULL,
                                     BYTES_OF(inputs->nonce_i), BYTES_OF(inputs->nonce_r), &keys),
                     0);
    assert_memory_equal(keys.encr_i->data, octets_from_hex(answers[1].child).data, 32);
    assert_memory_equal(keys.integ_i->data, octets_from_hex(answers[1].child).data + 32, 32);
    assert_memory_equal(keys.encr_r->data, octets_from_hex(answers[1].child).data + 64, 32);
    assert_memory_equal(keys.integ_r->data, octets_from_hex(answers[1].child).data + 96, 32);
}

static void a_key_stream_of_more_than_255_blocks_is_refused(void **state)
{
    const Inputs *inputs = *state;
    const Prf *prf = prf_find(IKE_PRF_HMAC_SHA2_256);
    _cleanup_(secret_freep) Secret *sk_d = secret_from_hex(answers[0].sk_d);
    _cleanup_(secret_freep) Secret *most = NULL;
    Secret *more = NULL;

    assert_int_equal(child_keymat(prf, sk_d, NULL, BYTES_OF(inputs->nonce_i),
                                  BYTES_OF(inputs->nonce_r), 255 * (size_t)32, &most),
                     0);
    assert_int_equal(child_keymat(prf, sk_d, NULL, BYTES_OF(inputs->nonce_i),
                                  BYTES_OF(inputs->nonce_r), 255 * (size_t)32 + 1, &more),
                     -EINVAL);
    assert_null(more);
}

static void keys_that_are_done_with_leave_nothing_in_the_secure_heap(void **state)
{
    const Inputs *inputs = *state;
    _cleanup_(secret_freep) Secret *skeyseed = secret_from_hex(answers[1].skeyseed);
    const IkeSuite suite = {
        .cipher = cipher_find(IKE_ENCR_AES_CBC, 256),
        .integ = integ_find(IKE_INTEG_HMAC_SHA2_256_128),
        .prf = prf_find(IKE_PRF_HMAC_SHA2_384),
    };
    const EspSuite esp = {.cipher = suite.cipher, .integ = suite.integ};

    for (int round = 0; round < 2; round++) { /* the first lets OpenSSL take what it keeps */
        const size_t used = CRYPTO_secure_used();
        IkeKeys keys = {0};
        EspKeys child = {0};

        assert_int_equal(ike_keys_derive(&suite, skeyseed, BYTES_OF(inputs->nonce_i),
                                         BYTES_OF(inputs->nonce_r), spi_i, spi_r, &keys),
                         0);
        assert_int_equal(esp_keys_derive(suite.prf, &esp, keys.sk_d, NULL,
                                         BYTES_OF(inputs->nonce_i), BYTES_OF(inputs->nonce_r),
                                         &child),
                         0);
        assert_true(CRYPTO_secure_used() > used);
        ike_keys_deinit(&keys);
        esp_keys_deinit(&child);
        if (round > 0)
            assert_int_equal(CRYPTO_secure_used(), used);
    }
}

/* Fills the secure heap, then gives back one block at a time, so that each allocation on the way to
 * the keys fails once. */
static void a_full_heap_leaves_no_keys_half_made(void **state)
{
    const Inputs *inputs = *state;
    enum { BLOCK = 32, BLOCKS_MAX = 1 << 18 };
    static Secret *blocks[BLOCKS_MAX];
    _cleanup_(secret_freep) Secret *skeyseed = secret_from_hex(answers[1].skeyseed);
    _cleanup_(ike_keys_deinit) IkeKeys keys = {0};
    const IkeSuite suite = {
        .cipher = cipher_find(IKE_ENCR_AES_CBC, 256),
        .integ = integ_find(IKE_INTEG_HMAC_SHA2_256_128),
        .prf = prf_find(IKE_PRF_HMAC_SHA2_384),
    };
    size_t n_blocks = 0, refused = 0;
    int r = -ENOMEM;

    while (n_blocks < BLOCKS_MAX && secret_new(BLOCK, &blocks[n_blocks]) == 0)
        n_blocks++;
    while (r < 0 && n_blocks > 0) {
        size_t used = CRYPTO_secure_used();

        r = ike_keys_derive(&suite, skeyseed, BYTES_OF(inputs->nonce_i), BYTES_OF(inputs->nonce_r),
                            spi_i, spi_r, &keys);
        if (r < 0) {
            assert_int_equal(CRYPTO_secure_used(), used);
            assert_null(keys.sk_d);
            refused++;
            secret_free(blocks[--n_blocks]);
        }
    }
    assert_int_equal(r, 0);
    assert_true(refused > 10);
    while (n_blocks > 0)
        secret_free(blocks[--n_blocks]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(skeyseed_is_as_known),
        cmocka_unit_test(the_keys_of_an_ike_sa_are_as_known),
        cmocka_unit_test(skeyseed_of_a_rekeyed_sa_is_as_known),
        cmocka_unit_test(the_keys_of_a_child_sa_are_as_known),
        cmocka_unit_test(esp_keys_come_initiator_first_and_encryption_first),
        cmocka_unit_test(a_key_stream_of_more_than_255_blocks_is_refused),
        cmocka_unit_test(keys_that_are_done_with_leave_nothing_in_the_secure_heap),
        cmocka_unit_test(a_full_heap_leaves_no_keys_half_made),
    };

    if (secrets_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("keyschedule", tests, inputs_new, inputs_free);
}
