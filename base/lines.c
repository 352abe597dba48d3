/* Cuts texts from outside into lines and words. */
#include "base/lines.h"

#include <errno.h>
#include <string.h>

int line_next(Bytes *rest, char *ret, size_t size)
{
    const uint8_t *end;
    size_t length;

    if (rest->size == 0)
        return 0;
    end = memchr(rest->data, '\n', rest->size);
    if (!end)
        return -EBADMSG;
    length = (size_t)(end - rest->data);
    if (length >= size)
        return -EBADMSG;
    for (size_t i = 0; i < length; i++) {
        if (rest->data[i] < ' ' || rest->data[i] > '~')
            return -EBADMSG;
    }
    memcpy(ret, rest->data, length);
    ret[length] = '\0';
    *rest = bytes_slice(*rest, length + 1, rest->size);
    return 1;
}

char *word_next(char **rest)
{
    return strsep(rest, " ");
}
