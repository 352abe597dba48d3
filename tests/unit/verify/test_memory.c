/* Is nobody judged where nobody would learn that memory ran out? */
#include "crypto/memory.h"
#include "verify/peer.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The functions that it allocates with can't be exchanged any more. */
static void openssl_that_has_allocated_before_can_not_be_watched(void **state)
{
    (void)state;
    OPENSSL_free(OPENSSL_malloc(1));
    assert_int_equal(memory_watch(), -EBUSY);
    assert_false(memory_is_watched());
    assert_int_equal(memory_watch(), -EBUSY);
}

static void without_a_watch_nobody_is_judged(void **state)
{
    const PeerPolicy policy = {0};
    const PeerEvidence evidence = {0};
    PeerReport report;

    (void)state;
    assert_int_equal(peer_judge(&policy, &evidence, &report), -EPROTO);
    assert_int_equal(report.n_checks, 0);
    assert_null(report.key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_that_has_allocated_before_can_not_be_watched),
        cmocka_unit_test(without_a_watch_nobody_is_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
