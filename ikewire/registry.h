/* Numbers of the IANA registry "Internet Key Exchange Version 2 (IKEv2) Parameters", and their
 * names; those of algorithms are in algorithm.h. */
#pragma once

#include "ikewire/algorithm.h"

#include <stdbool.h>
#include <stdint.h>

enum { /* RFC 7296 3.1: Exchange Type */
       IKE_SA_INIT = 34,
       IKE_AUTH = 35,
       IKE_CREATE_CHILD_SA = 36,
       IKE_INFORMATIONAL = 37,
};

enum { /* RFC 7296 3.1: Flags */
       IKE_FLAG_INITIATOR = 0x08,
       IKE_FLAG_VERSION = 0x10,
       IKE_FLAG_RESPONSE = 0x20,
};

enum { /* RFC 7296 3.2: Next Payload */
       IKE_PAYLOAD_NONE = 0,
       IKE_PAYLOAD_SA = 33,
       IKE_PAYLOAD_KE = 34,
       IKE_PAYLOAD_IDI = 35,
       IKE_PAYLOAD_IDR = 36,
       IKE_PAYLOAD_CERT = 37,
       IKE_PAYLOAD_CERTREQ = 38,
       IKE_PAYLOAD_AUTH = 39,
       IKE_PAYLOAD_NONCE = 40,
       IKE_PAYLOAD_NOTIFY = 41,
       IKE_PAYLOAD_DELETE = 42,
       IKE_PAYLOAD_VENDOR_ID = 43,
       IKE_PAYLOAD_TSI = 44,
       IKE_PAYLOAD_TSR = 45,
       IKE_PAYLOAD_SK = 46,
       IKE_PAYLOAD_CP = 47,
       IKE_PAYLOAD_EAP = 48,
       IKE_PAYLOAD_SKF = 53, /* RFC 7383 */
};

enum { /* RFC 7296 3.3.1: Protocol ID */
       IKE_PROTOCOL_NONE = 0,
       IKE_PROTOCOL_IKE = 1,
       IKE_PROTOCOL_AH = 2,
       IKE_PROTOCOL_ESP = 3,
};

enum { IKE_ATTRIBUTE_KEY_LENGTH = 14 }; /* RFC 7296 3.3.5 */

enum { /* RFC 7296 3.5: ID Type */
       IKE_ID_IPV4_ADDR = 1,
       IKE_ID_FQDN = 2,
       IKE_ID_RFC822_ADDR = 3,
       IKE_ID_IPV6_ADDR = 5,
       IKE_ID_DER_ASN1_DN = 9,
       IKE_ID_DER_ASN1_GN = 10,
       IKE_ID_KEY_ID = 11,
};

enum { /* RFC 7296 3.6, RFC 4806: Cert Encoding */
       IKE_CERT_X509_SIGNATURE = 4,
       IKE_CERT_HASH_AND_URL = 12,        /* of an X.509 certificate */
       IKE_CERT_HASH_AND_URL_BUNDLE = 13, /* of several */
       IKE_CERT_OCSP_CONTENT = 14,
};

enum { /* RFC 7296 3.8: Auth Method */
       IKE_AUTH_RSA = 1,
       IKE_AUTH_SHARED_KEY_MIC = 2,
       IKE_AUTH_ECDSA_SHA256_P256 = 9,  /* RFC 4754 */
       IKE_AUTH_ECDSA_SHA384_P384 = 10, /* RFC 4754 */
       IKE_AUTH_DIGITAL_SIGNATURE = 14, /* RFC 7427 */
};

enum { IKE_HASH_SHA2_256 = 2, IKE_HASH_SHA2_384 = 3, IKE_HASH_SHA2_512 = 4 }; /* RFC 7427 7 */

enum { /* RFC 7296 3.10.1: Notify Message Types; below 16384 they are errors */
       IKE_NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD = 1,
       IKE_NOTIFY_INVALID_IKE_SPI = 4,
       IKE_NOTIFY_INVALID_MAJOR_VERSION = 5,
       IKE_NOTIFY_INVALID_SYNTAX = 7,
       IKE_NOTIFY_INVALID_MESSAGE_ID = 9,
       IKE_NOTIFY_INVALID_SPI = 11,
       IKE_NOTIFY_NO_PROPOSAL_CHOSEN = 14,
       IKE_NOTIFY_INVALID_KE_PAYLOAD = 17,
       IKE_NOTIFY_AUTHENTICATION_FAILED = 24,
       IKE_NOTIFY_SINGLE_PAIR_REQUIRED = 34,
       IKE_NOTIFY_NO_ADDITIONAL_SAS = 35,
       IKE_NOTIFY_INTERNAL_ADDRESS_FAILURE = 36,
       IKE_NOTIFY_FAILED_CP_REQUIRED = 37,
       IKE_NOTIFY_TS_UNACCEPTABLE = 38,
       IKE_NOTIFY_INVALID_SELECTORS = 39,
       IKE_NOTIFY_TEMPORARY_FAILURE = 43,
       IKE_NOTIFY_UNACCEPTABLE_ADDRESSES = 40, /* RFC 4555 */
       IKE_NOTIFY_UNEXPECTED_NAT_DETECTED = 41,
       IKE_NOTIFY_CHILD_SA_NOT_FOUND = 44,
       IKE_NOTIFY_INITIAL_CONTACT = 16384,
       IKE_NOTIFY_SET_WINDOW_SIZE = 16385,
       IKE_NOTIFY_ADDITIONAL_TS_POSSIBLE = 16386,
       IKE_NOTIFY_NAT_DETECTION_SOURCE_IP = 16388,
       IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP = 16389,
       IKE_NOTIFY_COOKIE = 16390,
       IKE_NOTIFY_USE_TRANSPORT_MODE = 16391,
       IKE_NOTIFY_HTTP_CERT_LOOKUP_SUPPORTED = 16392,
       IKE_NOTIFY_REKEY_SA = 16393,
       IKE_NOTIFY_ESP_TFC_PADDING_NOT_SUPPORTED = 16394,
       IKE_NOTIFY_NON_FIRST_FRAGMENTS_ALSO = 16395,
       IKE_NOTIFY_MOBIKE_SUPPORTED = 16396, /* RFC 4555, to NO_NATS_ALLOWED */
       IKE_NOTIFY_ADDITIONAL_IP4_ADDRESS = 16397,
       IKE_NOTIFY_ADDITIONAL_IP6_ADDRESS = 16398,
       IKE_NOTIFY_NO_ADDITIONAL_ADDRESSES = 16399,
       IKE_NOTIFY_UPDATE_SA_ADDRESSES = 16400,
       IKE_NOTIFY_COOKIE2 = 16401,
       IKE_NOTIFY_NO_NATS_ALLOWED = 16402,
       IKE_NOTIFY_AUTH_LIFETIME = 16403,      /* RFC 4478 */
       IKE_NOTIFY_REDIRECT_SUPPORTED = 16406, /* RFC 5685, to REDIRECTED_FROM */
       IKE_NOTIFY_REDIRECT = 16407,
       IKE_NOTIFY_REDIRECTED_FROM = 16408,
       IKE_NOTIFY_FRAGMENTATION_SUPPORTED = 16430,   /* RFC 7383 */
       IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS = 16431, /* RFC 7427 */
       IKE_NOTIFY_FIRST_STATUS = 16384,
};

enum { /* RFC 7296 3.15: CFG Type */
       IKE_CFG_REQUEST = 1,
       IKE_CFG_REPLY = 2,
       IKE_CFG_SET = 3,
       IKE_CFG_ACK = 4,
};

enum { /* RFC 7296 3.15.1: attribute types; P-CSCF RFC 7651 */
       IKE_CFG_INTERNAL_IP4_ADDRESS = 1,
       IKE_CFG_INTERNAL_IP4_NETMASK = 2,
       IKE_CFG_INTERNAL_IP4_DNS = 3,
       IKE_CFG_APPLICATION_VERSION = 7,
       IKE_CFG_INTERNAL_IP6_ADDRESS = 8,
       IKE_CFG_INTERNAL_IP6_DNS = 10,
       IKE_CFG_INTERNAL_IP4_SUBNET = 13,
       IKE_CFG_INTERNAL_IP6_SUBNET = 15,
       IKE_CFG_EXTERNAL_SOURCE_IP4_NAT_INFO = 23,      /* TS 29.139 6.2.1.3 */
       IKE_CFG_TIMEOUT_PERIOD_FOR_LIVENESS_CHECK = 24, /* TS 24.302 8.2.4.2 */
};

enum { IKE_TS_IPV4_ADDR_RANGE = 7, IKE_TS_IPV6_ADDR_RANGE = 8 }; /* RFC 7296 3.13.1 */

/* Names as the registry spells them; "unknown" where it has none that this project knows. The
 * strings are static. */
const char *ike_exchange_name(uint8_t exchange_type);
const char *ike_payload_name(uint8_t payload_type);
const char *ike_notify_name(uint16_t notify_type);

enum { IKE_NOTIFY_TYPES = 43 }; /* so many are known */
bool ike_notify_is_known(uint16_t notify_type);

const char *ike_auth_method_name(uint8_t method);
const char *ike_id_type_name(uint8_t id_type);
