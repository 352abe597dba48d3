/* Can any key file make its reader misbehave, and is what it reads written again as the same key?
 */
#include "base/cleanup.h"
#include "policy/tss2key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
    if (!right)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[TSS2KEY_ERROR_SIZE] = "";
    _cleanup_(free_charp) char *first = NULL, *second = NULL;
    Tss2Key key, again;

    int r = tss2key_decode((Bytes){data, size}, &key, error);
    check(r == 0 || (r < 0 && error[0] != 0));
    if (r != 0)
        return 0;

    check(tss2key_encode(&key, &first) == 0);
    check(tss2key_decode((Bytes){(const uint8_t *)first, strlen(first)}, &again, error) == 0);
    check(tss2key_encode(&again, &second) == 0);
    check(strcmp(first, second) == 0);
    return 0;
}
