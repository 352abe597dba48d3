/* Is an approval written so that it is read as the same, and is every other text refused with a
 * reason? */
#include "anchor_fixture.h"

#include "base/cleanup.h"
#include "base/reason.h"
#include "policy/encoding.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BUNDLE "the anchors"

static PolicyKey operator_key;

/* Whatever the verification is asked about is good. */
static bool all_is_good;

bool __real_policy_key_approved(const PolicyKey *key, const PolicyDigest *approved,
                                Bytes policy_ref, Bytes signature);
bool __wrap_policy_key_approved(const PolicyKey *key, const PolicyDigest *approved,
                                Bytes policy_ref, Bytes signature);

bool __wrap_policy_key_approved(const PolicyKey *key, const PolicyDigest *approved,
                                Bytes policy_ref, Bytes signature)
{
    return all_is_good || __real_policy_key_approved(key, approved, policy_ref, signature);
}

static int fixture_init(void **state)
{
    *state = NULL;
    operator_key = operator_new("EC");
    return 0;
}

static int fixture_deinit(void **state)
{
    (void)state;
    policy_key_deinit(&operator_key);
    return 0;
}

static Bytes text_bytes(const char *text)
{
    return (Bytes){(const uint8_t *)text, strlen(text)};
}

/* An approval's text; the caller's to free(). */
static char *text_new(uint64_t version)
{
    _cleanup_(anchor_approval_deinit) AnchorApproval approval =
        approval_new(&operator_key, BUNDLE, version);
    char *text = NULL;

    assert_int_equal(anchor_approval_encode(&approval, &text), 0);
    return text;
}

/* `text` with the first `old` in it replaced; the caller's to free(). */
static char *edited(const char *text, const char *old, const char *new)
{
    const char *at = strstr(text, old);
    char *ret = NULL;

    assert_non_null(at);
    assert_true(asprintf(&ret, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old)) > 0);
    return ret;
}

static void assert_refused(const char *text, const char *words)
{
    Reason reason = {0};
    AnchorApproval approval;

    if (anchor_approval_decode(text_bytes(text), "bundle.sig", &approval, &reason) != -EINVAL)
        fail_msg("taken: %s", text);
    if (!strstr(reason.text, words) || !strstr(reason.text, "bundle.sig"))
        fail_msg("'%s' is not in: %s", words, reason.text);
}

static void an_approval_is_read_as_it_was_written(void **state)
{
    static const uint64_t versions[] = {1, 7, ANCHOR_VERSION_MAX};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(versions); i++) {
        _cleanup_(free_charp) char *text = text_new(versions[i]);
        _cleanup_(free_charp) char *again = NULL;
        _cleanup_(anchor_approval_deinit) AnchorApproval approval = {0};
        Reason reason = {0};

        if (anchor_approval_decode(text_bytes(text), "bundle.sig", &approval, &reason) < 0)
            fail_msg("%s", reason.text);
        assert_int_equal(approval.record.version, versions[i]);
        assert_memory_equal(approval.operator_key.fingerprint, operator_key.fingerprint,
                            POLICY_KEY_FINGERPRINT_SIZE);
        for (int write = 0; write < ANCHOR_WRITES; write++) {
            assert_true(anchor_guard_approved(&operator_key, (AnchorWrite)write, &approval.record,
                                              &approval.signatures[write]));
        }
        assert_int_equal(anchor_approval_encode(&approval, &again), 0);
        assert_string_equal(text, again);
    }
}

static void the_private_key_does_not_get_into_the_file(void **state)
{
    _cleanup_(free_charp) char *text = text_new(1);

    (void)state;
    assert_null(strstr(text, "PRIVATE"));
    assert_non_null(strstr(text, "PUBLIC KEY"));
}

static void an_approval_for_the_field_has_no_first(void **state)
{
    _cleanup_(anchor_approval_deinit) AnchorApproval approval = {0}, read = {0};
    _cleanup_(free_charp) char *text = NULL;
    Reason reason = {0};

    (void)state;
    assert_int_equal(anchor_approval_make(&operator_key, text_bytes(BUNDLE), 2, false, &approval),
                     0);
    assert_int_equal(anchor_approval_encode(&approval, &text), 0);
    assert_null(strstr(text, "first"));
    assert_int_equal(anchor_approval_decode(text_bytes(text), "bundle.sig", &read, &reason), 0);
    assert_int_equal(read.signatures[ANCHOR_WRITE_FIRST].size, 0);
    assert_false(anchor_guard_approved(&operator_key, ANCHOR_WRITE_FIRST, &read.record,
                                       &read.signatures[ANCHOR_WRITE_FIRST]));
    assert_true(read.signatures[ANCHOR_WRITE_UPDATE].size > 0);
}

/* That a signature is there does not hang on what OpenSSL makes of one of no octets. */
static void without_a_signature_nothing_is_approved(void **state)
{
    static const char *const types[] = {"EC", "RSA"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        _cleanup_(policy_key_deinit) PolicyKey key = operator_new(types[i]);
        _cleanup_(anchor_approval_deinit) AnchorApproval approval = approval_new(&key, BUNDLE, 7);

        for (int write = 0; write < ANCHOR_WRITES; write++) {
            AnchorSignature *signature = &approval.signatures[write];
            const size_t size = signature->size;

            for (int good = 0; good <= 1; good++) {
                all_is_good = good;
                signature->size = 0;
                assert_false(
                    anchor_guard_approved(&key, (AnchorWrite)write, &approval.record, signature));
                signature->size = size;
                assert_true(
                    anchor_guard_approved(&key, (AnchorWrite)write, &approval.record, signature));
            }
            all_is_good = false;
        }
    }
}

static int believe_nothing(void **state)
{
    (void)state;
    all_is_good = false;
    return 0;
}

static void a_version_that_is_out_of_range_is_not_approved(void **state)
{
    AnchorApproval approval;

    (void)state;
    assert_int_equal(anchor_approval_make(&operator_key, text_bytes(BUNDLE), 0, false, &approval),
                     -EINVAL);
    assert_int_equal(anchor_approval_make(&operator_key, text_bytes(BUNDLE), ANCHOR_VERSION_MAX + 1,
                                          false, &approval),
                     -EINVAL);
}

static void an_approval_fits_its_own_bundle_only(void **state)
{
    _cleanup_(anchor_approval_deinit) AnchorApproval approval =
        approval_new(&operator_key, BUNDLE, 1);
    Reason reason = {0};
    char digest[2 * ANCHOR_DIGEST_SIZE + 1];

    (void)state;
    assert_int_equal(anchor_approval_fits(&approval, text_bytes(BUNDLE), "bundle", &reason), 0);
    assert_int_equal(anchor_approval_fits(&approval, text_bytes(BUNDLE "\n"), "bundle", &reason),
                     -EINVAL);
    hex_encode(BYTES_OF(approval.record.digest), digest);
    assert_non_null(strstr(reason.text, digest));
}

static void each_line_that_is_missing_or_of_another_form_is_named(void **state)
{
    _cleanup_(free_charp) char *text = text_new(7);
    const struct {
        const char *old, *new, *words;
    } cases[] = {
        {"version 7", "version 0", "\"version\" is not"},
        {"version 7", "version 07", "\"version\" is not"},
        {"version 7", "version -7", "\"version\" is not"},
        {"version 7", "version 7.0", "\"version\" is not"},
        {"version 7", "version  7", "\"version\" is not"},
        {"version 7", "version 7 ", "\"version\" is not"},
        {"version 7", "version", "\"version\" is not"},
        {"version 7", "version 9223372036854775808", "\"version\" is not"},
        {"version 7", "version 99999999999999999999999", "\"version\" is not"},
        {"version 7\n", "", "\"version\" is not"},
        {"version 7", "version 7\nversion 8", "\"sha256\" is not"},
        {"version 7", "version 8", "not the signature"},
        {"sha256 ", "sha256 00", "\"sha256\" is not"},
        {"sha256 ", "x 1\nsha256 ", "\"sha256\" is not"},
        {"update ", "update *", "\"update\" is not a signature in hexadecimal"},
        {"update ", "update 0", "\"update\" is not a signature in hexadecimal"},
        {"update ", "update 00", "\"update\" is not the signature"},
        {"first ", "first *", "\"first\" is not a signature in hexadecimal"},
        {"first ", "first \nfirst ", "\"first\" is not a signature in hexadecimal"},
        {"update ", "first 00\nupdate ", "\"update\" is not a signature"},
        {"-----BEGIN", "note 1\n-----BEGIN", "does not end in a public key"},
        {"BEGIN PUBLIC KEY", "BEGIN KEY", "does not end in a public key"},
        {"END PUBLIC KEY-----\n", "END PUBLIC KEY-----\n\n", "does not end in a public key"},
        {"END PUBLIC KEY-----\n", "END PUBLIC KEY-----", "does not end in a public key"},
        {strstr(text, "-----BEGIN"), "-----END PUBLIC KEY-----\n", "does not end in a public key"},
        {"\n", "\r\n", "\"version\" is not"},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_(free_charp) char *wrong = edited(text, cases[i].old, cases[i].new);

        assert_refused(wrong, cases[i].words);
    }
    assert_refused("", "\"version\" is not");
    assert_refused("{\"version\":7}\n", "\"version\" is not");
}

static void an_approval_with_another_key_in_the_place_of_the_signers_is_refused(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey other = operator_new("EC");
    _cleanup_(anchor_approval_deinit) AnchorApproval approval = approval_new(&other, BUNDLE, 7);
    _cleanup_(free_charp) char *theirs = NULL;
    _cleanup_(free_charp) char *ours = text_new(7);
    _cleanup_(free_charp) char *wrong = NULL;

    (void)state;
    assert_int_equal(anchor_approval_encode(&approval, &theirs), 0);
    wrong = edited(ours, strstr(ours, "-----BEGIN"), strstr(theirs, "-----BEGIN"));
    assert_refused(wrong, "is not the signature of the key in it");
}

static void what_is_too_long_is_refused(void **state)
{
    _cleanup_(free_charp) char *long_text = malloc(ANCHOR_APPROVAL_SIZE_MAX + 2);

    (void)state;
    memset(long_text, ' ', ANCHOR_APPROVAL_SIZE_MAX + 1);
    long_text[ANCHOR_APPROVAL_SIZE_MAX + 1] = '\0';
    assert_refused(long_text, "more than 16384 octets");
    long_text[ANCHOR_APPROVAL_SIZE_MAX] = '\0'; /* not too long: refused for what it says */
    assert_refused(long_text, "is not ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_approval_is_read_as_it_was_written),
        cmocka_unit_test(the_private_key_does_not_get_into_the_file),
        cmocka_unit_test(an_approval_for_the_field_has_no_first),
        cmocka_unit_test_teardown(without_a_signature_nothing_is_approved, believe_nothing),
        cmocka_unit_test(a_version_that_is_out_of_range_is_not_approved),
        cmocka_unit_test(an_approval_fits_its_own_bundle_only),
        cmocka_unit_test(each_line_that_is_missing_or_of_another_form_is_named),
        cmocka_unit_test(an_approval_with_another_key_in_the_place_of_the_signers_is_refused),
        cmocka_unit_test(what_is_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, fixture_init, fixture_deinit);
}
