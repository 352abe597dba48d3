/* OpenSSL's allocations, one of which fails. */
#include "openssl_memory.h"

#include <openssl/crypto.h>
#include <stdlib.h>

static struct {
    size_t left; /* until one fails; 0: none is to */
    bool once;
    bool failed;
} memory;

static bool is_to_fail(void)
{
    const bool is_it = memory.left > 0 && --memory.left == 0;

    memory.failed = memory.failed || is_it;
    return is_it || (memory.failed && !memory.once);
}

static void *allocate(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return is_to_fail() ? NULL : malloc(size);
}

static void *reallocate(void *old, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return is_to_fail() ? NULL : realloc(old, size);
}

static void give_back(void *block, const char *file, int line)
{
    (void)file, (void)line;
    free(block);
}

bool openssl_memory_begin(void)
{
    return CRYPTO_set_mem_functions(allocate, reallocate, give_back) == 1;
}

void openssl_memory_fail(size_t nth)
{
    memory.left = nth;
    memory.once = false;
    memory.failed = false;
}

void openssl_memory_fail_once(size_t nth)
{
    openssl_memory_fail(nth);
    memory.once = true;
}

bool openssl_memory_end(void)
{
    const bool failed = memory.failed;

    openssl_memory_fail(0);
    return failed;
}
