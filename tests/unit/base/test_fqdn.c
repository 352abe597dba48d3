/* Is a name taken for an FQDN only if it can be one? */
#include "base/fqdn.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void names_of_hosts_are_fqdns(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a",         "henb-1.example", "1.2.example",          "A.B-C.example",
        "192.0.2.a", "a.1b",           "xn--bcher-kva.example"};

    for (size_t i = 0; i < ELEMENTS(good); i++)
        assert_true(fqdn_is_valid(good[i], strlen(good[i])));
}

static void other_texts_are_not(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     ".",    ".a",  "a.",  "a..b",
                                      "-a.b", "a-.b", "a_b", "a b", "\xc3\xbc.example",
                                      "*.a",  "a.b-", "a/b", "a:b", "@a"};

    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        if (fqdn_is_valid(bad[i], strlen(bad[i])))
            fail_msg("\"%s\" was taken for an FQDN", bad[i]);
    }
}

static void an_address_is_no_name(void **state)
{
    (void)state;
    static const char *const addresses[] = {"192.0.2.1", "256.0.0.1", "1", "1.2", "a.1"};

    for (size_t i = 0; i < ELEMENTS(addresses); i++) {
        if (fqdn_is_valid(addresses[i], strlen(addresses[i])))
            fail_msg("\"%s\" was taken for an FQDN", addresses[i]);
    }
}

static void a_zero_octet_is_no_part_of_a_name(void **state)
{
    (void)state;
    assert_false(fqdn_is_valid("a.b\0.example", 12));
}

static void octets_beyond_the_size_do_not_count(void **state)
{
    (void)state;
    assert_true(fqdn_is_valid("a.b!", 3));
    assert_false(fqdn_is_valid("a.b", 2));
}

static void labels_and_names_have_their_limits(void **state)
{
    (void)state;
    char longest[300];

    memset(longest, 'a', sizeof(longest));
    assert_true(fqdn_is_valid(longest, 63));
    assert_false(fqdn_is_valid(longest, 64));
    for (size_t i = 49; i < sizeof(longest); i += 50)
        longest[i] = '.';
    assert_true(fqdn_is_valid(longest, 253));
    assert_false(fqdn_is_valid(longest, 254));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_hosts_are_fqdns),
        cmocka_unit_test(other_texts_are_not),
        cmocka_unit_test(an_address_is_no_name),
        cmocka_unit_test(a_zero_octet_is_no_part_of_a_name),
        cmocka_unit_test(octets_beyond_the_size_do_not_count),
        cmocka_unit_test(labels_and_names_have_their_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
