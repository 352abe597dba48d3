/* Can any key file make its reader misbehave, and is what it reads written again as the same key?
 */
#include "base/cleanup.h"
#include "base/reason.h"
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
    Reason reason = {0};
    _cleanup_(free_charp) char *first = NULL, *second = NULL;
    Tss2Key key, again;

    int r = tss2key_decode((Bytes){data, size}, &key, &reason);
    check(r == 0 || (r < 0 && reason.text[0] != 0));
    if (r != 0)
        return 0;

    check(tss2key_encode(&key, &first) == 0);
    check(tss2key_decode((Bytes){(const uint8_t *)first, strlen(first)}, &again, &reason) == 0);
    check(tss2key_encode(&again, &second) == 0);
    check(strcmp(first, second) == 0);
    return 0;
}
