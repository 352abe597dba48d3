/* Has every fault words of its own? */
#include "ikewire/payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void every_fault_has_words_of_its_own(void **state)
{
    (void)state;
    for (int a = IKEWIRE_E_TRUNCATED; a <= IKEWIRE_E_FRAGMENT; a++) {
        assert_string_not_equal(ike_fault_text((IkeFaultCode)a), "unknown fault");
        for (int b = IKEWIRE_E_TRUNCATED; b < a; b++) {
            assert_string_not_equal(ike_fault_text((IkeFaultCode)a),
                                    ike_fault_text((IkeFaultCode)b));
        }
    }
}

static void what_is_no_fault_is_unknown(void **state)
{
    (void)state;
    assert_string_equal(ike_fault_text((IkeFaultCode)0), "unknown fault");
    assert_string_equal(ike_fault_text((IkeFaultCode)(IKEWIRE_E_FRAGMENT + 1)), "unknown fault");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_has_words_of_its_own),
        cmocka_unit_test(what_is_no_fault_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
