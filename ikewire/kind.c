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
DEFINE_VALIDATE(cert, IkeCert);
DEFINE_VALIDATE(certreq, IkeCert);
DEFINE_VALIDATE(auth, IkeAuth);
DEFINE_VALIDATE(nonce, Bytes);
DEFINE_VALIDATE(notify, IkeNotify);
DEFINE_VALIDATE(delete, IkeDelete);
DEFINE_VALIDATE(ts, IkeTs);
DEFINE_VALIDATE(cp, IkeCp);
DEFINE_VALIDATE(fragment, IkeFragment);

/* Names are the notation of RFC 7296 3.2, but for the three that it gives one letter. */
static const IkePayloadKind kinds[] = {
    {IKE_PAYLOAD_SA, "SA", false, sa_validate},
    {IKE_PAYLOAD_KE, "KE", false, ke_validate},
    {IKE_PAYLOAD_IDI, "IDi", false, id_validate},
    {IKE_PAYLOAD_IDR, "IDr", false, id_validate},
    {IKE_PAYLOAD_CERT, "CERT", true, cert_validate},
    {IKE_PAYLOAD_CERTREQ, "CERTREQ", true, certreq_validate},
    {IKE_PAYLOAD_AUTH, "AUTH", false, auth_validate},
    {IKE_PAYLOAD_NONCE, "Nonce", false, nonce_validate},
    {IKE_PAYLOAD_NOTIFY, "Notify", true, notify_validate},
    {IKE_PAYLOAD_DELETE, "Delete", true, delete_validate},
    {IKE_PAYLOAD_VENDOR_ID, "Vendor ID", true, NULL},
    {IKE_PAYLOAD_TSI, "TSi", false, ts_validate},
    {IKE_PAYLOAD_TSR, "TSr", false, ts_validate},
    {IKE_PAYLOAD_SK, "SK", false, NULL},
    {IKE_PAYLOAD_CP, "CP", false, cp_validate},
    {IKE_PAYLOAD_EAP, "EAP", false, NULL},
    {IKE_PAYLOAD_SKF, "SKF", false, fragment_validate},
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
