/* OpenSSL's allocations, one of which fails. */
#include "openssl_memory.h"

#include <openssl/crypto.h>
#include <stdlib.h>

static struct {
    size_t left; /* until one fails; 0: none is to */
    bool failed;
} memory;

static bool is_to_fail(void)
{
    if (memory.left > 0 && --memory.left == 0)
        memory.failed = true;
    return memory.failed;
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
    memory.failed = false;
}

bool openssl_memory_end(void)
{
    const bool failed = memory.failed;

    openssl_memory_fail(0);
    return failed;
}
