/* Is each property that lets a key out of its TPM, or makes it something else than a device key,
 * told by its own sentence? */
#include "provisioning/devicefiles.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const PolicyDigest policy = {.octets = {1, 2, 3}};

enum {
    SOUND_ATTRIBUTES = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                       TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_SIGN_ENCRYPT,
};

static TPM2B_PUBLIC sound(void)
{
    return (TPM2B_PUBLIC){
        .publicArea =
            {
                .type = TPM2_ALG_ECC,
                .nameAlg = TPM2_ALG_SHA256,
                .objectAttributes = SOUND_ATTRIBUTES | TPMA_OBJECT_NODA,
                .authPolicy = {.size = POLICY_DIGEST_SIZE, .buffer = {1, 2, 3}},
                .parameters.eccDetail =
                    {
                        .symmetric.algorithm = TPM2_ALG_NULL,
                        .scheme.scheme = TPM2_ALG_NULL,
                        .curveID = TPM2_ECC_NIST_P256,
                        .kdf.scheme = TPM2_ALG_NULL,
                    },
            },
    };
}

static void assert_flaw(const TPM2B_PUBLIC *public, const char *words)
{
    const char *flaw = device_public_flaw(public, &policy);

    if (!flaw || !strstr(flaw, words))
        fail_msg("'%s' is not in '%s'", words, flaw ? flaw : "no flaw");
}

static void a_sound_key_has_no_flaw_with_and_without_a_policy_asked_for(void **state)
{
    TPM2B_PUBLIC public = sound();

    (void)state;
    assert_null(device_public_flaw(&public, &policy));
    assert_null(device_public_flaw(&public, NULL));
    public.publicArea.parameters.eccDetail.curveID = TPM2_ECC_NIST_P384;
    assert_null(device_public_flaw(&public, &policy));
    /* A development key: usable without a policy, and none is asked for. */
    public.publicArea.authPolicy.size = 0;
    public.publicArea.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
    assert_null(device_public_flaw(&public, NULL));
}

static void each_attribute_that_binds_a_key_is_needed(void **state)
{
    static const struct {
        TPMA_OBJECT attribute;
        const char *words;
    } attributes[] = {
        {TPMA_OBJECT_FIXEDTPM, "copied to another TPM (fixedTPM is clear)"},
        {TPMA_OBJECT_FIXEDPARENT, "copied out of its TPM (fixedParent is clear)"},
        {TPMA_OBJECT_SENSITIVEDATAORIGIN, "not made in the TPM (sensitiveDataOrigin is clear)"},
        {TPMA_OBJECT_SIGN_ENCRYPT, "is not a signing key"},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(attributes); i++) {
        TPM2B_PUBLIC public = sound();

        public.publicArea.objectAttributes &= ~attributes[i].attribute;
        assert_flaw(&public, attributes[i].words);
        assert_non_null(device_public_flaw(&public, NULL));
    }
}

static void a_key_that_decrypts_or_is_restricted_is_refused(void **state)
{
    TPM2B_PUBLIC public = sound();

    (void)state;
    public.publicArea.objectAttributes |= TPMA_OBJECT_DECRYPT;
    assert_flaw(&public, "is a key that decrypts");
    public = sound();
    public.publicArea.objectAttributes |= TPMA_OBJECT_RESTRICTED;
    assert_flaw(&public, "is restricted");
}

static void a_key_that_escapes_the_policy_is_refused(void **state)
{
    TPM2B_PUBLIC public = sound();

    (void)state;
    public.publicArea.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
    assert_flaw(&public, "can be used without its policy (userWithAuth is set)");
    public = sound();
    public.publicArea.authPolicy.size = 0;
    assert_flaw(&public, "has no policy");
    public = sound();
    public.publicArea.authPolicy.buffer[31] ^= 1;
    assert_flaw(&public, "has another policy");
    public = sound();
    public.publicArea.authPolicy.size = 31;
    assert_flaw(&public, "has another policy");
}

static void a_type_outside_of_the_profile_is_refused(void **state)
{
    TPM2B_PUBLIC public = sound();

    (void)state;
    public.publicArea.parameters.eccDetail.curveID = TPM2_ECC_NIST_P521;
    assert_flaw(&public, "is not ECDSA P-256");
    public = sound();
    public.publicArea.type = TPM2_ALG_KEYEDHASH;
    assert_flaw(&public, "is not ECDSA P-256");
    public = sound();
    public.publicArea.type = TPM2_ALG_RSA;
    public.publicArea.parameters.rsaDetail = (TPMS_RSA_PARMS){
        .symmetric.algorithm = TPM2_ALG_NULL, .scheme.scheme = TPM2_ALG_NULL, .keyBits = 1024};
    assert_flaw(&public, "is not ECDSA P-256");
    public = sound();
    public.publicArea.nameAlg = TPM2_ALG_SHA1;
    assert_flaw(&public, "SHA-256 as its nameAlg");
    public = sound();
    public.publicArea.parameters.eccDetail.scheme.scheme = TPM2_ALG_ECDAA;
    assert_flaw(&public, "tied to a signature scheme");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_key_has_no_flaw_with_and_without_a_policy_asked_for),
        cmocka_unit_test(each_attribute_that_binds_a_key_is_needed),
        cmocka_unit_test(a_key_that_decrypts_or_is_restricted_is_refused),
        cmocka_unit_test(a_key_that_escapes_the_policy_is_refused),
        cmocka_unit_test(a_type_outside_of_the_profile_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
