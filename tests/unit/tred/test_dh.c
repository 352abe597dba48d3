/* Is g^ir what the standards' examples say, whatever the numbers, and is a bad KE refused? */
#include "octets_fixture.h"

#include "crypto/openssl.h"
#include "crypto/secret_memory.h"
#include "crypto/suite.h"
#include "tred/dh.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NUMBER(name, number, ...) number,
static const uint16_t groups[] = {IKE_GROUPS(NUMBER)};

/* Both sides of a published exchange. */
typedef struct KnownAnswer {
    uint16_t group;
    const char *private_i, *public_i;
    const char *private_r, *public_r;
    const char *secret;
} KnownAnswer;

static const KnownAnswer answers[] = {
    /* RFC 5903 8.1 */
    {IKE_GROUP_ECP_256, "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
     "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180"
     "5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
     "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
     "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
     "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
     "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"},
    /* RFC 5903 8.2 */
    {IKE_GROUP_ECP_384,
     "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655"
     "e35b538041e649ee3faef896783ab194",
     "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4"
     "c88732aee95f41aa"
     "9482ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947da"
     "e69b4c634573a81c",
     "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942"
     "e0308312916b8ed2960e4bd55a7448fc",
     "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def9"
     "6fda41d0774a3571"
     "dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff"
     "5eaad96db9e6386c",
     "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4"
     "d603135569b9e9d09cf5d4a270f59746"},
    /* RFC 7748 6.1 */
    {IKE_GROUP_CURVE25519, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
     "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
     "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
     "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
     "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
};

/* A key pair of given numbers, for an ECP group. */
static EVP_PKEY *ecp_key(const Group *group, const char *private_hex, const char *public_hex)
{
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *context =
        EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    Octets private = octets_from_hex(private_hex), public = octets_from_hex(public_hex);
    _cleanup_(BN_freep) BIGNUM *number = BN_bin2bn(private.data, (int)private.size, NULL);
    uint8_t native[64], point[1 + DH_PUBLIC_MAX] = {4};
    char name[16];
    EVP_PKEY *key = NULL;

    assert_true(BN_bn2nativepad(number, native, (int)private.size) > 0);
    memcpy(point + 1, public.data, public.size);
    (void)snprintf(name, sizeof(name), "%s", group->openssl);

    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, private.size),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, public.size + 1),
        OSSL_PARAM_construct_end(),
    };

    assert_true(EVP_PKEY_fromdata_init(context) > 0);
    assert_true(EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params) > 0);
    return key;
}

static Dh *dh_from_hex(uint16_t group_id, const char *private_hex, const char *public_hex)
{
    const Group *group = group_find(group_id);
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
    Octets private = octets_from_hex(private_hex);
    Dh *dh = NULL;

    if (group_id == IKE_GROUP_CURVE25519) {
        key = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, private.data, private.size);
    } else {
        key = ecp_key(group, private_hex, public_hex);
    }
    assert_non_null(key);
    assert_int_equal(dh_new_from_key(group_id, key, &dh), 0);
    return dh;
}

static void published_exchanges_come_out_as_published(void **state)
{
    (void)state;

    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        const KnownAnswer *answer = &answers[i];
        _cleanup_(dh_freep) Dh *dh_i =
            dh_from_hex(answer->group, answer->private_i, answer->public_i);
        _cleanup_(dh_freep) Dh *dh_r =
            dh_from_hex(answer->group, answer->private_r, answer->public_r);
        _cleanup_(secret_freep) Secret *secret_i = NULL, *secret_r = NULL;

        assert_octets(dh_public(dh_i), answer->public_i);
        assert_octets(dh_public(dh_r), answer->public_r);
        assert_int_equal(dh_derive(dh_i, dh_public(dh_r), &secret_i), 0);
        assert_int_equal(dh_derive(dh_r, dh_public(dh_i), &secret_r), 0);
        assert_octets(secret_bytes(secret_i), answer->secret);
        assert_octets(secret_bytes(secret_r), answer->secret);
    }
}

static void two_parties_agree_in_every_group(void **state)
{
    (void)state;

    for (size_t i = 0; i < ELEMENTS(groups); i++) {
        const Group *group = group_find(groups[i]);
        _cleanup_(dh_freep) Dh *dh_i = NULL, *dh_r = NULL;
        _cleanup_(secret_freep) Secret *secret_i = NULL, *secret_r = NULL;

        assert_int_equal(dh_new(groups[i], &dh_i), 0);
        assert_int_equal(dh_new(groups[i], &dh_r), 0);
        assert_int_equal(dh_group(dh_i), groups[i]);
        assert_int_equal(dh_public(dh_i).size, group->public_size);
        assert_false(bytes_equal(dh_public(dh_i), dh_public(dh_r)));
        assert_int_equal(dh_derive(dh_i, dh_public(dh_r), &secret_i), 0);
        assert_int_equal(dh_derive(dh_r, dh_public(dh_i), &secret_r), 0);
        assert_int_equal(secret_i->size, group->secret_size);
        assert_true(bytes_equal(secret_bytes(secret_i), secret_bytes(secret_r)));
    }
}

static void groups_outside_the_profile_are_not_supported(void **state)
{
    (void)state;
    static const uint16_t refused[] = {0, 1, 2, 5, 15, 16, 21, 22, 32, UINT16_MAX};

    for (size_t i = 0; i < ELEMENTS(refused); i++) {
        Dh *dh = NULL;

        assert_int_equal(dh_new(refused[i], &dh), -EOPNOTSUPP);
        assert_null(dh);
    }
}

static BIGNUM *modp_prime(void)
{
    return BN_get_rfc3526_prime_2048(NULL);
}

/* prime + difference, as KE data. */
static Octets modp_value(const BIGNUM *from, int difference)
{
    _cleanup_(BN_freep) BIGNUM *value = BN_dup(from);
    Octets octets = {.size = 256};

    assert_non_null(value);
    if (difference < 0) {
        assert_true(BN_sub_word(value, (BN_ULONG)-difference));
    } else {
        assert_true(BN_add_word(value, (BN_ULONG)difference));
    }
    assert_int_equal(BN_bn2binpad(value, octets.data, 256), 256);
    return octets;
}

static void modp_values_at_the_ends_are_refused(void **state)
{
    (void)state;
    _cleanup_(BN_freep) BIGNUM *prime = modp_prime(), *zero = BN_new();
    const Octets refused[] = {modp_value(zero, 0), modp_value(zero, 1), modp_value(prime, -1),
                              modp_value(prime, 0), modp_value(prime, 1)};
    const Octets taken[] = {modp_value(zero, 2), modp_value(prime, -2)};
    _cleanup_(dh_freep) Dh *dh = NULL;

    assert_int_equal(dh_new(IKE_GROUP_MODP_2048, &dh), 0);
    for (size_t i = 0; i < ELEMENTS(refused); i++) {
        Secret *secret = NULL;

        assert_int_equal(dh_derive(dh, octets_bytes(&refused[i]), &secret), -EBADMSG);
        assert_null(secret);
    }
    for (size_t i = 0; i < ELEMENTS(taken); i++) {
        _cleanup_(secret_freep) Secret *secret = NULL;

        assert_int_equal(dh_derive(dh, octets_bytes(&taken[i]), &secret), 0);
    }
}

/* Looks for an exponent whose g^ir begins with a zero octet: the sum is done here with big numbers,
 * so that it also checks the arithmetic independently. */
static void a_modp_secret_with_leading_zeros_keeps_its_size(void **state)
{
    (void)state;
    enum { TRIES = 20000 };
    _cleanup_(BN_freep) BIGNUM *prime = modp_prime(), *exponent = BN_new(), *ours = NULL;
    _cleanup_(BN_freep) BIGNUM *expected = BN_new(), *generator = BN_new(), *theirs = BN_new();
    BN_CTX *context = BN_CTX_new();
    _cleanup_(dh_freep) Dh *dh = NULL;
    _cleanup_(secret_freep) Secret *secret = NULL;
    Octets wanted, ke;
    BN_ULONG tries = 0;

    assert_int_equal(dh_new(IKE_GROUP_MODP_2048, &dh), 0);
    ours = BN_bin2bn(dh_public(dh).data, (int)dh_public(dh).size, NULL);
    assert_true(BN_set_word(generator, 2));
    do {
        assert_true(BN_set_word(exponent, 12345 + tries));
        assert_true(BN_mod_exp(expected, ours, exponent, prime, context));
    } while (BN_num_bytes(expected) == 256 && ++tries < TRIES);
    assert_true(tries < TRIES);
    assert_true(BN_mod_exp(theirs, generator, exponent, prime, context));
    BN_CTX_free(context);

    wanted = modp_value(expected, 0);
    ke = modp_value(theirs, 0);
    assert_int_equal(wanted.data[0], 0);
    assert_int_equal(dh_derive(dh, octets_bytes(&ke), &secret), 0);
    assert_true(bytes_equal(secret_bytes(secret), octets_bytes(&wanted)));
}

static void a_point_that_is_not_on_the_curve_is_refused(void **state)
{
    (void)state;

    for (size_t i = 0; i < ELEMENTS(groups); i++) {
        if (strcmp(group_find(groups[i])->key_type, "EC") != 0)
            continue;
        _cleanup_(dh_freep) Dh *dh = NULL, *peer = NULL;
        Octets ke = {0};
        Secret *secret = NULL;

        assert_int_equal(dh_new(groups[i], &dh), 0);
        assert_int_equal(dh_new(groups[i], &peer), 0);
        ke.size = dh_public(peer).size;
        memcpy(ke.data, dh_public(peer).data, ke.size);
        ke.data[ke.size - 1] ^= 1; /* -y is the other root, and it differs in more than a bit */
        assert_int_equal(dh_derive(dh, octets_bytes(&ke), &secret), -EBADMSG);
        memset(ke.data, 0, ke.size);
        assert_int_equal(dh_derive(dh, octets_bytes(&ke), &secret), -EBADMSG);
        memset(ke.data, 0xff, ke.size); /* coordinates above p */
        assert_int_equal(dh_derive(dh, octets_bytes(&ke), &secret), -EBADMSG);
        assert_null(secret);
    }
}

/* RFC 7748 6.1, RFC 8031 2.2: points of small order would make the secret zero whatever our key is.
 */
static void curve25519_points_of_small_order_are_refused(void **state)
{
    (void)state;
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    _cleanup_(dh_freep) Dh *dh = NULL;

    assert_int_equal(dh_new(IKE_GROUP_CURVE25519, &dh), 0);
    for (size_t i = 0; i < ELEMENTS(points); i++) {
        Octets ke = octets_from_hex(points[i]);
        Secret *secret = NULL;

        assert_int_equal(dh_derive(dh, octets_bytes(&ke), &secret), -EBADMSG);
        assert_null(secret);
    }
}

static void the_secret_is_in_the_secure_heap(void **state)
{
    (void)state;

    for (size_t i = 0; i < ELEMENTS(groups); i++) {
        size_t before = CRYPTO_secure_used(), block = SECRET_BLOCK(DH_PUBLIC_MAX);
        _cleanup_(dh_freep) Dh *dh = NULL, *peer = NULL;
        _cleanup_(secret_freep) Secret *secret = NULL;

        assert_int_equal(dh_new(groups[i], &dh), 0);
        assert_true(CRYPTO_secure_used() > before); /* the private key */
        assert_true(CRYPTO_secure_used() <= before + block);
        assert_int_equal(dh_new(groups[i], &peer), 0);
        assert_int_equal(dh_derive(dh, dh_public(peer), &secret), 0);
        assert_true(CRYPTO_secure_used() <= before + 3 * block);
        assert_true(CRYPTO_secure_allocated(secret->data));
    }
}

/* What of OpenSSL refuses, with what it says then; whether a secret was asked for all the same. */
typedef enum Step { NO_STEP, GENERATE, ENCODED_KEY, CHECK_QUICK, SET_PEER, DERIVE, SECRET } Step;
static struct {
    Step refused;
    int says;
    unsigned derivations, takes; /* of room for a secret */
    bool ran_out;                /* memory, inside OpenSSL: after the watch has begun */
    bool watches;
} played;

void __wrap_memory_watch_begin(void);
bool __wrap_memory_ran_out(void);

void __wrap_memory_watch_begin(void)
{
    played.watches = true;
}

bool __wrap_memory_ran_out(void)
{
    return played.watches && played.ran_out;
}

int __real_EVP_PKEY_generate(EVP_PKEY_CTX *context, EVP_PKEY **ret);
int __wrap_EVP_PKEY_generate(EVP_PKEY_CTX *context, EVP_PKEY **ret);
int __real_EVP_PKEY_set1_encoded_public_key(EVP_PKEY *key, const unsigned char *data, size_t size);
int __wrap_EVP_PKEY_set1_encoded_public_key(EVP_PKEY *key, const unsigned char *data, size_t size);
int __real_EVP_PKEY_public_check_quick(EVP_PKEY_CTX *context);
int __wrap_EVP_PKEY_public_check_quick(EVP_PKEY_CTX *context);
int __real_EVP_PKEY_derive_set_peer_ex(EVP_PKEY_CTX *context, EVP_PKEY *peer, int validate);
int __wrap_EVP_PKEY_derive_set_peer_ex(EVP_PKEY_CTX *context, EVP_PKEY *peer, int validate);
int __real_EVP_PKEY_derive(EVP_PKEY_CTX *context, unsigned char *key, size_t *size);
int __wrap_EVP_PKEY_derive(EVP_PKEY_CTX *context, unsigned char *key, size_t *size);

/* What the real one made stays there: nobody may take it for good. */
static int said(Step step, int really)
{
    return played.refused == step ? played.says : really;
}

int __wrap_EVP_PKEY_generate(EVP_PKEY_CTX *context, EVP_PKEY **ret)
{
    return said(GENERATE, __real_EVP_PKEY_generate(context, ret));
}

int __wrap_EVP_PKEY_set1_encoded_public_key(EVP_PKEY *key, const unsigned char *data, size_t size)
{
    return said(ENCODED_KEY, __real_EVP_PKEY_set1_encoded_public_key(key, data, size));
}

int __wrap_EVP_PKEY_public_check_quick(EVP_PKEY_CTX *context)
{
    return said(CHECK_QUICK, __real_EVP_PKEY_public_check_quick(context));
}

int __wrap_EVP_PKEY_derive_set_peer_ex(EVP_PKEY_CTX *context, EVP_PKEY *peer, int validate)
{
    return said(SET_PEER, __real_EVP_PKEY_derive_set_peer_ex(context, peer, validate));
}

int __real_secret_memory_take(size_t size, uint8_t **ret);
int __wrap_secret_memory_take(size_t size, uint8_t **ret);

int __wrap_secret_memory_take(size_t size, uint8_t **ret)
{
    played.takes++;
    return played.refused == SECRET ? -ENOMEM : __real_secret_memory_take(size, ret);
}

int __wrap_EVP_PKEY_derive(EVP_PKEY_CTX *context, unsigned char *key, size_t *size)
{
    played.derivations++;
    return said(DERIVE, __real_EVP_PKEY_derive(context, key, size));
}

/* Each by itself: OpenSSL looks at a key more than once, so that a bad one proves no single check.
 */
static void what_openssl_refuses_is_refused_before_there_is_a_secret(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(groups); i++) {
        _cleanup_(dh_freep) Dh *dh = NULL, *peer = NULL;
        size_t used;

        assert_int_equal(dh_new(groups[i], &dh), 0);
        assert_int_equal(dh_new(groups[i], &peer), 0);
        used = CRYPTO_secure_used();
        for (Step step = GENERATE; step <= DERIVE; step++) {
            for (int says = 0; says >= -2; says--) {
                Secret *secret = NULL;
                Dh *new = NULL;

                memset(&played, 0, sizeof(played));
                played.refused = step;
                played.says = says;
                if (step == GENERATE) {
                    assert_int_equal(dh_new(groups[i], &new), -EIO);
                } else {
                    assert_int_equal(dh_derive(dh, dh_public(peer), &secret), -EBADMSG);
                    assert_int_equal(played.derivations, step == DERIVE);
                    assert_int_equal(played.takes, step >= SET_PEER);
                }
                memset(&played, 0, sizeof(played));
                assert_null(new);
                assert_null(secret);
                assert_int_equal(CRYPTO_secure_used(), used);
            }
        }
    }
}

/* The peer's value may be a good one. */
static void what_openssl_refuses_without_memory_is_no_bad_value(void **state)
{
    (void)state;
    _cleanup_(dh_freep) Dh *dh = NULL, *peer = NULL;

    assert_int_equal(dh_new(IKE_GROUP_ECP_256, &dh), 0);
    assert_int_equal(dh_new(IKE_GROUP_ECP_256, &peer), 0);
    for (Step step = ENCODED_KEY; step <= DERIVE; step++) {
        Secret *secret = NULL;

        memset(&played, 0, sizeof(played));
        played.refused = step;
        played.ran_out = true;
        assert_int_equal(dh_derive(dh, dh_public(peer), &secret), -ENOMEM);
        assert_null(secret);
    }
    memset(&played, 0, sizeof(played));
}

static void a_ke_of_another_size_is_refused(void **state)
{
    (void)state;
    static const uint8_t octets[DH_PUBLIC_MAX + 1] = {1};

    for (size_t i = 0; i < ELEMENTS(groups); i++) {
        size_t size = group_find(groups[i])->public_size;
        _cleanup_(dh_freep) Dh *dh = NULL;
        Secret *secret = NULL;

        assert_int_equal(dh_new(groups[i], &dh), 0);
        memset(&played, 0, sizeof(played));
        assert_int_equal(dh_derive(dh, (Bytes){octets, 0}, &secret), -EBADMSG);
        assert_int_equal(dh_derive(dh, (Bytes){octets, size - 1}, &secret), -EBADMSG);
        assert_int_equal(dh_derive(dh, (Bytes){octets, size + 1}, &secret), -EBADMSG);
        assert_null(secret);
        assert_int_equal(played.takes, 0);
    }
}

static void without_room_in_the_secure_heap_there_is_no_secret(void **state)
{
    _cleanup_(dh_freep) Dh *dh = NULL;
    Secret *secret = NULL;

    (void)state;
    assert_int_equal(dh_new(IKE_GROUP_CURVE25519, &dh), 0);
    memset(&played, 0, sizeof(played));
    played.refused = SECRET;
    assert_int_equal(dh_derive(dh, dh_public(dh), &secret), -ENOMEM);
    assert_int_equal(played.derivations, 0);
    played.refused = NO_STEP;
    assert_null(secret);
}

static void a_key_of_no_group_or_of_another_one_is_not_taken(void **state)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = EVP_EC_gen("P-256");
    Dh *dh = NULL;

    (void)state;
    assert_int_equal(dh_new_from_key(0, key, &dh), -EOPNOTSUPP);
    assert_int_equal(dh_new_from_key(IKE_GROUP_ECP_384, key, &dh), -EIO);
    assert_null(dh);
}

/* Whoever is the last to have it. */
static void an_offer_s_private_key_is_wiped_with_the_last_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(groups); i++) {
        size_t before = CRYPTO_secure_used(), full;
        Dh *dh = NULL;
        KeyOffer *offer = NULL;

        assert_int_equal(dh_new(groups[i], &dh), 0);
        full = CRYPTO_secure_used();
        assert_true(full > before);
        assert_int_equal(key_offer_new(&dh, &offer), 0);
        assert_null(dh);
        assert_false(key_offer_is_in_use(offer));
        assert_ptr_equal(key_offer_ref(offer), offer);
        assert_true(key_offer_is_in_use(offer));
        key_offer_unref(offer);
        assert_int_equal(CRYPTO_secure_used(), full);
        assert_false(key_offer_is_in_use(offer));
        key_offer_unref(offer);
        assert_int_equal(CRYPTO_secure_used(), before);
    }
}

/* RFC 5282 3.1: the same keys twice are the same IVs twice. */
static void
the_same_keys_are_not_noted_twice_nor_more_of_them_than_there_are_responses(void **state)
{
    _cleanup_(key_offer_unrefp) KeyOffer *offer = NULL;
    _cleanup_(secret_freep) Secret *sk_d = NULL;
    Dh *dh = NULL;

    (void)state;
    assert_int_equal(dh_new(IKE_GROUP_CURVE25519, &dh), 0);
    assert_int_equal(key_offer_new(&dh, &offer), 0);
    assert_int_equal(secret_new(32, &sk_d), 0);
    for (uint8_t i = 0; i < KEY_OFFER_RESPONSES_MAX; i++) {
        sk_d->data[31] = i;
        assert_int_equal(key_offer_note_keys(offer, sk_d), 0);
        assert_true(key_offer_is_in_use(offer));
        for (uint8_t again = 0; again <= i; again++) {
            sk_d->data[31] = again;
            assert_int_equal(key_offer_note_keys(offer, sk_d), -EEXIST);
        }
    }
    sk_d->data[31] = KEY_OFFER_RESPONSES_MAX;
    assert_int_equal(key_offer_note_keys(offer, sk_d), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_exchanges_come_out_as_published),
        cmocka_unit_test(two_parties_agree_in_every_group),
        cmocka_unit_test(groups_outside_the_profile_are_not_supported),
        cmocka_unit_test(a_ke_of_another_size_is_refused),
        cmocka_unit_test(modp_values_at_the_ends_are_refused),
        cmocka_unit_test(a_modp_secret_with_leading_zeros_keeps_its_size),
        cmocka_unit_test(a_point_that_is_not_on_the_curve_is_refused),
        cmocka_unit_test(curve25519_points_of_small_order_are_refused),
        cmocka_unit_test(the_secret_is_in_the_secure_heap),
        cmocka_unit_test(what_openssl_refuses_is_refused_before_there_is_a_secret),
        cmocka_unit_test(what_openssl_refuses_without_memory_is_no_bad_value),
        cmocka_unit_test(without_room_in_the_secure_heap_there_is_no_secret),
        cmocka_unit_test(a_key_of_no_group_or_of_another_one_is_not_taken),
        cmocka_unit_test(an_offer_s_private_key_is_wiped_with_the_last_reference),
        cmocka_unit_test(
            the_same_keys_are_not_noted_twice_nor_more_of_them_than_there_are_responses),
    };

    if (secrets_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("dh", tests, NULL, NULL);
}
