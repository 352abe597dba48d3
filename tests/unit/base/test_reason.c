/* The reason of a failure: what it says, and what stays of one that is too long. */
#include "base/reason.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MARK_SIZE = 3, TEXT_MAX = REASON_SIZE - 1 };

static void a_reason_says_what_was_formatted_and_passes_the_result_on(void **state)
{
    (void)state;
    Reason reason = {"what stood there before, which was longer"};

    assert_int_equal(reason_set(&reason, -EINVAL, "%s, line %d", "a.conf", 7), -EINVAL);
    assert_string_equal(reason.text, "a.conf, line 7");
}

static void nobody_needs_to_want_the_reason(void **state)
{
    (void)state;
    assert_int_equal(reason_set(NULL, -EIO, "%s", "unheard"), -EIO);
}

static void a_reason_may_be_put_into_itself(void **state)
{
    (void)state;
    Reason reason = {"it is empty"};

    reason_set(&reason, 0, "%s: %s", "a.conf", reason.text);
    assert_string_equal(reason.text, "a.conf: it is empty");
}

static void a_text_that_just_fits_is_whole(void **state)
{
    (void)state;
    char text[TEXT_MAX + 1];
    Reason reason;

    memset(text, 'x', TEXT_MAX);
    text[TEXT_MAX] = '\0';
    reason_set(&reason, 0, "%s", text);
    assert_string_equal(reason.text, text);
}

static void a_longer_text_is_cut_and_ends_in_the_mark(void **state)
{
    (void)state;
    struct {
        Reason reason;
        char guard;
    } place = {.guard = '!'};
    char text[2 * REASON_SIZE];

    memset(text, 'x', sizeof(text) - 1);
    for (size_t size = TEXT_MAX + 1; size < sizeof(text); size += REASON_SIZE / 4) {
        text[size] = '\0';
        reason_set(&place.reason, 0, "%s", text);
        text[size] = 'x';
        assert_int_equal(strnlen(place.reason.text, REASON_SIZE), TEXT_MAX);
        assert_memory_equal(place.reason.text, text, TEXT_MAX - MARK_SIZE);
        assert_string_equal(place.reason.text + TEXT_MAX - MARK_SIZE, "...");
        assert_int_equal(place.guard, '!');
    }
}

/* RFC 3629: é, € and 😀 have two, three and four octets. */
static void no_character_is_cut_in_two(void **state)
{
    (void)state;
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

    for (size_t i = 0; i < ELEMENTS(characters); i++) {
        const size_t octets = strlen(characters[i]);
        for (size_t before = 0; before < octets; before++) {
            char text[2 * REASON_SIZE] = "";
            Reason reason;

            memset(text, 'x', before);
            for (size_t n = before; n < REASON_SIZE; n += octets)
                memcpy(text + n, characters[i], octets);
            reason_set(&reason, 0, "%s", text);
            size_t size = strnlen(reason.text, REASON_SIZE);
            assert_in_range(size, TEXT_MAX - (octets - 1), TEXT_MAX);
            assert_string_equal(reason.text + size - MARK_SIZE, "...");
            assert_int_equal((size - MARK_SIZE - before) % octets, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reason_says_what_was_formatted_and_passes_the_result_on),
        cmocka_unit_test(nobody_needs_to_want_the_reason),
        cmocka_unit_test(a_reason_may_be_put_into_itself),
        cmocka_unit_test(a_text_that_just_fits_is_whole),
        cmocka_unit_test(a_longer_text_is_cut_and_ends_in_the_mark),
        cmocka_unit_test(no_character_is_cut_in_two),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
