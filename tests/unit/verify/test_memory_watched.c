/* Is it known that OpenSSL ran out of memory, and never said where it did not? In a process in
 * which OpenSSL has not allocated before. The linker puts an allocator that fails on demand before
 * the real one (ld --wrap). */
#include "crypto/memory.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static bool fails;

void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails ? NULL : __real_realloc(old, size);
}

static void watching_begins_once_and_goes_on(void **state)
{
    (void)state;
    assert_false(memory_is_watched());
    assert_int_equal(memory_watch(), 0);
    assert_true(memory_is_watched());
    OPENSSL_free(OPENSSL_malloc(1));
    assert_int_equal(memory_watch(), 0);
    assert_true(memory_is_watched());
}

static void what_can_not_be_had_is_remembered_until_it_is_watched_anew(void **state)
{
    void *octets = NULL;

    (void)state;
    /* Where OpenSSL keeps its errors, as whoever has read anything has it: OpenSSL 3.5 can't do
     * without. */
    ERR_clear_error();
    memory_watch_begin();
    octets = OPENSSL_malloc(16);
    assert_non_null(octets);
    assert_false(memory_ran_out());
    fails = true;
    assert_null(OPENSSL_malloc(16));
    fails = false;
    assert_true(memory_ran_out());
    OPENSSL_free(OPENSSL_malloc(16));
    assert_true(memory_ran_out());
    memory_watch_begin();
    assert_false(memory_ran_out());
    fails = true;
    assert_null(OPENSSL_realloc(octets, 32));
    assert_true(memory_ran_out());
    /* Where nothing is asked for, nothing is lacking. */
    memory_watch_begin();
    assert_null(OPENSSL_realloc(octets, 0));
    fails = false;
    assert_false(memory_ran_out());
    OPENSSL_free(octets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watching_begins_once_and_goes_on),
        cmocka_unit_test(what_can_not_be_had_is_remembered_until_it_is_watched_anew),
    };

    return cmocka_run_group_tests_name("memory watched", tests, NULL, NULL);
}
