/* Does each serial number and each FQDN belong to one device? */
#include "provisioning/lineinput.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void a_serial_number_or_fqdn_is_given_once(void **state)
{
    _cleanup_(roster_deinit) Roster roster = {0};
    const RosterEntry *conflict = NULL;

    (void)state;
    assert_int_equal(roster_claim(&roster, "1", "a.example", 1, &conflict), 0);
    assert_int_equal(roster_claim(&roster, "2", "b.example", 2, &conflict), 0);
    assert_int_equal(roster_claim(&roster, "1", "c.example", 3, &conflict), -EEXIST);
    assert_int_equal(conflict->line, 1);
    assert_int_equal(roster_claim(&roster, "3", "B.Example", 4, &conflict), -EEXIST);
    assert_string_equal(conflict->serial, "2");
    assert_int_equal(roster_claim(&roster, "1", "a.example", 5, &conflict), -EEXIST);
    assert_int_equal(roster_claim(&roster, "1", "b.example", 6, &conflict), -EEXIST);
    assert_int_equal(roster_claim(&roster, "3", "c.example", 7, &conflict), 0);
}

static void a_device_that_failed_may_come_again_under_any_name(void **state)
{
    _cleanup_(roster_deinit) Roster roster = {0};
    const RosterEntry *conflict = NULL;

    (void)state;
    assert_int_equal(roster_claim(&roster, "1", "a.example", 1, &conflict), 0);
    roster_release(&roster, "1");
    roster_release(&roster, "1");
    assert_int_equal(roster_claim(&roster, "1", "b.example", 2, &conflict), 0);
    assert_int_equal(roster_claim(&roster, "2", "a.example", 3, &conflict), 0);
}

static void a_device_of_an_earlier_run_may_come_again_once_under_its_name(void **state)
{
    _cleanup_(roster_deinit) Roster roster = {0};
    const RosterEntry *conflict = NULL;

    (void)state;
    assert_int_equal(roster_claim(&roster, "1", "a.example", 0, &conflict), 0);
    assert_int_equal(roster_claim(&roster, "1", "b.example", 1, &conflict), -EEXIST);
    assert_int_equal(roster_claim(&roster, "2", "a.example", 2, &conflict), -EEXIST);
    assert_int_equal(roster_claim(&roster, "1", "a.example", 3, &conflict), 0);
    assert_int_equal(roster_claim(&roster, "1", "a.example", 4, &conflict), -EEXIST);
}

static void a_tpm_is_that_of_the_first_device_that_had_it(void **state)
{
    _cleanup_(roster_deinit) Roster roster = {0};

    (void)state;
    assert_null(roster_tpm_owner(&roster, "aa"));
    assert_int_equal(roster_tpm_set(&roster, "aa", "1"), 0);
    assert_int_equal(roster_tpm_set(&roster, "bb", "2"), 0);
    assert_int_equal(roster_tpm_set(&roster, "aa", "3"), 0);
    assert_string_equal(roster_tpm_owner(&roster, "aa"), "1");
    assert_string_equal(roster_tpm_owner(&roster, "bb"), "2");
}

static void a_thousand_devices_keep_their_names(void **state)
{
    _cleanup_(roster_deinit) Roster roster = {0};
    const RosterEntry *conflict = NULL;

    (void)state;
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < 1000; i++) {
            char serial[16], fqdn[32];

            (void)snprintf(serial, sizeof(serial), "%u", i);
            (void)snprintf(fqdn, sizeof(fqdn), "henb-%u.example", i);
            assert_int_equal(roster_claim(&roster, serial, fqdn, 1 + i, &conflict),
                             turn == 0 ? 0 : -EEXIST);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_serial_number_or_fqdn_is_given_once),
        cmocka_unit_test(a_device_that_failed_may_come_again_under_any_name),
        cmocka_unit_test(a_device_of_an_earlier_run_may_come_again_once_under_its_name),
        cmocka_unit_test(a_tpm_is_that_of_the_first_device_that_had_it),
        cmocka_unit_test(a_thousand_devices_keep_their_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
