/* Can a profile of a manufacturing line be half understood? */
#include "base/cleanup.h"
#include "base/reason.h"
#include "provisioning/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
    if (!right)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[32];
    if (fd < 0) {
        fd = memfd_create("profile", MFD_CLOEXEC);
        check(fd >= 0);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }

    _cleanup_(provision_profile_deinit) ProvisionProfile profile = {0};
    Reason reason = {0};

    check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    int r = provision_profile_read(path, &profile, &reason);
    check(r == 0 || r == -EINVAL);
    check((r == 0) == (reason.text[0] == '\0'));
    if (r == 0) {
        check(profile.key_policy < KEY_POLICY_KINDS && profile.owner_auth <= OWNER_AUTH_DISCARD);
        check(profile.key_policy != KEY_POLICY_SIGNED || profile.policy_key);
        check(profile.key_policy == KEY_POLICY_NONE || profile.pcr_signature);
    }
    return 0;
}
