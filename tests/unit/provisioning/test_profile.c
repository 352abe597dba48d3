/* Is a profile taken as it is meant, and one that can't be meant refused by line and key? */
#include "provisioning/profile.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static int parse(const char *text, ProvisionProfile *ret, Reason *reason)
{
    _cleanup_(close_fdp) int fd = memfd_create("line.conf", MFD_CLOEXEC);
    char path[32];

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return provision_profile_read(path, ret, reason);
}

static void assert_refused(const char *text, const char *sentence)
{
    _cleanup_(provision_profile_deinit) ProvisionProfile profile = {0};
    Reason reason = {0};

    assert_int_equal(parse(text, &profile, &reason), -EINVAL);
    if (!strstr(reason.text, sentence))
        fail_msg("'%s' is refused with '%s', without '%s'", text, reason.text, sentence);
}

static void every_key_finds_its_place(void **state)
{
    _cleanup_(provision_profile_deinit) ProvisionProfile profile = {0};
    Reason reason = {0};

    (void)state;
    assert_int_equal(parse("[tpm]\ntcti = swtpm\nowner-auth = keep\n"
                           "[device]\nfqdn = henb-{serial}.example\nstate-dir = /srv/{serial}\n"
                           "owner = tred\nkey-algorithm = rsa-2048\n"
                           "[policy]\nkind = signed\nkey = /k.pem\nstates = /s.json\n"
                           "[anchors]\nfile = /a.pem\noperator-key = /o.pem\n"
                           "[certificate]\nca-certificate = /ca.pem\nca-key = /ca.key\n"
                           "ek-anchors = /ek.pem\ndays = 30\n",
                           &profile, &reason),
                     0);
    assert_string_equal(profile.tcti, "swtpm");
    assert_int_equal(profile.owner_auth, OWNER_AUTH_KEEP);
    assert_string_equal(profile.fqdn, "henb-{serial}.example");
    assert_string_equal(profile.state_dir, "/srv/{serial}");
    assert_string_equal(profile.owner, "tred");
    assert_int_equal(profile.key_algorithm, TPM_KEY_RSA_2048 + 1);
    assert_int_equal(profile.key_policy, KEY_POLICY_SIGNED);
    assert_string_equal(profile.policy_key, "/k.pem");
    assert_string_equal(profile.pcr_signature, "/s.json");
    assert_string_equal(profile.anchors, "/a.pem");
    assert_string_equal(profile.operator_key, "/o.pem");
    assert_string_equal(profile.ca_certificate, "/ca.pem");
    assert_string_equal(profile.ca_key, "/ca.key");
    assert_string_equal(profile.ek_anchors, "/ek.pem");
    assert_int_equal(profile.days, 30);
}

static void an_empty_profile_locks_the_tpm_and_leaves_the_rest_open(void **state)
{
    _cleanup_(provision_profile_deinit) ProvisionProfile profile = {0};
    Reason reason = {0};

    (void)state;
    assert_int_equal(parse("", &profile, &reason), 0);
    assert_int_equal(profile.owner_auth, OWNER_AUTH_DISCARD);
    assert_int_equal(profile.key_algorithm, PROFILE_KEY_ANY);
    assert_int_equal(profile.key_policy, KEY_POLICY_NONE);
    assert_null(profile.tcti);
}

static void the_names_of_policies_are_those_of_the_key_policy(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KEY_POLICY_KINDS; kind++) {
        _cleanup_(provision_profile_deinit) ProvisionProfile profile = {0};
        Reason reason = {0};
        char text[128];

        (void)snprintf(text, sizeof(text),
                       "[policy]\nkind = %s\nkey = /k\nstates = /s\n"
                       "[anchors]\noperator-key = /o\n",
                       key_policy_kind_name((KeyPolicyKind)kind));
        assert_int_equal(parse(text, &profile, &reason), 0);
        assert_int_equal(profile.key_policy, kind);
    }
}

static void what_can_not_be_meant_is_refused_by_line_and_key(void **state)
{
    (void)state;
    assert_refused("[device]\nfqdn = henb {serial}\n", ":2: \"fqdn = henb {serial}\"");
    assert_refused("[device]\nstate-dir = srv\n", "an absolute path");
    assert_refused("[device]\nkey-algorithm = dsa\n", "any or ecdsa-p256 or ecdsa-p384 or rsa");
    assert_refused("[tpm]\nowner-auth = maybe\n", "keep or discard");
    assert_refused("[policy]\nkind = signed\nstates = /s.json\n", "[policy] needs \"key\" too");
    assert_refused("[policy]\nkind = pcr\n", "[policy] needs \"states\" too");
    assert_refused("[policy]\nkind = pcr\nstates = /s.json\n[anchors]\nfile = /a.pem\n",
                   "\"operator-key\" in [anchors]");
    assert_refused("[policy]\nkind = signed\nkey = /k\nstates = /s\n",
                   "\"operator-key\" in [anchors]");
    assert_refused("[certificate]\nca-key = /k\n", "needs \"ca-certificate\" too");
    assert_refused("[certificate]\nca-certificate = /c\nca-key = /k\n", "\"ek-anchors\" too");
    assert_refused("[certificate]\ndays = 0\n", "a number from 1 to 36500");
    assert_refused("[factory]\nx = y\n", "no section [factory]");
}

static void a_serial_number_stands_wherever_it_is_asked_for(void **state)
{
    _cleanup_(free_charp) char *text = NULL;

    (void)state;
    assert_int_equal(provision_profile_expand("{serial}-a-{serial}", "7{serial}", &text), 0);
    assert_string_equal(text, "7{serial}-a-7{serial}");
    assert_true(provision_profile_has_serial("a{serial}"));
    assert_false(provision_profile_has_serial("a{seria}"));
    assert_false(provision_profile_has_serial(NULL));
}

static void a_serial_number_can_name_no_folder_but_its_own(void **state)
{
    static const char *const bad[] = {"", ".", "..", "../x", "a/b", "-a", "a b", "a\n", "\xc3\xa4"};
    char long_serial[65];

    (void)state;
    for (size_t i = 0; i < ELEMENTS(bad); i++)
        assert_false(serial_is_valid(bad[i]));
    assert_true(serial_is_valid("2024-A_0.17"));
    memset(long_serial, 'a', sizeof(long_serial));
    long_serial[64] = '\0';
    assert_false(serial_is_valid(long_serial));
    long_serial[63] = '\0';
    assert_true(serial_is_valid(long_serial));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_finds_its_place),
        cmocka_unit_test(an_empty_profile_locks_the_tpm_and_leaves_the_rest_open),
        cmocka_unit_test(the_names_of_policies_are_those_of_the_key_policy),
        cmocka_unit_test(what_can_not_be_meant_is_refused_by_line_and_key),
        cmocka_unit_test(a_serial_number_stands_wherever_it_is_asked_for),
        cmocka_unit_test(a_serial_number_can_name_no_folder_but_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
