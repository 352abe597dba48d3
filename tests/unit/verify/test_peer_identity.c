/* Is a SeGW of another name refused, wherever the other name stands? */
#include "peer_fixture.h"

#include "ikewire/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void names_compare_in_any_case(void **state)
{
    const PkiSpec spec = pki_segw_spec("SeGW.Example");
    Pki leaf = pki_issue(&spec, &root);
    const Presentation presentation = {.sent = {&leaf}, .count = 1, .idr = "SEGW.example"};

    (void)state;
    assert_accepted(&presentation, &leaf);
    pki_deinit(&leaf);
}

static void another_name_in_the_certificate_is_an_identity_mismatch(void **state)
{
    static const char *const names[] = {
        "DNS:other.example",      "DNS:*.example", "DNS:segw.example.com",
        "email:segw@example.com", "IP:192.0.2.1",
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        PkiSpec spec = pki_segw_spec(SEGW);

        spec.subject_alt_name = names[i];
        assert_leaf_refused(&spec, &root, PEER_E_IDENTITY, SEGW);
    }
}

static void a_common_name_is_no_identity(void **state)
{
    PkiSpec spec = pki_segw_spec(SEGW);

    (void)state;
    spec.common_name = SEGW;
    spec.subject_alt_name = NULL;
    assert_leaf_refused(&spec, &root, PEER_E_IDENTITY, "without an FQDN");
}

static void an_idr_unlike_the_configured_name_is_an_identity_mismatch(void **state)
{
    PkiSpec spec = pki_segw_spec(SEGW);
    Presentation presentation = {.count = 1};
    Pki leaf;

    (void)state;
    spec.subject_alt_name = "DNS:" SEGW ",DNS:other.example";
    leaf = pki_issue(&spec, &root);
    presentation.sent[0] = &leaf;
    presentation.idr = "other.example";
    assert_refused(&presentation, PEER_E_IDENTITY, "IDr is other.example");
    presentation.idr = "segw.example\n<3>forged log line";
    assert_refused(&presentation, PEER_E_IDENTITY, "segw.example?<3>forged?log?line");
    presentation.idr = "";
    assert_refused(&presentation, PEER_E_IDENTITY, "");
    presentation.idr = NULL;
    presentation.idr_type = IKE_ID_RFC822_ADDR;
    assert_refused(&presentation, PEER_E_IDENTITY, "of type 3 (ID_RFC822_ADDR)");
    pki_deinit(&leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_compare_in_any_case),
        cmocka_unit_test(another_name_in_the_certificate_is_an_identity_mismatch),
        cmocka_unit_test(a_common_name_is_no_identity),
        cmocka_unit_test(an_idr_unlike_the_configured_name_is_an_identity_mismatch),
    };

    return cmocka_run_group_tests(tests, pki_init, pki_end);
}
