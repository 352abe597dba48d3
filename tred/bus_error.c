/* The name of each refusal on the bus, and what it tells a person. */
#include "tred/bus_error.h"

#include "base/log.h"
#include "tred/channel.h"

#include <errno.h>
#include <string.h>

#define ERROR_PREFIX "org.tred.TrE1.Error."

typedef struct ErrorText {
    const char *name;
    const char *sentence; /* for when the refusal has nothing more exact to say */
} ErrorText;

static const ErrorText texts[BUS_ERRORS] = {
    [EXCHANGE_E_WRONG_STATE] =
        {ERROR_PREFIX "WrongState",
         "The exchange does not take this call in its state. Follow the order of the call flow"},
    [EXCHANGE_E_GROUP_NOT_SUPPORTED] =
        {ERROR_PREFIX "GroupNotSupported",
         "The group is not in the profile. Use one that tred(8) lists"},
    [EXCHANGE_E_MALFORMED] =
        {ERROR_PREFIX "Malformed",
         "What was handed in does not parse. Hand in what came from the network, whole"},
    [EXCHANGE_E_FOREIGN_REQUEST] =
        {ERROR_PREFIX "ForeignRequest",
         "The request is not this exchange's own. Hand in the last one sent, as it was sent"},
    [EXCHANGE_E_FOREIGN_RESPONSE] =
        {ERROR_PREFIX "ForeignResponse",
         "The response does not answer this exchange. Wait for another"},
    [EXCHANGE_E_SUITE_NOT_ALLOWED] =
        {ERROR_PREFIX "SuiteNotAllowed",
         "The suite is not in the profile. Offer and configure suites that tred(8) lists"},
    [EXCHANGE_E_BAD_KEY_EXCHANGE] =
        {ERROR_PREFIX "BadKeyExchange",
         "The peer's KE does not fit the group. Wait for another response"},
    [EXCHANGE_E_METHOD_NOT_ALLOWED] =
        {ERROR_PREFIX "MethodNotAllowed",
         "The authentication method is not in the profile. Use signatures with SHA-256 or better"},
    [EXCHANGE_E_TPM_FAILED] = {ERROR_PREFIX "TpmFailed",
                               "The TPM did not do what it was asked for. See tred's log"},
    [EXCHANGE_E_INTEGRITY_FAILED] =
        {ERROR_PREFIX "IntegrityFailed",
         "The TPM withholds the device key. Read the Manager's StateReason"},
    [EXCHANGE_E_NOT_AUTHENTIC] = {ERROR_PREFIX "NotAuthentic",
                                  "The message's integrity check failed. Ignore it"},
    [EXCHANGE_E_REPLAYED] = {ERROR_PREFIX "Replayed",
                             "The message was seen before or is not due yet. Ignore it"},
    [EXCHANGE_E_UNEXPECTED] = {ERROR_PREFIX "Unexpected",
                               "The message has no place in this state. Ignore it"},
    [EXCHANGE_E_REQUEST_PENDING] =
        {ERROR_PREFIX "RequestPending",
         "The last request has not been answered yet. Wait for its response"},
    [EXCHANGE_E_TOO_LARGE] = {ERROR_PREFIX "TooLarge", "The message is too large. Send less"},
    [EXCHANGE_E_PEER_NOT_TRUSTED] =
        {ERROR_PREFIX "PeerNotTrusted",
         "The SeGW's certificate leads to none of the anchors. Check both"},
    [EXCHANGE_E_PEER_CERTIFICATE_EXPIRED] =
        {ERROR_PREFIX "PeerCertificateExpired",
         "A certificate of the SeGW's has expired. Have it renewed, or check the clock"},
    [EXCHANGE_E_PEER_CERTIFICATE_NOT_YET_VALID] =
        {ERROR_PREFIX "PeerCertificateNotYetValid",
         "A certificate of the SeGW's is not valid yet. Check the clock"},
    [EXCHANGE_E_PEER_CERTIFICATE_UNFIT] =
        {ERROR_PREFIX "PeerCertificateUnfit",
         "A certificate of the SeGW's does not fit the profile. Have another issued"},
    [EXCHANGE_E_PEER_IDENTITY_MISMATCH] = {ERROR_PREFIX "PeerIdentityMismatch",
                                           "The SeGW is not the one that is configured. Check "
                                           "[segw] name and the SeGW's certificate"},
    [EXCHANGE_E_PEER_REVOKED] = {ERROR_PREFIX "PeerRevoked",
                                 "A certificate of the SeGW's is revoked. Give it a new one"},
    [EXCHANGE_E_PEER_REVOCATION_UNKNOWN] =
        {ERROR_PREFIX "PeerRevocationUnknown",
         "Nothing says whether the SeGW's certificate is revoked. Provide its CA's CRL"},
    [EXCHANGE_E_PEER_AUTH_FAILED] =
        {ERROR_PREFIX "PeerAuthFailed",
         "The SeGW's AUTH is wrong. Whoever answered does not have the certificate's key"},
    [EXCHANGE_E_VERIFIER_FAILED] =
        {ERROR_PREFIX "VerifierFailed",
         "The SeGW is refused, as nobody could judge it. See tred's log"},
    [EXCHANGE_E_CHILD_NOT_GRANTED] = {ERROR_PREFIX "ChildNotGranted",
                                      "IKE_AUTH did not negotiate this Child SA. See the SeGW's "
                                      "log"},
    [EXCHANGE_E_ADDRESS_NOT_ALLOWED] =
        {ERROR_PREFIX "AddressNotAllowed",
         "The SeGW assigned an address that no tunnel of this device may have. Check its pool"},
    [EXCHANGE_E_SELECTORS_NOT_ALLOWED] =
        {ERROR_PREFIX "SelectorsNotAllowed",
         "The traffic selectors are outside the policy. Narrow them"},
    [EXCHANGE_E_DATA_PLANE_FAILED] = {ERROR_PREFIX "DataPlaneFailed",
                                      "The data plane can't carry this Child SA. See tred's log"},
    [EXCHANGE_E_NO_SUCH_CHILD] =
        {ERROR_PREFIX "NoSuchChild",
         "This exchange has no such inbound SPI. Use one from AllocateSpi"},
    [EXCHANGE_E_TOO_MANY_CHILDREN] =
        {ERROR_PREFIX "TooManyChildren",
         "The exchange holds too many SPIs. Give one back with RemoveChild"},
    [EXCHANGE_E_OUT_OF_RESOURCES] =
        {ERROR_PREFIX "OutOfResources",
         "There is no descriptor or memory left for this now. Make the call again later"},
    [EXCHANGE_E_KEYS_USED] = {ERROR_PREFIX "KeysUsed",
                              "The Child SA's keys were used already. Negotiate another"},
    [EXCHANGE_E_NO_SUCH_IKE_SA] =
        {ERROR_PREFIX "NoSuchIkeSa",
         "No IKE SA was negotiated under this SPI. Use the one from PrepareCreateChildSa"},
    [EXCHANGE_E_MOBIKE_NOT_SUPPORTED] =
        {ERROR_PREFIX "MobikeNotSupported",
         "The SeGW did not say that it supports MOBIKE. Authenticate anew from the new address"},
    [BUS_E_NOT_OWNER] =
        {ERROR_PREFIX "NotOwner",
         "Another connection began this exchange, and it alone may use it. Begin one of your own"},
    [BUS_E_TOO_MANY_EXCHANGES] = {ERROR_PREFIX "TooManyExchanges",
                                  "Too many exchanges are open. Close one first"},
    [BUS_E_BUSY] = {ERROR_PREFIX "Busy",
                    "This user's calls take more than their share of tred's time, or too many of "
                    "them wait. Make this one again later"},
    [BUS_E_UNPROVISIONED] = {ERROR_PREFIX "Unprovisioned",
                             "This device is not provisioned. Read the Manager's StateReason"},
    [BUS_E_ANCHORS_REFUSED] =
        {ERROR_PREFIX "AnchorsRefused",
         "The operator of this device did not approve of these anchors. Get the bundle and its "
         "approval again"},
    [BUS_E_ANCHORS_OUTDATED] = {ERROR_PREFIX "AnchorsOutdated",
                                "The TPM holds newer anchors. Get the operator's newest bundle"},
    [BUS_E_NO_SUCH_SEGW] =
        {ERROR_PREFIX "NoSuchSegw",
         "tred.conf has no such SeGW. Use a NAME of its [segw NAME], or add one"},
    [BUS_E_TPM_UNAVAILABLE] = {ERROR_PREFIX "TpmUnavailable",
                               "The TPM can't be used. Read the Manager's StateReason"},
};

const char *bus_error_name(int error)
{
    return error > 0 && error < BUS_ERRORS ? texts[error].name : NULL;
}

int bus_error_set(sd_bus_error *ret, int error, const char *reason)
{
    if (error < 0)
        return sd_bus_error_set_errno(ret, error);
    if (!bus_error_name(error))
        return sd_bus_error_set_errno(ret, -EIO);
    return sd_bus_error_set(ret, texts[error].name,
                            reason && reason[0] != '\0' ? reason : texts[error].sentence);
}

int bus_error_of_identity(IdentityState state)
{
    switch (state) {
    case IDENTITY_UNPROVISIONED:
        return BUS_E_UNPROVISIONED;
    case IDENTITY_INTEGRITY_FAILED:
        return EXCHANGE_E_INTEGRITY_FAILED;
    default:
        return BUS_E_TPM_UNAVAILABLE;
    }
}

void bus_answer_error(sd_bus_message *call, int r, const sd_bus_error *error)
{
    r = sd_bus_error_is_set(error) ? sd_bus_reply_method_error(call, error)
                                   : sd_bus_reply_method_errno(call, r, NULL);
    if (r < 0)
        log_debug("%s could not be answered: %s", call_sender(call), strerror(-r));
}
