/* Names the numbers of IKEv2 as the IANA registry spells them. */
#include "ikewire/registry.h"

#include "base/cleanup.h"

typedef struct Name {
    uint16_t number;
    const char *name;
} Name;

static const Name exchanges[] = {
    {IKE_SA_INIT, "IKE_SA_INIT"},
    {IKE_AUTH, "IKE_AUTH"},
    {IKE_CREATE_CHILD_SA, "CREATE_CHILD_SA"},
    {IKE_INFORMATIONAL, "INFORMATIONAL"},
};

static const Name notifies[] = {
    {IKE_NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, "UNSUPPORTED_CRITICAL_PAYLOAD"},
    {IKE_NOTIFY_INVALID_IKE_SPI, "INVALID_IKE_SPI"},
    {IKE_NOTIFY_INVALID_MAJOR_VERSION, "INVALID_MAJOR_VERSION"},
    {IKE_NOTIFY_INVALID_SYNTAX, "INVALID_SYNTAX"},
    {IKE_NOTIFY_INVALID_MESSAGE_ID, "INVALID_MESSAGE_ID"},
    {IKE_NOTIFY_INVALID_SPI, "INVALID_SPI"},
    {IKE_NOTIFY_NO_PROPOSAL_CHOSEN, "NO_PROPOSAL_CHOSEN"},
    {IKE_NOTIFY_INVALID_KE_PAYLOAD, "INVALID_KE_PAYLOAD"},
    {IKE_NOTIFY_AUTHENTICATION_FAILED, "AUTHENTICATION_FAILED"},
    {IKE_NOTIFY_SINGLE_PAIR_REQUIRED, "SINGLE_PAIR_REQUIRED"},
    {IKE_NOTIFY_NO_ADDITIONAL_SAS, "NO_ADDITIONAL_SAS"},
    {IKE_NOTIFY_INTERNAL_ADDRESS_FAILURE, "INTERNAL_ADDRESS_FAILURE"},
    {IKE_NOTIFY_FAILED_CP_REQUIRED, "FAILED_CP_REQUIRED"},
    {IKE_NOTIFY_TS_UNACCEPTABLE, "TS_UNACCEPTABLE"},
    {IKE_NOTIFY_INVALID_SELECTORS, "INVALID_SELECTORS"},
    {IKE_NOTIFY_TEMPORARY_FAILURE, "TEMPORARY_FAILURE"},
    {IKE_NOTIFY_UNACCEPTABLE_ADDRESSES, "UNACCEPTABLE_ADDRESSES"},
    {IKE_NOTIFY_UNEXPECTED_NAT_DETECTED, "UNEXPECTED_NAT_DETECTED"},
    {IKE_NOTIFY_CHILD_SA_NOT_FOUND, "CHILD_SA_NOT_FOUND"},
    {IKE_NOTIFY_INITIAL_CONTACT, "INITIAL_CONTACT"},
    {IKE_NOTIFY_SET_WINDOW_SIZE, "SET_WINDOW_SIZE"},
    {IKE_NOTIFY_ADDITIONAL_TS_POSSIBLE, "ADDITIONAL_TS_POSSIBLE"},
    {IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, "NAT_DETECTION_SOURCE_IP"},
    {IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, "NAT_DETECTION_DESTINATION_IP"},
    {IKE_NOTIFY_COOKIE, "COOKIE"},
    {IKE_NOTIFY_USE_TRANSPORT_MODE, "USE_TRANSPORT_MODE"},
    {IKE_NOTIFY_HTTP_CERT_LOOKUP_SUPPORTED, "HTTP_CERT_LOOKUP_SUPPORTED"},
    {IKE_NOTIFY_REKEY_SA, "REKEY_SA"},
    {IKE_NOTIFY_ESP_TFC_PADDING_NOT_SUPPORTED, "ESP_TFC_PADDING_NOT_SUPPORTED"},
    {IKE_NOTIFY_NON_FIRST_FRAGMENTS_ALSO, "NON_FIRST_FRAGMENTS_ALSO"},
    {IKE_NOTIFY_MOBIKE_SUPPORTED, "MOBIKE_SUPPORTED"},
    {IKE_NOTIFY_ADDITIONAL_IP4_ADDRESS, "ADDITIONAL_IP4_ADDRESS"},
    {IKE_NOTIFY_ADDITIONAL_IP6_ADDRESS, "ADDITIONAL_IP6_ADDRESS"},
    {IKE_NOTIFY_NO_ADDITIONAL_ADDRESSES, "NO_ADDITIONAL_ADDRESSES"},
    {IKE_NOTIFY_UPDATE_SA_ADDRESSES, "UPDATE_SA_ADDRESSES"},
    {IKE_NOTIFY_COOKIE2, "COOKIE2"},
    {IKE_NOTIFY_NO_NATS_ALLOWED, "NO_NATS_ALLOWED"},
    {IKE_NOTIFY_AUTH_LIFETIME, "AUTH_LIFETIME"},
    {IKE_NOTIFY_REDIRECT_SUPPORTED, "REDIRECT_SUPPORTED"},
    {IKE_NOTIFY_REDIRECT, "REDIRECT"},
    {IKE_NOTIFY_REDIRECTED_FROM, "REDIRECTED_FROM"},
    {IKE_NOTIFY_FRAGMENTATION_SUPPORTED, "IKEV2_FRAGMENTATION_SUPPORTED"},
    {IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS, "SIGNATURE_HASH_ALGORITHMS"},
};

_Static_assert(ELEMENTS(notifies) == IKE_NOTIFY_TYPES, "a chain has room for each of them");

/* Errors that nothing here asks for, and that a person is told of: those of 3GPP's gateways
 * (TS 24.302 8.1.2.2). */
static const Name told[] = {
    {8192, "PDN_CONNECTION_REJECTION"},
    {8193, "MAX_CONNECTION_REACHED"},
    {9000, "NON_3GPP_ACCESS_TO_EPC_NOT_ALLOWED"},
    {9001, "USER_UNKNOWN"},
    {9002, "NO_APN_SUBSCRIPTION"},
    {9003, "AUTHORIZATION_REJECTED"},
    {9006, "ILLEGAL_ME"},
    {10500, "NETWORK_FAILURE"},
    {11001, "RAT_TYPE_NOT_ALLOWED"},
    {11005, "IMEI_NOT_ACCEPTED"},
    {11011, "PLMN_NOT_ALLOWED"},
    {11055, "UNAUTHENTICATED_EMERGENCY_NOT_SUPPORTED"},
};

static const Name auth_methods[] = {
    {IKE_AUTH_RSA, "RSA Digital Signature"},
    {IKE_AUTH_SHARED_KEY_MIC, "Shared Key Message Integrity Code"},
    {3, "DSS Digital Signature"},
    {IKE_AUTH_ECDSA_SHA256_P256, "ECDSA with SHA-256 on the P-256 curve"},
    {IKE_AUTH_ECDSA_SHA384_P384, "ECDSA with SHA-384 on the P-384 curve"},
    {11, "ECDSA with SHA-512 on the P-521 curve"},
    {12, "Generic Secure Password Authentication Method"},
    {13, "NULL Authentication"},
    {IKE_AUTH_DIGITAL_SIGNATURE, "Digital Signature"},
};

static const Name id_types[] = {
    {IKE_ID_IPV4_ADDR, "ID_IPV4_ADDR"},     {IKE_ID_FQDN, "ID_FQDN"},
    {IKE_ID_RFC822_ADDR, "ID_RFC822_ADDR"}, {IKE_ID_IPV6_ADDR, "ID_IPV6_ADDR"},
    {IKE_ID_DER_ASN1_DN, "ID_DER_ASN1_DN"}, {IKE_ID_DER_ASN1_GN, "ID_DER_ASN1_GN"},
    {IKE_ID_KEY_ID, "ID_KEY_ID"},
};

static const Name *row_find(const Name *names, size_t count, uint16_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i].number == number)
            return &names[i];
    }
    return NULL;
}

static const char *name_find(const Name *names, size_t count, uint16_t number)
{
    const Name *row = row_find(names, count, number);

    return row ? row->name : "unknown";
}

const char *ike_exchange_name(uint8_t exchange_type)
{
    return name_find(exchanges, ELEMENTS(exchanges), exchange_type);
}

const char *ike_notify_name(uint16_t notify_type)
{
    const Name *row = row_find(notifies, ELEMENTS(notifies), notify_type);

    return row ? row->name : name_find(told, ELEMENTS(told), notify_type);
}

bool ike_notify_is_known(uint16_t notify_type)
{
    return row_find(notifies, ELEMENTS(notifies), notify_type) != NULL;
}

const char *ike_auth_method_name(uint8_t method)
{
    return name_find(auth_methods, ELEMENTS(auth_methods), method);
}

const char *ike_id_type_name(uint8_t id_type)
{
    return name_find(id_types, ELEMENTS(id_types), id_type);
}
