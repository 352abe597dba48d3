/* Which payloads do we know, which of them may repeat, and how is each one's body checked? */
#include "ikewire/kind.h"

#include "base/cleanup.h"
#include "ikewire/payload.h"
#include "ikewire/registry.h"

/* A body is well-formed if it decodes; what it decodes to is of no interest yet. */
#define DEFINE_VALIDATE(noun, Noun)                                                                \
    static int noun##_validate(Bytes body)                                                         \
    {                                                                                              \
        Noun decoded;                                                                              \
        return ike_##noun##_decode(body, &decoded);                                                \
    }                                                                                              \
    struct noun##_needs_semicolon

DEFINE_VALIDATE(sa, IkeSaPayload);
DEFINE_VALIDATE(ke, IkeKe);
DEFINE_VALIDATE(id, IkeId);
DEFINE_VALIDATE(auth, IkeAuth);
DEFINE_VALIDATE(nonce, Bytes);
DEFINE_VALIDATE(notify, IkeNotify);
DEFINE_VALIDATE(delete, IkeDelete);
DEFINE_VALIDATE(ts, IkeTs);
DEFINE_VALIDATE(cp, IkeCp);
DEFINE_VALIDATE(fragment, IkeFragment);

/* Names are the notation of RFC 7296 3.2, but for the three that it gives one letter. Of CERT and
 * CERTREQ any octets will do: one of an encoding that we don't know, or that does not decode, is
 * passed over by whoever reads them (RFC 4945 3.2.8, 3.3.10). */
static const IkePayloadKind kinds[] = {
    {IKE_PAYLOAD_SA, "SA", false, 1, sa_validate},
    {IKE_PAYLOAD_KE, "KE", false, 1, ke_validate},
    {IKE_PAYLOAD_IDI, "IDi", false, 1, id_validate},
    {IKE_PAYLOAD_IDR, "IDr", false, 1, id_validate},
    {IKE_PAYLOAD_CERT, "CERT", true, IKE_CERTS_MAX, NULL},
    {IKE_PAYLOAD_CERTREQ, "CERTREQ", true, IKE_CERTREQS_MAX, NULL},
    {IKE_PAYLOAD_AUTH, "AUTH", false, 1, auth_validate},
    {IKE_PAYLOAD_NONCE, "Nonce", false, 1, nonce_validate},
    {IKE_PAYLOAD_NOTIFY, "Notify", true, IKE_NOTIFIES_MAX, notify_validate},
    {IKE_PAYLOAD_DELETE, "Delete", true, IKE_DELETES_MAX, delete_validate},
    {IKE_PAYLOAD_VENDOR_ID, "Vendor ID", true, IKE_VENDOR_IDS_MAX, NULL},
    {IKE_PAYLOAD_TSI, "TSi", false, 1, ts_validate},
    {IKE_PAYLOAD_TSR, "TSr", false, 1, ts_validate},
    {IKE_PAYLOAD_SK, "SK", false, 1, NULL},
    {IKE_PAYLOAD_CP, "CP", false, 1, cp_validate},
    {IKE_PAYLOAD_EAP, "EAP", false, 1, NULL},
    {IKE_PAYLOAD_SKF, "SKF", false, 1, fragment_validate},
};

const IkePayloadKind *ike_payload_kind(uint8_t type)
{
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        if (kinds[i].type == type)
            return &kinds[i];
    }
    return NULL;
}

const char *ike_payload_name(uint8_t payload_type)
{
    const IkePayloadKind *kind = ike_payload_kind(payload_type);

    return kind ? kind->name : "unknown";
}
