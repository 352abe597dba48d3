/* Puts a verdict into words. */
#include "verify/verdict.h"

const char *const revocation_modes[] = {
    [REVOCATION_OFF] = "off",
    [REVOCATION_IF_AVAILABLE] = "if-available",
    [REVOCATION_REQUIRE] = "require",
    [REVOCATION_MODES] = NULL,
};

void peer_check_sentence(const PeerCheck *check, Reason *ret)
{
    reason_set(ret, 0, "%s%s%s%s is %s; expected: %s (%s, check %s). %s",
               check->subject[0] != '\0' ? "In the certificate of " : "", check->subject,
               check->subject[0] != '\0' ? ", " : "The SeGW's ", check->field, check->found,
               check->expected, check->clause, check->name, check->remedy);
}
