/* Are TSS2 PRIVATE KEY files read and written to the format, and all else refused by name? */
#include "policy/tss2key.h"

#include "base/cleanup.h"

#include <errno.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DER_MAX = 2048 };

/* A key as a TPM would make it, as far as a file's reader can tell. */
static Tss2Key sample_key(void)
{
    Tss2Key key = {
        .empty_auth = true,
        .parent = 0x81000001,
        .public.publicArea =
            {
                .type = TPM2_ALG_ECC,
                .nameAlg = TPM2_ALG_SHA256,
                .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT,
                .parameters.eccDetail =
                    {
                        .symmetric.algorithm = TPM2_ALG_NULL,
                        .scheme.scheme = TPM2_ALG_NULL,
                        .curveID = TPM2_ECC_NIST_P256,
                        .kdf.scheme = TPM2_ALG_NULL,
                    },
                .unique.ecc = {.x.size = 32, .y.size = 32},
            },
        .private.size = 100,
    };

    memset(key.public.publicArea.unique.ecc.x.buffer, 0x11, 32);
    memset(key.public.publicArea.unique.ecc.y.buffer, 0x22, 32);
    memset(key.private.buffer, 0x33, 100);
    return key;
}

/* The DER inside of the PEM of `key`. */
static size_t der_of(const Tss2Key *key, uint8_t *ret)
{
    _cleanup_(free_charp) char *pem = NULL;
    char *label = NULL;
    char *header = NULL;
    unsigned char *der = NULL;
    long size = 0;
    BIO *bio;

    assert_int_equal(tss2key_encode(key, &pem), 0);
    bio = BIO_new_mem_buf(pem, -1);
    assert_int_equal(PEM_read_bio(bio, &label, &header, &der, &size), 1);
    assert_true(size <= DER_MAX);
    memcpy(ret, der, (size_t)size);
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    return (size_t)size;
}

static int decode_der(const uint8_t *der, size_t size, const char *label, Tss2Key *ret,
                      Reason *reason)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long text_size;
    int r;

    assert_true(PEM_write_bio(bio, label, "", der, (long)size) > 0);
    text_size = BIO_get_mem_data(bio, &text);
    r = tss2key_decode((Bytes){(const uint8_t *)text, (size_t)text_size}, ret, reason);
    BIO_free(bio);
    return r;
}

/* Puts `field` where the optional fields stand: after the type and [0] emptyAuth. */
static size_t insert_field(uint8_t *der, size_t size, const uint8_t *field, size_t field_size)
{
    const size_t at = 3 + 8 + 5; /* SEQUENCE with a one-octet length, OID, [0] BOOLEAN */

    assert_int_equal(der[1], 0x81);
    assert_true(der[2] + field_size < 256);
    memmove(der + at + field_size, der + at, size - at);
    memcpy(der + at, field, field_size);
    der[2] = (uint8_t)(der[2] + field_size);
    return size + field_size;
}

static void assert_refused(const char *text, const char *why)
{
    Reason reason = {0};
    Tss2Key key;

    assert_int_equal(tss2key_decode((Bytes){(const uint8_t *)text, strlen(text)}, &key, &reason),
                     -EINVAL);
    assert_non_null(strstr(reason.text, why));
}

static void what_is_written_reads_the_same(void **state)
{
    const TPM2_HANDLE parents[] = {0x81000001, 0x81ffffff, TPM2_RH_OWNER};
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(parents); i++) {
        _cleanup_(free_charp) char *pem = NULL;
        Tss2Key key = sample_key();
        Tss2Key again = {0};

        key.parent = parents[i];
        key.empty_auth = i != 1;
        assert_int_equal(tss2key_encode(&key, &pem), 0);
        assert_int_equal(tss2key_decode((Bytes){(uint8_t *)pem, strlen(pem)}, &again, &reason), 0);
        assert_int_equal(again.parent, key.parent);
        assert_int_equal(again.empty_auth, key.empty_auth);
        assert_int_equal(again.private.size, 100);
        assert_memory_equal(again.private.buffer, key.private.buffer, 100);
        assert_memory_equal(&again.public.publicArea, &key.public.publicArea,
                            sizeof(key.public.publicArea));
    }
}

static void text_and_other_blocks_before_the_key_are_passed_over(void **state)
{
    _cleanup_(free_charp) char *pem = NULL;
    _cleanup_(free_charp) char *file = NULL;
    const Tss2Key key = sample_key();
    Reason reason = {0};
    Tss2Key again;

    (void)state;
    assert_int_equal(tss2key_encode(&key, &pem), 0);
    assert_true(asprintf(&file,
                         "made at the factory\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw=="
                         "\n-----END EC PARAMETERS-----\n%s",
                         pem) > 0);
    assert_int_equal(tss2key_decode((Bytes){(uint8_t *)file, strlen(file)}, &again, &reason), 0);
    assert_int_equal(again.private.size, 100);
}

static void a_file_without_a_tpm_key_is_refused_with_what_it_has(void **state)
{
    (void)state;
    assert_refused("", "no readable block TSS2 PRIVATE KEY");
    assert_refused("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
                   "EC PARAMETERS");
    assert_refused("-----BEGIN TSS2 PRIVATE KEY-----\nBggqhkjOPQMBBw==\n", "tre-provision init");
    assert_refused("-----BEGIN TSS2 PRIVATE KEY-----\nBggqhkjOPQMBBw==\n-----END TSS2 PRIVATE "
                   "KEY-----\n",
                   "not the ASN.1");
}

static void a_key_file_has_a_largest_size(void **state)
{
    enum { LARGEST = 64 * 1024 };
    static uint8_t file[LARGEST + 1];
    _cleanup_(free_charp) char *pem = NULL;
    const Tss2Key key = sample_key();
    Reason reason = {0};
    Tss2Key again;

    (void)state;
    assert_int_equal(tss2key_encode(&key, &pem), 0);
    memset(file, '\n', sizeof(file));
    memcpy(file, pem, strlen(pem));
    assert_int_equal(tss2key_decode((Bytes){file, LARGEST}, &again, &reason), 0);
    assert_int_equal(again.private.size, 100);
    assert_int_equal(tss2key_decode(BYTES_OF(file), &again, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "larger than 65536 octets"));
}

static void each_unsupported_field_is_refused_by_its_number(void **state)
{
    const Tss2Key key = sample_key();

    (void)state;
    for (unsigned tag = 1; tag <= 5; tag++) {
        const uint8_t field[] = {(uint8_t)(0xa0 + tag), 4, 0x04, 2, 'n', 'o'};
        Reason reason = {0};
        char number[16];
        uint8_t der[DER_MAX];
        Tss2Key again;
        size_t size = der_of(&key, der);

        size = insert_field(der, size, field, sizeof(field));
        if (tag == 4) { /* a description for people changes nothing */
            assert_int_equal(decode_der(der, size, "TSS2 PRIVATE KEY", &again, &reason), 0);
            continue;
        }
        (void)snprintf(number, sizeof(number), "(field %u)", tag);
        assert_int_equal(decode_der(der, size, "TSS2 PRIVATE KEY", &again, &reason), -EINVAL);
        assert_non_null(strstr(reason.text, number));
    }
}

static void a_key_of_another_type_is_refused(void **state)
{
    const Tss2Key key = sample_key();
    Reason reason = {0};
    uint8_t der[DER_MAX];
    Tss2Key again;
    const size_t size = der_of(&key, der);

    (void)state;
    assert_int_equal(der[10], 3); /* 2.23.133.10.1.3 */
    der[10] = 4;                  /* .4: importable */
    assert_int_equal(decode_der(der, size, "TSS2 PRIVATE KEY", &again, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "2.23.133.10.1.4"));
}

static void a_parent_that_can_not_stand_in_a_file_is_refused(void **state)
{
    const TPM2_HANDLE parents[] = {0x80000000, 0x01000001, TPM2_RH_NULL, TPM2_RH_ENDORSEMENT,
                                   UINT32_MAX};
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(parents); i++) {
        uint8_t der[DER_MAX];
        Tss2Key key = sample_key();
        Tss2Key again;
        size_t size;

        key.parent = parents[i];
        size = der_of(&key, der);
        assert_int_equal(decode_der(der, size, "TSS2 PRIVATE KEY", &again, &reason), -EINVAL);
        assert_non_null(strstr(reason.text, "is neither a persistent handle"));
    }
}

/* The parent stands behind the type and [0], as an INTEGER of 5 octets. */
static void a_parent_that_is_negative_or_larger_than_a_handle_is_none(void **state)
{
    static const uint8_t first[] = {0x80, 0x01};
    const Tss2Key key = sample_key();

    (void)state;
    for (size_t i = 0; i < ELEMENTS(first); i++) {
        Reason reason = {0};
        uint8_t der[DER_MAX];
        const size_t size = der_of(&key, der), at = 3 + 8 + 5;
        Tss2Key again;

        assert_int_equal(der[at], 0x02);
        assert_int_equal(der[at + 1], 5);
        der[at + 2] = first[i];
        assert_int_equal(decode_der(der, size, "TSS2 PRIVATE KEY", &again, &reason), -EINVAL);
        assert_non_null(strstr(reason.text, "is not a TPM handle"));
    }
}

/* Writes the key, and reads what was written: what reading says. */
static int read_again(const Tss2Key *key, Tss2Key *ret, Reason *reason)
{
    uint8_t der[DER_MAX];
    const size_t size = der_of(key, der);

    return decode_der(der, size, "TSS2 PRIVATE KEY", ret, reason);
}

static void a_key_without_a_private_area_is_none(void **state)
{
    Reason reason = {0};
    Tss2Key key = sample_key();
    Tss2Key again;

    (void)state;
    key.private.size = 0;
    assert_int_equal(read_again(&key, &again, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "public or private area"));
}

static void an_area_that_is_no_tpm_structure_is_not_written(void **state)
{
    Tss2Key type = sample_key(), size = sample_key();
    char *pem = NULL;

    (void)state;
    type.public.publicArea.type = TPM2_ALG_SHA256;
    assert_int_equal(tss2key_encode(&type, &pem), -EINVAL);
    size.private.size = sizeof(size.private.buffer) + 1;
    assert_int_equal(tss2key_encode(&size, &pem), -EINVAL);
    assert_null(pem);
}

static void a_parent_of_zero_means_the_owner_hierarchy(void **state)
{
    Reason reason = {0};
    Tss2Key key = sample_key();
    Tss2Key again;

    (void)state;
    key.parent = 0;
    assert_int_equal(read_again(&key, &again, &reason), 0);
    assert_int_equal(again.parent, TPM2_RH_OWNER);
}

static void areas_whose_lengths_lie_are_refused(void **state)
{
    const Tss2Key key = sample_key();
    Reason reason = {0};
    uint8_t der[DER_MAX];
    Tss2Key again;
    const size_t size = der_of(&key, der);
    const size_t public_at = 3 + 8 + 5 + 7 + 2; /* ... [0], INTEGER of 5 octets, OCTET STRING */

    (void)state;
    assert_int_equal(der[public_at], 0);
    der[public_at + 1]++; /* TPM2B_PUBLIC.size */
    assert_int_equal(decode_der(der, size, "TSS2 PRIVATE KEY", &again, &reason), -EINVAL);
    der[public_at + 1] = (uint8_t)(der[public_at + 1] - 2);
    assert_int_equal(decode_der(der, size, "TSS2 PRIVATE KEY", &again, &reason), -EINVAL);
    der[public_at + 1]++;
    assert_int_equal(decode_der(der, size, "TSS2 PRIVATE KEY", &again, &reason), 0);
    der[size - 101]--; /* TPM2B_PRIVATE.size */
    assert_int_equal(decode_der(der, size, "TSS2 PRIVATE KEY", &again, &reason), -EINVAL);
}

static void octets_after_the_structure_are_refused(void **state)
{
    const Tss2Key key = sample_key();
    Reason reason = {0};
    uint8_t der[DER_MAX];
    Tss2Key again;
    const size_t size = der_of(&key, der);

    (void)state;
    der[size] = 0;
    assert_int_equal(decode_der(der, size + 1, "TSS2 PRIVATE KEY", &again, &reason), -EINVAL);
}

static void every_cut_of_a_key_is_refused(void **state)
{
    const Tss2Key key = sample_key();
    Reason reason = {0};
    uint8_t der[DER_MAX];
    Tss2Key again;
    const size_t size = der_of(&key, der);

    (void)state;
    for (size_t cut = 1; cut < size; cut++)
        assert_int_equal(decode_der(der, cut, "TSS2 PRIVATE KEY", &again, &reason), -EINVAL);
}

static void an_absent_file_is_named_with_what_to_do(void **state)
{
    Reason reason = {0};
    Tss2Key key;

    (void)state;
    assert_int_equal(tss2key_read("/nowhere/device.pem", &key, &reason), -ENOENT);
    assert_non_null(strstr(reason.text, "/nowhere/device.pem"));
    assert_non_null(strstr(reason.text, "tre-provision init"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(text_and_other_blocks_before_the_key_are_passed_over),
        cmocka_unit_test(a_file_without_a_tpm_key_is_refused_with_what_it_has),
        cmocka_unit_test(a_key_file_has_a_largest_size),
        cmocka_unit_test(each_unsupported_field_is_refused_by_its_number),
        cmocka_unit_test(a_key_of_another_type_is_refused),
        cmocka_unit_test(a_parent_that_can_not_stand_in_a_file_is_refused),
        cmocka_unit_test(a_parent_that_is_negative_or_larger_than_a_handle_is_none),
        cmocka_unit_test(a_key_without_a_private_area_is_none),
        cmocka_unit_test(an_area_that_is_no_tpm_structure_is_not_written),
        cmocka_unit_test(a_parent_of_zero_means_the_owner_hierarchy),
        cmocka_unit_test(areas_whose_lengths_lie_are_refused),
        cmocka_unit_test(octets_after_the_structure_are_refused),
        cmocka_unit_test(every_cut_of_a_key_is_refused),
        cmocka_unit_test(an_absent_file_is_named_with_what_to_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
