/* Is nothing taken from certificates and anchors where there is no tred-verify to read them? The
 * linker puts these functions in the place of tred/verifier.c's (ld --wrap). */
#include "tred/identity.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int result;
static unsigned read_by_it;

int __wrap_verifier_new(const VerifierOptions *options, Verifier **ret, Reason *reason);
int __wrap_verifier_read_anchors(Verifier *verifier, Bytes bundle, const char *name,
                                 Reason *reason);
int __wrap_verifier_read_chain(Verifier *verifier, Bytes certificates, const char *name,
                               Bytes public_key, ChainFacts *ret, Reason *reason);

int __wrap_verifier_new(const VerifierOptions *options, Verifier **ret, Reason *reason)
{
    (void)options, (void)ret;
    return reason_set(reason, result, "there is no tred-verify");
}

int __wrap_verifier_read_anchors(Verifier *verifier, Bytes bundle, const char *name, Reason *reason)
{
    (void)verifier, (void)bundle, (void)name, (void)reason;
    read_by_it++;
    return 0;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_verifier_nothing_is_read),
    };

    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
