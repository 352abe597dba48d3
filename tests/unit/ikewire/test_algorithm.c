/* The one table of algorithms: rows that can be told apart, and buffers that hold every one. */
#include "ikewire/algorithm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void words_names_and_numbers_stand_once(void **state)
{
    const Algorithm *a, *b;
    (void)state;

    assert_non_null(algorithm_at(0));
    for (size_t i = 0; (a = algorithm_at(i)) != NULL; i++) {
        assert_ptr_equal(algorithm_find(a->type, a->id, a->key_bits), a);
        assert_string_equal(algorithm_name(a->type, a->id, a->key_bits), a->name);
        for (size_t j = i + 1; (b = algorithm_at(j)) != NULL; j++) {
            assert_string_not_equal(a->word, b->word);
            assert_string_not_equal(a->name, b->name);
        }
    }
    assert_string_equal(algorithm_name(IKE_TRANSFORM_KE, 1, 0), "unknown");
}

static bool is_found(const Algorithm *row)
{
    switch (row->type) {
    case IKE_TRANSFORM_ENCR:
        return cipher_find(row->id, row->key_bits) != NULL;
    case IKE_TRANSFORM_PRF:
        return prf_find(row->id) != NULL;
    case IKE_TRANSFORM_INTEG:
        return integ_find(row->id) != NULL;
    case IKE_TRANSFORM_KE:
        return group_find(row->id) != NULL;
    default:
        return true;
    }
}

static void exactly_the_profile_is_found(void **state)
{
    const Algorithm *row;
    (void)state;

    for (size_t i = 0; (row = algorithm_at(i)) != NULL; i++)
        assert_int_equal(is_found(row), row->in_profile);
    assert_null(integ_find(IKE_INTEG_HMAC_SHA2_384_192));
    assert_null(integ_find(IKE_INTEG_NONE));
    assert_null(group_find(IKE_GROUP_NONE));
}

static void buffers_of_the_largest_sizes_hold_every_row(void **state)
{
    const Algorithm *row;
    (void)state;

    for (size_t i = 0; (row = algorithm_at(i)) != NULL; i++) {
        const Cipher *cipher = cipher_find(row->id, row->key_bits);
        const Prf *prf = prf_find(row->id);
        const Integ *integ = integ_find(row->id);
        const Group *group = group_find(row->id);

        if (row->type == IKE_TRANSFORM_ENCR && cipher) {
            assert_true(cipher->key_size + cipher->salt_size <= IKE_KEY_MAX);
            assert_true(cipher->salt_size <= IKE_CIPHER_SALT_MAX);
            assert_true(cipher->iv_size <= IKE_CIPHER_IV_MAX);
            assert_true(cipher->icv_size <= IKE_ICV_MAX);
            assert_true(cipher->block_size <= IKE_CIPHER_BLOCK_MAX);
        } else if (row->type == IKE_TRANSFORM_PRF && prf) {
            assert_true(prf->size <= IKE_PRF_SIZE_MAX);
        } else if (row->type == IKE_TRANSFORM_INTEG && integ) {
            assert_true(integ->key_size <= IKE_KEY_MAX && integ->icv_size <= IKE_ICV_MAX);
        } else if (row->type == IKE_TRANSFORM_KE && group) {
            assert_true(group->public_size <= IKE_KE_SIZE_MAX);
        }
    }
}

static void the_groups_are_listed_for_a_person(void **state)
{
    const Algorithm *row;
    (void)state;

    for (size_t i = 0; (row = algorithm_at(i)) != NULL; i++) {
        char item[64];

        (void)snprintf(item, sizeof(item), "%u (%s)", row->id, row->name);
        assert_int_equal(strstr(group_list(), item) != NULL, row->type == IKE_TRANSFORM_KE);
    }
    assert_int_equal(strncmp(group_list(), "14 (MODP_2048), ", 16), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_names_and_numbers_stand_once),
        cmocka_unit_test(exactly_the_profile_is_found),
        cmocka_unit_test(buffers_of_the_largest_sizes_hold_every_row),
        cmocka_unit_test(the_groups_are_listed_for_a_person),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
