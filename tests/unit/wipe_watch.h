/* What is wiped, told to the test that is linked with --wrap=explicit_bzero and
 * --wrap=__explicit_bzero_chk. For one file of a program: it defines both. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Is the test's: `size` octets are about to be wiped. */
static void note_wiped(const void *at, size_t size);

void __real_explicit_bzero(void *at, size_t size);
void __wrap_explicit_bzero(void *at, size_t size);
void __wrap___explicit_bzero_chk(void *at, size_t size, size_t room);

void __wrap_explicit_bzero(void *at, size_t size)
{
    note_wiped(at, size);
    __real_explicit_bzero(at, size);
}

void __wrap___explicit_bzero_chk(void *at, size_t size, size_t room)
{
    assert_true(size <= room);
    __wrap_explicit_bzero(at, size);
}
