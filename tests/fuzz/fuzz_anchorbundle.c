/* Can any approval file make its reader misbehave, and is what it reads written again as the same?
 */
#include "base/cleanup.h"
#include "base/reason.h"
#include "provisioning/approval.h"

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
    _cleanup_(anchor_approval_deinit) AnchorApproval approval = {0}, again = {0};
    _cleanup_(free_charp) char *first = NULL, *second = NULL;

    int r = anchor_approval_decode((Bytes){data, size}, "fuzz", &approval, &reason);
    check(r == 0 || (r < 0 && reason.text[0] != 0));
    if (r != 0)
        return 0;

    check(approval.record.version >= 1 && approval.record.version <= ANCHOR_VERSION_MAX);
    check(anchor_approval_encode(&approval, &first) == 0);
    check(anchor_approval_decode((Bytes){(const uint8_t *)first, strlen(first)}, "fuzz", &again,
                                 &reason) == 0);
    check(anchor_approval_encode(&again, &second) == 0);
    check(strcmp(first, second) == 0);
    return 0;
}
