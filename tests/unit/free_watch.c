/* What is in a block that is freed? */
#include "free_watch.h"

#include <malloc.h>
#include <string.h>

static struct {
    Bytes secret;
    bool seen;
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

void free_watch_begin(Bytes secret)
{
    watch.secret = secret;
    watch.seen = false;
}

bool free_watch_end(void)
{
    watch.secret = (Bytes){0};
    return watch.seen;
}
