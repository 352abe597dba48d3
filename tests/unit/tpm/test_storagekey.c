/* The storage root key is made once and found again, and anything else at its place is left alone.
 */
#include "tpm/commands.h"
#include "tpm/open.h"
#include "tpm/storagekey.h"

#include "swtpm_fixture.h"
#include "tpm_commands.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct Bench {
    Swtpm swtpm;
    Tpm *tpm;
} Bench;

static int bench_init(void **state)
{
    static Bench bench;
    Reason reason = {0};

    *state = &bench;
    return swtpm_start(&bench.swtpm) < 0 || tpm_open(bench.swtpm.tcti, &bench.tpm, &reason) < 0;
}

static int bench_deinit(void **state)
{
    Bench *bench = *state;

    tpm_close(bench->tpm);
    swtpm_stop(&bench->swtpm);
    return 0;
}

static unsigned transient_count(Tpm *tpm)
{
    return tpm_handle_count(tpm, TPM2_TRANSIENT_FIRST);
}

static void an_absent_key_is_made_only_when_asked_for(void **state)
{
    Bench *bench = *state;
    Reason reason = {0};
    TpmObject srk = {0};

    assert_int_equal(tpm_srk_open(bench->tpm, false, &srk, &reason), -ENOENT);
    assert_non_null(strstr(reason.text, "tre-provision init"));
    assert_int_equal(tpm_srk_open(bench->tpm, true, &srk, &reason), 0);
    tpm_object_release(bench->tpm, &srk);
    assert_int_equal(transient_count(bench->tpm), 0);
}

static void the_key_is_found_again_and_is_the_same(void **state)
{
    Bench *bench = *state;
    Reason reason = {0};
    TpmObject srk = {0};
    TPM2B_PUBLIC public = {0};
    TPM2B_NAME first;
    TPM2B_NAME again;

    assert_int_equal(tpm_srk_open(bench->tpm, true, &srk, &reason), 0);
    first = srk.name;
    /* Out of the reach of others' failed tries. */
    assert_int_equal(tpm2_read_public(bench->tpm, TPM_SRK_HANDLE, &public, &srk), TSS2_RC_SUCCESS);
    assert_true(public.publicArea.objectAttributes & TPMA_OBJECT_NODA);
    tpm_object_release(bench->tpm, &srk);
    assert_int_equal(tpm_srk_open(bench->tpm, true, &srk, &reason), 0);
    again = srk.name;
    tpm_object_release(bench->tpm, &srk);
    assert_int_equal(first.size, again.size);
    assert_memory_equal(first.name, again.name, first.size);
}

static void the_owners_primary_key_is_transient_and_is_given_back(void **state)
{
    Bench *bench = *state;
    Reason reason = {0};

    for (int i = 0; i < 8; i++) { /* more often than there are slots */
        TpmObject parent = {0};

        assert_int_equal(tpm_parent_open(bench->tpm, TPM2_RH_OWNER, &parent, &reason), 0);
        assert_int_equal(transient_count(bench->tpm), 1);
        tpm_object_release(bench->tpm, &parent);
        assert_int_equal(transient_count(bench->tpm), 0);
    }
}

/* A signing key, as somebody else might have put it at the storage root key's place. */
static void signing_key_put(Tpm *tpm, TPM2_HANDLE handle)
{
    const TPM2B_PUBLIC template = {
        .publicArea =
            {
                .type = TPM2_ALG_ECC,
                .nameAlg = TPM2_ALG_SHA256,
                .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH |
                                    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_FIXEDTPM |
                                    TPMA_OBJECT_FIXEDPARENT,
                .parameters.eccDetail =
                    {
                        .symmetric.algorithm = TPM2_ALG_NULL,
                        .scheme.scheme = TPM2_ALG_NULL,
                        .curveID = TPM2_ECC_NIST_P256,
                        .kdf.scheme = TPM2_ALG_NULL,
                    },
            },
    };
    TPM2B_PUBLIC public = {0};
    TpmObject primary = {0};

    assert_int_equal(tpm2_create_primary(tpm, TPM2_RH_OWNER, NULL, &template, &public, &primary),
                     TSS2_RC_SUCCESS);
    assert_int_equal(tpm2_evict_control(tpm, &primary, NULL, handle), TSS2_RC_SUCCESS);
    tpm_object_release(tpm, &primary);
}

static void what_is_no_storage_key_is_refused_and_left(void **state)
{
    Bench *bench = *state;
    Reason reason = {0};
    TpmObject srk = {0};

    signing_key_put(bench->tpm, TPM_SRK_HANDLE);
    for (int i = 0; i < 2; i++) { /* the second time shows that it is still there */
        assert_int_equal(tpm_srk_open(bench->tpm, true, &srk, &reason), -EIO);
        assert_non_null(strstr(reason.text, "not a storage key"));
        assert_non_null(strstr(reason.text, "tpm2_evictcontrol"));
    }
    assert_int_equal(transient_count(bench->tpm), 0);
}

static void an_owner_password_is_explained(void **state)
{
    Bench *bench = *state;
    const TPM2B_AUTH auth = {.size = 4, .buffer = {'a', 'u', 't', 'h'}};
    Reason reason = {0};
    TpmObject srk = {0};

    assert_int_equal(tpm2_hierarchy_change_auth(bench->tpm, TPM2_RH_OWNER, NULL, &auth),
                     TSS2_RC_SUCCESS);
    assert_int_equal(tpm_srk_open(bench->tpm, true, &srk, &reason), -EIO);
    assert_non_null(strstr(reason.text, "password"));
}

/* While the storage root key is read, another task may do the same (ld --wrap). */
static EVP_PKEY *other_tasks;
static unsigned times_read;
static bool has_other_hash; /* what is read has SHA-384 as its nameAlg */

TSS2_RC __real_tpm2_read_public(Tpm *tpm, TPM2_HANDLE handle, TPM2B_PUBLIC *ret,
                                TpmObject *ret_object);
TSS2_RC __wrap_tpm2_read_public(Tpm *tpm, TPM2_HANDLE handle, TPM2B_PUBLIC *ret,
                                TpmObject *ret_object);
static bool has_other_curve;
static unsigned times_flushed;

TSS2_RC __real_tpm2_flush_context(Tpm *tpm, TPM2_HANDLE handle);
TSS2_RC __wrap_tpm2_flush_context(Tpm *tpm, TPM2_HANDLE handle);
TSS2_RC __wrap_tpm2_flush_context(Tpm *tpm, TPM2_HANDLE handle)
{
    times_flushed++;
    return __real_tpm2_flush_context(tpm, handle);
}

TSS2_RC __wrap_tpm2_read_public(Tpm *tpm, TPM2_HANDLE handle, TPM2B_PUBLIC *ret,
                                TpmObject *ret_object)
{
    TSS2_RC rc = __real_tpm2_read_public(tpm, handle, ret, ret_object);

    times_read++;
    if (has_other_curve)
        ret->publicArea.parameters.eccDetail.curveID = TPM2_ECC_NIST_P384;
    if (has_other_hash)
        ret->publicArea.nameAlg = TPM2_ALG_SHA384;
    if (other_tasks && !tpm->salt_pkey)
        tpm->salt_pkey = other_tasks;
    return rc;
}

/* It may be anybody's: nobody is told to remove it, or that it is no storage root key. */
static void what_is_no_parent_though_a_key_file_names_it_is_somebody_elses(void **state)
{
    Bench *bench = *state;
    static const char *const whys[] = {"there is no key at 0x81000010",
                                       "is not a storage key that only this TPM can use",
                                       "another nameAlg"};

    for (size_t i = 0; i < ELEMENTS(whys); i++) {
        Reason reason = {0};
        TpmObject parent = {0};

        if (i == 1)
            signing_key_put(bench->tpm, 0x81000010);
        has_other_hash = i == 2;
        assert_int_equal(tpm_parent_open(bench->tpm, 0x81000010, &parent, &reason),
                         i == 0 ? -ENOENT : -EIO);
        has_other_hash = false;
        assert_non_null(strstr(reason.text, whys[i]));
        assert_non_null(strstr(reason.text, "init --force"));
        assert_null(strstr(reason.text, "tpm2_evictcontrol"));
    }
}

static void a_salt_key_is_the_one_of_the_name_or_none_where_none_is_named(void **state)
{
    Bench *bench = *state;
    TPM2B_NAME name = {.size = 34};
    Reason reason = {0};
    TpmObject srk = {0};

    assert_int_equal(tpm_salt_key_open(bench->tpm, &reason), 0);
    assert_null(bench->tpm->salt_pkey);
    tpm_trust_srk(bench->tpm, &name);
    assert_int_equal(tpm_salt_key_open(bench->tpm, &reason), -ESTALE);
    assert_null(bench->tpm->salt_pkey);
    assert_int_equal(tpm_srk_open(bench->tpm, true, &srk, &reason), 0);
    assert_int_equal(tpm_salt_key_open(bench->tpm, &reason), -EIO);
    assert_null(bench->tpm->salt_pkey);
    tpm_trust_srk(bench->tpm, &srk.name);
    assert_int_equal(tpm_salt_key_open(bench->tpm, &reason), 0);
    assert_non_null(bench->tpm->salt_pkey);
    assert_int_equal(bench->tpm->salt_key.handle, TPM_SRK_HANDLE);
}

/* Sessions are salted with the storage root key; another parent has only to be one. */
static void a_storage_root_key_on_another_curve_is_refused_and_another_parent_taken(void **state)
{
    Bench *bench = *state;
    Reason reason = {0};
    TpmObject srk = {0}, parent = {0};

    assert_int_equal(tpm_srk_open(bench->tpm, true, &srk, &reason), 0);
    assert_int_equal(tpm_parent_open(bench->tpm, TPM2_RH_OWNER, &parent, &reason), 0);
    assert_int_equal(tpm2_evict_control(bench->tpm, &parent, NULL, 0x81000011), TSS2_RC_SUCCESS);
    tpm_object_release(bench->tpm, &parent);
    has_other_curve = true;
    assert_int_equal(tpm_srk_open(bench->tpm, false, &srk, &reason), -EIO);
    assert_non_null(strstr(reason.text, "neither ECC P-256 nor RSA"));
    assert_int_equal(tpm_parent_open(bench->tpm, 0x81000011, &parent, &reason), 0);
    has_other_curve = false;
}

/* Its Name is what commands are bound to: who stands between is not asked for another one. */
static void a_storage_root_key_that_salts_is_read_once_and_never_flushed(void **state)
{
    Bench *bench = *state;
    Reason reason = {0};
    TpmObject srk = {0}, parent = {0};

    assert_int_equal(tpm_srk_open(bench->tpm, true, &srk, &reason), 0);
    assert_int_equal(tpm_salt_key_open(bench->tpm, &reason), 0);
    times_read = times_flushed = 0;
    assert_int_equal(tpm_parent_open(bench->tpm, TPM_SRK_HANDLE, &parent, &reason), 0);
    assert_int_equal(times_read, 0);
    assert_int_equal(parent.handle, TPM_SRK_HANDLE);
    tpm_object_release(bench->tpm, &parent);
    tpm_object_release(bench->tpm, &(TpmObject){0});
    assert_int_equal(times_flushed, 0);
}

static void a_salt_key_that_another_task_has_opened_meanwhile_stays(void **state)
{
    Bench *bench = *state;
    Reason reason = {0};
    TpmObject srk = {0};

    assert_int_equal(tpm_srk_open(bench->tpm, true, &srk, &reason), 0);
    assert_int_equal(tpm_salt_key_open(bench->tpm, &reason), 0);
    assert_non_null(bench->tpm->salt_pkey);
    EVP_PKEY_free(bench->tpm->salt_pkey);
    bench->tpm->salt_pkey = NULL;
    bench->tpm->salt_key.handle = TPM_NO_HANDLE;
    other_tasks = EVP_PKEY_new();
    assert_int_equal(tpm_salt_key_open(bench->tpm, &reason), 0);
    assert_ptr_equal(bench->tpm->salt_pkey, other_tasks); /* the Tpm's to free */
    assert_int_equal(bench->tpm->salt_key.handle, TPM_NO_HANDLE);
    other_tasks = NULL;
    /* Nor is one that is there read again. */
    times_read = 0;
    assert_int_equal(tpm_salt_key_open(bench->tpm, &reason), 0);
    assert_int_equal(times_read, 0);
    assert_int_equal(bench->tpm->salt_key.handle, TPM_NO_HANDLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_absent_key_is_made_only_when_asked_for, bench_init,
                                        bench_deinit),
        cmocka_unit_test_setup_teardown(the_key_is_found_again_and_is_the_same, bench_init,
                                        bench_deinit),
        cmocka_unit_test_setup_teardown(the_owners_primary_key_is_transient_and_is_given_back,
                                        bench_init, bench_deinit),
        cmocka_unit_test_setup_teardown(what_is_no_storage_key_is_refused_and_left, bench_init,
                                        bench_deinit),
        cmocka_unit_test_setup_teardown(
            what_is_no_parent_though_a_key_file_names_it_is_somebody_elses, bench_init,
            bench_deinit),
        cmocka_unit_test_setup_teardown(an_owner_password_is_explained, bench_init, bench_deinit),
        cmocka_unit_test_setup_teardown(
            a_salt_key_is_the_one_of_the_name_or_none_where_none_is_named, bench_init,
            bench_deinit),
        cmocka_unit_test_setup_teardown(
            a_storage_root_key_on_another_curve_is_refused_and_another_parent_taken, bench_init,
            bench_deinit),
        cmocka_unit_test_setup_teardown(
            a_storage_root_key_that_salts_is_read_once_and_never_flushed, bench_init, bench_deinit),
        cmocka_unit_test_setup_teardown(a_salt_key_that_another_task_has_opened_meanwhile_stays,
                                        bench_init, bench_deinit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
