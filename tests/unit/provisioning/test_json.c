/* Is a text taken for a JSON object only if all of it is one? */
#include "provisioning/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE_MAX_HERE = 40, DEPTH = 2 };

static struct json_object *parse(const char *text)
{
    return json_text_parse((Bytes){(const uint8_t *)text, strlen(text)}, SIZE_MAX_HERE, DEPTH);
}

static void an_object_with_white_space_around_it_is_read(void **state)
{
    _cleanup_(json_freep) struct json_object *root = parse(" {\"a\": \"b\", \"c\": 1}\r\n\t ");

    (void)state;
    assert_non_null(root);
    assert_string_equal(json_member_string(root, "a"), "b");
    assert_null(json_member_string(root, "c"));
    assert_null(json_member_string(root, "d"));
}

static void what_is_no_object_or_more_than_one_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "[]",
        "\"a\"",
        "1",
        "null",
        "{",
        "{}x",
        "{}{}",

        "{\"a\":1,}",
        "{}\v{}",
        "{\"a\":{\"b\":{}}}",
        "{\"a\": \"as long as it takes to be too long\"}",
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        if (parse(bad[i]))
            fail_msg("taken: %s", bad[i]);
    }
    assert_null(json_text_parse((Bytes){(const uint8_t *)"{}\0", 3}, SIZE_MAX_HERE, DEPTH));
    assert_null(json_text_parse((Bytes){0}, SIZE_MAX_HERE, DEPTH));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_with_white_space_around_it_is_read),
        cmocka_unit_test(what_is_no_object_or_more_than_one_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
