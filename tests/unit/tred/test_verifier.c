/* What tred-verify is to read goes to it in sealed memory: is nothing asked where there is none? */
#include "tred/verifier.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

/* In the place of the C library's (--wrap). */
int __wrap_memfd_create(const char *name, unsigned flags);

int __wrap_memfd_create(const char *name, unsigned flags)
{
    (void)name;
    assert_true(flags & MFD_ALLOW_SEALING);
    errno = EMFILE;
    return -1;
}

/* The verifier is not looked at: there is none. */
static void without_a_descriptor_left_it_is_asked_nothing(void **state)
{
    static const uint8_t octets[] = {1};
    Reason reason = {0};
    ChainFacts facts;

    (void)state;
    assert_int_equal(verifier_read_anchors(NULL, BYTES_OF(octets), "anchors", &reason), -EMFILE);
    assert_int_equal(
        verifier_read_chain(NULL, BYTES_OF(octets), "chain", BYTES_OF(octets), &facts, &reason),
        -EMFILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_descriptor_left_it_is_asked_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
