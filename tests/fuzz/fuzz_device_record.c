/* Can a file of records make its reader misbehave, or get anything but names into a SeGW's
 * configuration? */
#include "base/cleanup.h"
#include "base/reason.h"
#include "provisioning/devicelist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
    if (!right)
        abort();
}

static unsigned lines_count(const char *text)
{
    unsigned count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(device_list_deinit) DeviceList list = {0};
    _cleanup_(free_charp) char *text = NULL;
    Reason reason = {0};
    DeviceRecord record;

    int r = device_record_decode((Bytes){data, size}, &record, &reason);
    check(r == 0 || r == -EINVAL);
    check((r == 0) == (reason.text[0] == '\0'));
    if (r < 0)
        return 0;
    check(record.n_commands <= TPM_METER_COMMANDS);
    check(device_list_take(&list, &record) == 0);
    check(device_list_print(&list, DEVICE_LIST_SWANCTL, &text) == 0);
    check(lines_count(text) == (record.good ? 10U : 5U));
    return 0;
}
