/* Does each line of the profile refuse just what it is there for? */
#include "verify/profile.h"

#include "base/cleanup.h"
#include "pki_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct ProfileCase {
    PkiSpec spec;
    const char *flaw; /* words of it; NULL: fit */
} ProfileCase;

static void assert_judged(const ProfileCase *cases, size_t count,
                          const char *(*judge)(X509 *certificate))
{
    for (size_t i = 0; i < count; i++) {
        Pki pki = pki_issue(&cases[i].spec, NULL);
        const char *flaw = judge(pki.certificate);

        if (!flaw != !cases[i].flaw || (flaw && !strstr(flaw, cases[i].flaw)))
            fail_msg("case %zu: '%s'", i, flaw ? flaw : "no flaw");
        pki_deinit(&pki);
    }
}

static void an_end_entity_signs_is_no_ca_and_has_a_key_of_the_profile(void **state)
{
    static const char usage[] = "critical,digitalSignature";
    static const ProfileCase cases[] = {
        {{.common_name = "x", .key_usage = usage}, NULL},
        {{.common_name = "x", .key_usage = usage, .basic_constraints = "CA:FALSE"}, NULL},
        {{.common_name = "x", .key_usage = usage, .key = "P-384"}, NULL},
        {{.common_name = "x", .key_usage = usage, .key = "RSA-2048"}, NULL},
        {{.common_name = "x", .key_usage = usage, .key = "RSA-1024"}, "key outside the profile"},
        {{.common_name = "x", .key_usage = usage, .key = "P-521"}, "key outside the profile"},
        {{.common_name = "x", .key_usage = usage, .key = "ED25519"}, "key outside the profile"},
        {{.common_name = "x", .key_usage = usage, .basic_constraints = "CA:TRUE"}, "is a CA's"},
        {{.common_name = "x", .key_usage = "critical,keyAgreement"}, "lacks digitalSignature"},
        {{.common_name = "x"}, "has no keyUsage"},
    };

    (void)state;
    assert_judged(cases, ELEMENTS(cases), profile_end_entity_flaw);
}

static void an_anchor_is_a_ca_with_a_strong_key(void **state)
{
    static const char ca[] = "critical,CA:TRUE";
    static const ProfileCase cases[] = {
        {{.common_name = "x", .basic_constraints = ca}, NULL},
        {{.common_name = "x", .basic_constraints = ca, .key_usage = "keyCertSign"}, NULL},
        {{.common_name = "x", .basic_constraints = ca, .key = "RSA-2048"}, NULL},
        {{.common_name = "x", .basic_constraints = ca, .key = "P-521"}, NULL},
        {{.common_name = "x", .basic_constraints = ca, .key = "RSA-1024"}, "too short"},
        {{.common_name = "x", .basic_constraints = ca, .key = "ED25519"}, "neither RSA nor ECDSA"},
        {{.common_name = "x", .basic_constraints = ca, .key_usage = "cRLSign"}, "not a CA's"},
        {{.common_name = "x", .basic_constraints = "CA:FALSE"}, "not a CA's"},
        {{.common_name = "x"}, "not a CA's"},
    };

    (void)state;
    assert_judged(cases, ELEMENTS(cases), profile_anchor_flaw);
}

static void a_signature_has_a_hash_of_the_profile(void **state)
{
    static const ProfileCase cases[] = {
        {{.common_name = "x", .digest = "SHA256"}, NULL},
        {{.common_name = "x", .digest = "SHA384"}, NULL},
        {{.common_name = "x", .digest = "SHA512"}, NULL},
        {{.common_name = "x", .digest = "SHA224"}, "hash outside the profile"},
        {{.common_name = "x", .digest = "SHA1"}, "hash outside the profile"},
        {{.common_name = "x", .digest = "MD5", .key = "RSA-2048"}, "hash outside the profile"},
    };

    (void)state;
    assert_judged(cases, ELEMENTS(cases), profile_signature_flaw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_entity_signs_is_no_ca_and_has_a_key_of_the_profile),
        cmocka_unit_test(an_anchor_is_a_ca_with_a_strong_key),
        cmocka_unit_test(a_signature_has_a_hash_of_the_profile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
