/* The SeGW turned us down: what should be looked at? */
#include "ikeclient/advice.h"

#include "base/cleanup.h"
#include "ikewire/registry.h"

#include <stddef.h>

static const struct {
    uint16_t type;
    const char *advice;
} advices[] = {
    {IKE_NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, "it lacks a part of IKEv2 that we use"},
    {IKE_NOTIFY_INVALID_IKE_SPI, "it does not know this IKE SA: it may have been restarted"},
    {IKE_NOTIFY_INVALID_MAJOR_VERSION, "it does not speak IKEv2: check [segw] address"},
    {IKE_NOTIFY_INVALID_SYNTAX, "it could not read our message: its log says which part"},
    {IKE_NOTIFY_NO_PROPOSAL_CHOSEN,
     "it takes none of our algorithms: compare [ike] and [child] proposals with its own"},
    {IKE_NOTIFY_INVALID_KE_PAYLOAD,
     "it wants another key exchange group: compare the groups in [ike] proposals with its own"},
    {IKE_NOTIFY_AUTHENTICATION_FAILED,
     "it does not accept our certificate or AUTH: check that it knows the vendor's root and our "
     "name, and that the certificate is valid"},
    {IKE_NOTIFY_SINGLE_PAIR_REQUIRED, "it wants one address pair: narrow [child] remote-ts"},
    {IKE_NOTIFY_NO_ADDITIONAL_SAS, "it takes no further Child SA"},
    {IKE_NOTIFY_INTERNAL_ADDRESS_FAILURE,
     "it has no address to assign: check its pool and [child] request-address"},
    {IKE_NOTIFY_FAILED_CP_REQUIRED, "it wants to assign an address: set [child] request-address"},
    {IKE_NOTIFY_TS_UNACCEPTABLE,
     "it serves none of the selectors we asked for: check [child] remote-ts and request-address"},
    {IKE_NOTIFY_TEMPORARY_FAILURE, "it is busy: try again later"},
};

const char *advice_for(uint16_t notify_type)
{
    for (size_t i = 0; i < ELEMENTS(advices); i++) {
        if (advices[i].type == notify_type)
            return advices[i].advice;
    }
    return "its log says why";
}
