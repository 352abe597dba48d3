/* Is nothing taken from certificates and anchors where there is no tred-verify to read them? The
 * linker puts these functions in the place of tred/verifier.c's (ld --wrap). */
#include "tred/identity.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int result, read_result;
static const char *read_reason = "";
static unsigned read_by_it;

int __wrap_verifier_new(const VerifierOptions *options, Verifier **ret, Reason *reason);
int __wrap_verifier_read_anchors(Verifier *verifier, Bytes bundle, const char *name,
                                 Reason *reason);
int __wrap_verifier_read_chain(Verifier *verifier, Bytes certificates, const char *name,
                               Bytes public_key, ChainFacts *ret, Reason *reason);

int __wrap_verifier_new(const VerifierOptions *options, Verifier **ret, Reason *reason)
{
    (void)options;
    if (result == 0)
        *ret = (Verifier *)(void *)&result; /* nobody looks into it */
    return result == 0 ? 0 : reason_set(reason, result, "there is no tred-verify");
}

int __wrap_verifier_read_anchors(Verifier *verifier, Bytes bundle, const char *name, Reason *reason)
{
    (void)verifier, (void)bundle, (void)name;
    read_by_it++;
    if (read_result == 0)
        return 0;
    (void)snprintf(reason->text, sizeof(reason->text), "%s", read_reason);
    return read_result;
}

int __wrap_verifier_read_chain(Verifier *verifier, Bytes certificates, const char *name,
                               Bytes public_key, ChainFacts *ret, Reason *reason)
{
    (void)verifier, (void)certificates, (void)name, (void)public_key, (void)reason;
    memset(ret, 0, sizeof(*ret));
    read_by_it++;
    return 0;
}

static void without_a_verifier_nothing_is_read(void **state)
{
    static const struct {
        int found, said;
    } cases[] = {{-ENOENT, IDENTITY_UNPROVISIONED}, {-ENOMEM, -ENOMEM}};
    static const uint8_t octets[] = "octets";
    char certificates[] = "certificates", anchors[] = "anchors";
    const TredConfig config = {.certificates = certificates, .anchors = anchors};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Identity identity = {0};
        Reason reason = {0};

        result = cases[i].found;
        assert_int_equal(identity_anchors_read(&config, &identity, BYTES_OF(octets), &reason),
                         cases[i].said);
        assert_int_equal(identity_chain_read(&config, &identity, BYTES_OF(octets), &reason),
                         cases[i].said);
        assert_int_equal(strcmp(reason.text, "there is no tred-verify") == 0, i == 0);
        assert_int_equal(read_by_it, 0);
    }
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
    result = 0;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Identity identity = {0};
        Reason reason = {0};

        read_result = cases[i].found;
        read_reason = cases[i].reason;
        assert_int_equal(identity_anchors_read(&config, &identity, BYTES_OF(octets), &reason),
                         cases[i].said);
        assert_string_equal(reason.text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_verifier_nothing_is_read),
        cmocka_unit_test(anchors_that_can_not_be_read_are_told_by_the_reader_or_by_their_name),
    };

    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
