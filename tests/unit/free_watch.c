/* What is in a block that is freed? */
#include "free_watch.h"

#include <malloc.h>
#include <string.h>

static struct {
    Bytes secret;
    bool seen;
    unsigned wiped;
} watch;

void __real_free(void *block);
void __wrap_free(void *block);

void __wrap_free(void *block)
{
    if (block && watch.secret.size > 0 &&
        memmem(block, malloc_usable_size(block), watch.secret.data, watch.secret.size))
        watch.seen = true;
    __real_free(block);
}

void __real_OPENSSL_cleanse(void *at, size_t size);
void __wrap_OPENSSL_cleanse(void *at, size_t size);

void __wrap_OPENSSL_cleanse(void *at, size_t size)
{
    if (watch.secret.size > 0 && memmem(at, size, watch.secret.data, watch.secret.size))
        watch.wiped++;
    __real_OPENSSL_cleanse(at, size);
}

unsigned free_watch_wiped(void)
{
    return watch.wiped;
}

void free_watch_begin(Bytes secret)
{
    watch.wiped = 0;
    watch.secret = secret;
    watch.seen = false;
}

bool free_watch_end(void)
{
    watch.secret = (Bytes){0};
    return watch.seen;
}
