/* The type for key material, whatever memory it stands in. */
#include "crypto/secret.h"

#include "crypto/secret_memory.h"

#include <errno.h>
#include <string.h>

int secret_new(size_t size, Secret **ret)
{
    if (size == 0)
        return -EINVAL;
    Secret *secret = calloc(1, sizeof(*secret));
    if (!secret)
        return -ENOMEM;
    int r = secret_memory_take(size, &secret->data);
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
    secret_memory_release(secret->data, secret->size);
    free(secret);
}

Bytes secret_bytes(const Secret *secret)
{
    return (Bytes){secret->data, secret->size};
}
