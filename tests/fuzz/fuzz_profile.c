/* Can a profile file make its reader misbehave, or weaken what no profile may weaken? */
#include "verify/profile.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rule_check(const ProfileRule *rule)
{
    if (rule->hashes == 0 || rule->keys == 0 || rule->rsa_bits_min < 2048 ||
        rule->rsa_bits_max < rule->rsa_bits_min || rule->rsa_bits_max > 8192)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Reason reason = {0};
    PeerProfile profile;
    const int r = peer_profile_parse("x", (Bytes){data, size}, &profile, &reason);

    if (r == -ENOMEM)
        return 0;
    if (r < 0) {
        if (r != -EINVAL || reason.text[0] == '\0')
            abort();
        return 0;
    }
    rule_check(&profile.end_entity);
    rule_check(&profile.issuers);
    if (profile.serial_octets_max > 20 || profile.ocsp_hours_max == 0)
        abort();
    return 0;
}
