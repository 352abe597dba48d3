/* Where key material lives in a process that has few secrets and no cryptography: each has locked
 * pages of its own between two that nobody may touch, and is in no core dump. */
#include "crypto/secret.h"
#include "crypto/secret_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

static size_t pages_size(size_t size)
{
    return (size + PAGE - 1) / PAGE * PAGE;
}

/* Whether a page can be locked shows here rather than when a key comes. */
int secrets_init(void)
{
    _cleanup_(secret_freep) Secret *secret = NULL;
    int r = secret_new(1, &secret);

    return r < 0 ? -EPERM : 0;
}

/* mlock2, since a sanitizer makes mlock do nothing. */
int secret_memory_take(size_t size, uint8_t **ret)
{
    const size_t whole = pages_size(size) + 2 * (size_t)PAGE;
    uint8_t *pages = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED)
        return -ENOMEM;
    if (mprotect(pages + PAGE, pages_size(size), PROT_READ | PROT_WRITE) < 0 ||
        mlock2(pages + PAGE, pages_size(size), 0) < 0 ||
        madvise(pages + PAGE, pages_size(size), MADV_DONTDUMP) < 0) {
        (void)munmap(pages, whole);
        return -ENOMEM;
    }
    *ret = pages + PAGE;
    return 0;
}

void secret_memory_release(uint8_t *data, size_t size)
{
    explicit_bzero(data, size);
    (void)munmap(data - PAGE, pages_size(size) + 2 * (size_t)PAGE);
}
