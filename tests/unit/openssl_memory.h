/* OpenSSL without memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Before OpenSSL has allocated anything. True if it has taken up the functions. */
bool openssl_memory_begin(void);

/* Has the nth allocation from now on fail, and all that follow it; 0: none. */
void openssl_memory_fail(size_t nth);

/* Has the nth fail alone: what goes on after it succeeds, and is found out by what comes of it. */
void openssl_memory_fail_once(size_t nth);

/* Lets all succeed again. True if one has failed. */
bool openssl_memory_end(void);
