/* Can a list of devices make the line's reader misbehave, or name a folder outside of its own? */
#include "base/cleanup.h"
#include "base/fqdn.h"
#include "base/reason.h"
#include "provisioning/lineinput.h"
#include "provisioning/profile.h"

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
    DeviceLine device = {0};

    int r = device_line_parse((Bytes){data, size}, &device, &reason);
    check(r == 0 || r == 1 || r == -EINVAL);
    check((r == -EINVAL) == (reason.text[0] != '\0'));
    if (r == 1) {
        check(serial_is_valid(device.serial) && !strchr(device.serial, '/'));
        check(fqdn_is_valid(device.fqdn, strlen(device.fqdn)));
        check(device.tcti[0] != '\0');
    }
    return 0;
}
