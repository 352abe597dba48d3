/* Is nothing taken from certificates and anchors where there is no tred-verify to read them? The
 * linker puts these functions in the place of tred/verifier.c's (ld --wrap). */
#include "tred/identity.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int result, hand_result, read_result;
static const char *read_reason = "";
static unsigned begun, handed, taken, given_back;
static FrameType type_handed;

int __wrap_verifier_begin(const VerifierOptions *options, Verifier **ret, Reason *reason);
int __wrap_verifier_hand(Verifier *verifier, FrameType type, Bytes octets, const char *name,
                         Bytes public_key, Reason *reason);
int __wrap_verifier_take(Verifier *verifier, Reason *reason);
void __wrap_verifier_unref(Verifier *verifier);

static Verifier *the_verifier(void)
{
    return (Verifier *)(void *)&result; /* nobody looks into it */
}

int __wrap_verifier_begin(const VerifierOptions *options, Verifier **ret, Reason *reason)
{
    (void)options;
    begun++;
    if (result == 0)
        *ret = the_verifier();
    return result == 0 ? 0 : reason_set(reason, result, "there is no tred-verify");
}

int __wrap_verifier_hand(Verifier *verifier, FrameType type, Bytes octets, const char *name,
                         Bytes public_key, Reason *reason)
{
    (void)octets, (void)name, (void)public_key, (void)reason;
    assert_ptr_equal(verifier, the_verifier());
    handed++;
    type_handed = type;
    return hand_result;
}

int __wrap_verifier_take(Verifier *verifier, Reason *reason)
{
    assert_ptr_equal(verifier, the_verifier());
    taken++;
    if (read_result == 0)
        return 0;
    (void)snprintf(reason->text, sizeof(reason->text), "%s", read_reason);
    return read_result;
}

void __wrap_verifier_unref(Verifier *verifier)
{
    given_back += verifier == the_verifier();
}

static int setup(void **state)
{
    (void)state;
    result = hand_result = read_result = 0;
    read_reason = "";
    begun = handed = taken = given_back = 0;
    return 0;
}

static void without_a_verifier_nothing_is_read(void **state)
{
    static const struct {
        int found, said;
    } cases[] = {{-ENOENT, IDENTITY_UNPROVISIONED}, {-ENOMEM, -ENOMEM}};
    char program[] = "tred-verify";
    const TredConfig config = {.verifier = program};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Identity identity = {0};
        Reason reason = {0};

        result = cases[i].found;
        assert_int_equal(
            identity_read_begin(&config, &identity, IDENTITY_READS_PROFILE, (Bytes){0}, &reason),
            cases[i].said);
        assert_int_equal(strcmp(reason.text, "there is no tred-verify") == 0, i == 0);
        assert_null(identity.verifier);
    }
    assert_int_equal(handed + taken, 0);
}

/* So that the next who needs one starts another. */
static void a_verifier_that_can_not_read_its_profile_is_given_back(void **state)
{
    char program[] = "tred-verify";
    const TredConfig config = {.verifier = program};
    Identity identity = {0};
    Reason reason = {0};

    (void)state;
    assert_int_equal(
        identity_read_begin(&config, &identity, IDENTITY_READS_PROFILE, (Bytes){0}, &reason), 0);
    assert_ptr_equal(identity.verifier, the_verifier());
    read_result = -EBADMSG;
    read_reason = "line 2 is no rule";
    assert_int_equal(
        identity_read_end(&config, &identity, IDENTITY_READS_PROFILE, (Bytes){0}, &reason),
        IDENTITY_UNPROVISIONED);
    assert_string_equal(reason.text, "line 2 is no rule");
    assert_null(identity.verifier);
    assert_int_equal(given_back, 1);
}

static void what_can_not_be_handed_over_is_told_by_its_name(void **state)
{
    static const struct {
        IdentityReading what;
        FrameType type;
        const char *text;
    } cases[] = {
        {IDENTITY_READS_CHAIN, FRAME_CHAIN, "certificates: Too many open files"},
        {IDENTITY_READS_ANCHORS, FRAME_ANCHORS, "anchors: Too many open files"},
    };
    static const uint8_t octets[] = "octets";
    char certificates[] = "certificates", anchors[] = "anchors";
    const TredConfig config = {.certificates = certificates, .anchors = anchors};

    (void)state;
    hand_result = -EMFILE;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Identity identity = {.verifier = the_verifier()};
        Reason reason = {0};

        assert_int_equal(
            identity_read_begin(&config, &identity, cases[i].what, BYTES_OF(octets), &reason),
            IDENTITY_UNPROVISIONED);
        assert_string_equal(reason.text, cases[i].text);
        assert_int_equal(type_handed, cases[i].type);
    }
    assert_int_equal(begun, 0);
}

/* The reader's own sentence, or else the file's name with what became of it. */
static void anchors_that_can_not_be_read_are_told_by_the_reader_or_by_their_name(void **state)
{
    static const struct {
        int found;
        const char *reason;
        int said;
        const char *text;
    } cases[] = {
        {-EINVAL, "line 3 is no PEM", IDENTITY_UNPROVISIONED, "line 3 is no PEM"},
        {-EMFILE, "", IDENTITY_UNPROVISIONED, "anchors: Too many open files"},
        {VERIFIER_E_FAILED, "", IDENTITY_UNPROVISIONED, "anchors: Input/output error"},
        {-ENOMEM, "no memory", -ENOMEM, ""},
    };
    static const uint8_t octets[] = "octets";
    char anchors[] = "anchors";
    const TredConfig config = {.anchors = anchors};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Identity identity = {.verifier = the_verifier()};
        Reason reason = {0};

        read_result = cases[i].found;
        read_reason = cases[i].reason;
        assert_int_equal(identity_read_end(&config, &identity, IDENTITY_READS_ANCHORS,
                                           BYTES_OF(octets), &reason),
                         cases[i].said);
        assert_string_equal(reason.text, cases[i].text);
    }
}

/* By the TPM's last-known time, where this machine's clock is behind it. */
static void a_certificate_is_valid_from_its_first_second_to_its_last(void **state)
{
    const time_t known = time(NULL) + 1000000;
    const struct {
        time_t last_known, not_before, not_after;
        const char *why; /* empty: nothing is wrong */
    } cases[] = {
        {known, known, known, ""},
        {known, known + 1, known + 2, "device.pem is not valid yet by this machine's clock"},
        {known, 0, known - 1, "device.pem has expired by the TPM's last-known time"},
        {0, 0, 1, "issued for the key, or set the clock"},
        {0, known, known + 1, "device.pem is not valid yet"},
        {0, 0, known, ""},
    };
    char path[] = "device.pem";
    const TredConfig config = {.certificates = path};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Identity identity = {.n_certificates = 1,
                             .not_before = cases[i].not_before,
                             .not_after = cases[i].not_after,
                             .facts = {.last_known = cases[i].last_known}};
        identity_time_take(&config, &identity);
        assert_int_equal(identity.last_known, cases[i].last_known);
        if (cases[i].why[0] == '\0')
            assert_string_equal(identity.validity_problem.text, "");
        else
            assert_non_null(strstr(identity.validity_problem.text, cases[i].why));
    }
}

/* Of anchors that the TPM guards alone. */
static void the_last_known_time_is_corrected_by_as_many_days_as_the_operator_says(void **state)
{
    enum { DAY = 24 * 60 * 60, DAYS = 3 };
    const TredConfig config = {0};

    (void)state;
    for (int guarded = 0; guarded < 2; guarded++) {
        Identity identity = {.correction_days = DAYS,
                             .facts = {.last_known = 10 * DAY, .anchors_guarded = guarded}};
        identity_time_take(&config, &identity);
        assert_int_equal(identity.last_known, (guarded ? 10 - DAYS : 10) * DAY);
        assert_int_equal(identity.correction_days, guarded ? DAYS : 0);
        identity.facts.last_known = 0; /* there is none to correct */
        identity_time_take(&config, &identity);
        assert_int_equal(identity.last_known, 0);
    }
}

static void a_name_that_no_frame_has_room_for_is_refused_whichever_it_is(void **state)
{
    static char empty[] = "", longest[DEVICE_PATH_SIZE], longer[DEVICE_PATH_SIZE + 1];
    static DeviceFiles files;

    (void)state;
    memset(longest, 'x', DEVICE_PATH_SIZE - 1);
    memset(longer, 'x', DEVICE_PATH_SIZE);
    for (size_t which = 0; which < 7; which++) {
        TredConfig config = {0};
        char **const names[] = {&config.tcti,       &config.srk_name,       &config.key,
                                &config.policy_key, &config.pcr_signatures, &config.certificates,
                                &config.anchors};
        const char *const kept[] = {files.tcti,       files.srk_name,       files.key,
                                    files.policy_key, files.pcr_signatures, files.certificates,
                                    files.anchors};
        Reason reason = {0};

        for (size_t i = 0; i < ELEMENTS(names); i++)
            *names[i] = empty;
        *names[which] = longest;
        assert_int_equal(identity_files(&config, &files, &reason), 0);
        assert_string_equal(kept[which], longest);
        *names[which] = longer;
        assert_int_equal(identity_files(&config, &files, &reason), -ENAMETOOLONG);
        assert_non_null(strstr(reason.text, "longer than 1023 octets"));
    }
}

/* Nothing else that is read has the operator's line. */
static void the_correction_is_read_of_the_anchors_alone(void **state)
{
    static const uint8_t line[] = "last-known-time henb-1.example.org minus 5\n";
    static const struct {
        IdentityReading what;
        unsigned days;
    } cases[] = {{IDENTITY_READS_PROFILE, 0}, {IDENTITY_READS_ANCHORS, 5}};
    const TredConfig config = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Identity identity = {.verifier = the_verifier(), .fqdn = "henb-1.example.org"};
        Reason reason = {0};

        assert_int_equal(identity_read_end(&config, &identity, cases[i].what,
                                           (Bytes){line, sizeof(line) - 1}, &reason),
                         0);
        assert_int_equal(identity.correction_days, cases[i].days);
    }
}

static void lists_are_looked_for_where_revocation_is_judged(void **state)
{
    char folder[] = "/crls";
    TredConfig config = {.crl_directory = folder, .revocation = REVOCATION_OFF};

    (void)state;
    assert_null(identity_verifier_options(&config).crl_directory);
    config.revocation = REVOCATION_REQUIRE;
    assert_ptr_equal(identity_verifier_options(&config).crl_directory, folder);
}

/* There is nothing to say of a certificate that was not read. */
static void without_a_certificate_none_has_expired(void **state)
{
    char path[] = "device.pem";
    const TredConfig config = {.certificates = path};
    Identity identity = {0};

    (void)state;
    identity_time_take(&config, &identity);
    assert_string_equal(identity.validity_problem.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_is_valid_from_its_first_second_to_its_last),
        cmocka_unit_test(the_last_known_time_is_corrected_by_as_many_days_as_the_operator_says),
        cmocka_unit_test(a_name_that_no_frame_has_room_for_is_refused_whichever_it_is),
        cmocka_unit_test_setup(the_correction_is_read_of_the_anchors_alone, setup),
        cmocka_unit_test(lists_are_looked_for_where_revocation_is_judged),
        cmocka_unit_test(without_a_certificate_none_has_expired),
        cmocka_unit_test_setup(without_a_verifier_nothing_is_read, setup),
        cmocka_unit_test_setup(a_verifier_that_can_not_read_its_profile_is_given_back, setup),
        cmocka_unit_test_setup(what_can_not_be_handed_over_is_told_by_its_name, setup),
        cmocka_unit_test_setup(anchors_that_can_not_be_read_are_told_by_the_reader_or_by_their_name,
                               setup),
    };

    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
