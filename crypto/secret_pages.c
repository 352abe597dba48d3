/* The type for key material without OpenSSL, for a process that has few secrets and no
 * cryptography: each has locked pages of its own between two that nobody may touch, and is in no
 * core dump. */
#include "crypto/secret.h"

#include <errno.h>
#include <stdlib.h>
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

static void pages_release(uint8_t *data, size_t size)
{
    (void)munmap(data - PAGE, pages_size(size) + 2 * (size_t)PAGE);
}

/* mlock2, since a sanitizer makes mlock do nothing. */
static int pages_take(size_t size, uint8_t **ret)
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

int secret_new(size_t size, Secret **ret)
{
    Secret *secret;
    int r;

    if (size == 0)
        return -EINVAL;
    secret = calloc(1, sizeof(*secret));
    if (!secret)
        return -ENOMEM;
    r = pages_take(size, &secret->data);
    if (r < 0) {
        free(secret);
        return r;
    }
    secret->size = size;
    *ret = secret;
    return 0;
}

int secret_new_slice(const Secret *from, size_t offset, size_t size, Secret **ret)
{
    int r;

    if (offset > from->size || size > from->size - offset)
        return -ERANGE;
    r = secret_new(size, ret);
    if (r < 0)
        return r;
    memcpy((*ret)->data, from->data + offset, size);
    return 0;
}

void secret_free(Secret *secret)
{
    if (!secret)
        return;
    explicit_bzero(secret->data, secret->size);
    pages_release(secret->data, secret->size);
    free(secret);
}

Bytes secret_bytes(const Secret *secret)
{
    return (Bytes){secret->data, secret->size};
}
