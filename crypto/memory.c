/* Allocates for OpenSSL, and remembers that it failed. */
#include "crypto/memory.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>

/* OpenSSL's hooks take no context: here a process has one state. */
static struct {
    bool watched, ran_out;
} memory;

static void *watch_result(void *result, size_t size)
{
    if (!result && size > 0)
        memory.ran_out = true;
    return result;
}

static void *watched_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return watch_result(malloc(size), size);
}

static void *watched_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return watch_result(realloc(old, size), size);
}

static void watched_free(void *old, const char *file, int line)
{
    (void)file, (void)line;
    free(old);
}

int memory_watch(void)
{
    if (memory.watched)
        return 0;
    if (CRYPTO_set_mem_functions(watched_malloc, watched_realloc, watched_free) != 1)
        return -EBUSY;
    memory.watched = true;
    return 0;
}

bool memory_is_watched(void)
{
    return memory.watched;
}

void memory_watch_begin(void)
{
    memory.ran_out = false;
}

bool memory_ran_out(void)
{
    return memory.ran_out;
}
