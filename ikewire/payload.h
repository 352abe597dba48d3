/* SPIs of 0, 4 or 8 octets, as proposals and notifies carry them. Internal to ikewire. */
#pragma once

#include "base/bytes.h"
#include "ikewire/registry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads `size` octets (0, 4 or 8) as a number; none are 0. Returns 0 or IKEWIRE_E_LENGTH. */
int spi_decode(Reader *reader, uint8_t size, uint64_t *ret);
void spi_encode(Writer *writer, uint8_t size, uint64_t spi);

/* Decoders return 0 or one of these, which the caller must handle. */
typedef enum IkeFaultCode {
    IKEWIRE_E_TRUNCATED = 1, /* fewer octets than a fixed field needs */
    IKEWIRE_E_LENGTH,        /* a length field that is below its minimum or beyond what is there */
    IKEWIRE_E_TRAILING,      /* octets left over after the last field, or the last payload */
    IKEWIRE_E_MAJOR_VERSION, /* major version above 2 (RFC 7296 2.5) */
    IKEWIRE_E_VERSION,       /* major version below 2 */
    IKEWIRE_E_NEXT_PAYLOAD,  /* the chain breaks: a payload that is not there, one after SK, … */
    IKEWIRE_E_CRITICAL,      /* an unknown payload with the critical bit (RFC 7296 2.5) */
    IKEWIRE_E_DUPLICATE,     /* a payload that may stand once stands twice */
    IKEWIRE_E_TOO_MANY,      /* more transforms than our fixed bound */
    IKEWIRE_E_PROPOSAL,      /* SA: numbering, SPI size, "last" marker or transform count wrong */
    IKEWIRE_E_TRANSFORM,     /* SA: a transform's "last" marker or attribute wrong */
    IKEWIRE_E_TRANSFORM_LENGTH, /* SA: a transform of zero length, or below its fixed fields */
    IKEWIRE_E_VALUE,    /* a field that must be something else (zero SPI, empty nonce, …) */
    IKEWIRE_E_SELECTOR, /* TS: type, length or range wrong */
    IKEWIRE_E_FRAGMENT, /* SKF: number 0, or above its total */
} IkeFaultCode;

typedef struct IkeFault {
    IkeFaultCode code;
    uint8_t payload_type; /* the payload it was found in; 0 for the header */
    uint32_t offset;      /* of that payload in what was decoded */
} IkeFault;

/* "octets are left over …": a static phrase for a log line; for a code that is none, "unknown
 * fault". */
const char *ike_fault_text(IkeFaultCode code);

/* How many payloads of one chain are kept. What is beyond is checked and then skipped, so that a
 * peer's Vendor IDs or notifies can't crowd out the payloads that matter. */
enum {
    IKE_SINGLES_MAX = 12,     /* the types that may stand once */
    IKE_CERTS_MAX = 32,       /* as many as tred looks at, and as many of other encodings */
    IKE_CERTREQS_MAX = 4,     /* and the same of each of the others */
    IKE_NOTIFIES_OF_TYPE = 8, /* and of all errors that we don't know, and of all such statuses */
    IKE_NOTIFIES_OF_SOURCE = 32, /* NAT_DETECTION_SOURCE_IP, one for each address (2.23) */
    IKE_NOTIFIES_MAX = (IKE_NOTIFY_TYPES + 2 - 1) * IKE_NOTIFIES_OF_TYPE + IKE_NOTIFIES_OF_SOURCE,
    IKE_DELETES_MAX = 16, /* each Child SA may have one of its own (3.11) */
    IKE_VENDOR_IDS_MAX = 4,
    IKE_UNKNOWNS_MAX = 4, /* of all types that we don't know together */
    IKE_PAYLOADS_MAX = IKE_SINGLES_MAX + IKE_CERTS_MAX + IKE_CERTREQS_MAX + IKE_NOTIFIES_MAX +
                       IKE_DELETES_MAX + IKE_VENDOR_IDS_MAX + IKE_UNKNOWNS_MAX,
};

enum {
    IKE_PROPOSALS_MAX = 16,
    IKE_TRANSFORMS_MAX = 64,    /* kept of one proposal */
    IKE_SPIS_MAX = 64,          /* kept of one Delete */
    IKE_SELECTORS_MAX = 32,     /* kept of one TSi or TSr */
    IKE_ATTRIBUTES_OF_TYPE = 8, /* kept of one CP: of each type that we know, and of all others */
    IKE_ATTRIBUTES_MAX = 7 * IKE_ATTRIBUTES_OF_TYPE,
    IKE_NONCE_MIN = 16, /* RFC 7296 3.9 */
    IKE_NONCE_MAX = 256,
    IKE_COOKIE_MAX = 64, /* RFC 7296 2.6 */
};

/* 3.3 Security Association */
typedef struct IkeTransform {
    uint8_t type;
    uint16_t id;
    uint16_t key_length;    /* bits; 0: no Key Length attribute */
    bool unknown_attribute; /* one that is not Key Length: such a transform must not be chosen */
} IkeTransform;

typedef struct IkeProposal {
    uint8_t number;
    uint8_t protocol; /* IKE_PROTOCOL_… */
    uint8_t spi_size; /* 0, 4 or 8 */
    uint64_t spi;     /* spi_size octets, as a number in network order */
    size_t n_transforms;
    size_t n_skipped; /* read: transforms beyond, which are checked and change no choice */
    IkeTransform transforms[IKE_TRANSFORMS_MAX];
} IkeProposal;

typedef struct IkeSaPayload {
    size_t n_proposals;
    size_t n_skipped; /* proposals beyond, which are checked and can't be chosen */
    IkeProposal proposals[IKE_PROPOSALS_MAX];
} IkeSaPayload;

enum { /* how they stand in the payload (3.3.1, 3.3.2, 3.3.5) */
       IKE_SA_LAST = 0,
       IKE_SA_MORE_PROPOSALS = 2,
       IKE_SA_MORE_TRANSFORMS = 3,
       IKE_PROPOSAL_HEADER_SIZE = 8,
       IKE_TRANSFORM_HEADER_SIZE = 8,
       IKE_ATTRIBUTE_TV = 0x8000, /* the value stands in place of the length */
};

int ike_sa_decode(Bytes body, IkeSaPayload *ret);
void ike_sa_encode(Writer *writer, const IkeSaPayload *sa);

/* 3.4 Key Exchange */
typedef struct IkeKe {
    uint16_t group;
    Bytes data;
} IkeKe;

int ike_ke_decode(Bytes body, IkeKe *ret);
void ike_ke_encode(Writer *writer, const IkeKe *ke);

/* 3.5 Identification (IDi and IDr) */
typedef struct IkeId {
    uint8_t type;
    Bytes data;
} IkeId;

int ike_id_decode(Bytes body, IkeId *ret);
void ike_id_encode(Writer *writer, const IkeId *id);

/* 3.6 Certificate. A Certificate Request (3.7) has the same form, and is written alone. */
typedef struct IkeCert {
    uint8_t encoding;
    Bytes data;
} IkeCert;

int ike_cert_decode(Bytes body, IkeCert *ret);
void ike_cert_encode(Writer *writer, const IkeCert *cert);

/* 3.8 Authentication */
typedef struct IkeAuth {
    uint8_t method;
    Bytes data;
} IkeAuth;

int ike_auth_decode(Bytes body, IkeAuth *ret);
void ike_auth_encode(Writer *writer, const IkeAuth *auth);

/* 3.9 Nonce: the body is the nonce, 16 to 256 octets. */
int ike_nonce_decode(Bytes body, Bytes *ret);

/* 3.10 Notify */
typedef struct IkeNotify {
    uint8_t protocol; /* 0 when spi_size is 0 and no SA is concerned */
    uint8_t spi_size; /* 0, 4 or 8 */
    uint64_t spi;
    uint16_t type;
    Bytes data;
} IkeNotify;

int ike_notify_decode(Bytes body, IkeNotify *ret);
void ike_notify_encode(Writer *writer, const IkeNotify *notify);

/* 3.11 Delete: protocol IKE has SPI size 0 and no SPIs; AH and ESP have SPIs of 4 octets. */
typedef struct IkeDelete {
    uint8_t protocol;
    size_t n_spis;
    uint32_t spis[IKE_SPIS_MAX];
    size_t n_skipped; /* read: SPIs beyond those */
} IkeDelete;

int ike_delete_decode(Bytes body, IkeDelete *ret);
void ike_delete_encode(Writer *writer, const IkeDelete *delete_);

/* 3.13 Traffic Selectors (TSi and TSr). Addresses are 4 or 16 octets at the front of the array. */
typedef struct IkeSelector {
    uint8_t type;     /* IKE_TS_IPV4_ADDR_RANGE or IKE_TS_IPV6_ADDR_RANGE */
    uint8_t protocol; /* IP protocol; 0: any */
    uint16_t start_port;
    uint16_t end_port;
    uint8_t start[16];
    uint8_t end[16];
} IkeSelector;

typedef struct IkeTs {
    size_t n_selectors;
    IkeSelector selectors[IKE_SELECTORS_MAX];
    size_t n_skipped; /* read: selectors beyond those; whoever keeps fewer covers less traffic */
} IkeTs;

int ike_ts_decode(Bytes body, IkeTs *ret);
void ike_ts_encode(Writer *writer, const IkeTs *ts);

/* True if each selector of `narrow` lies within `wide` (RFC 7296 2.9): its protocol and ports
 * within those of one selector or of several that together have all of its addresses. */
bool ike_ts_is_subset(const IkeTs *narrow, const IkeTs *wide);

/* 3.15 Configuration */
typedef struct IkeAttribute {
    uint16_t type;
    Bytes value;
} IkeAttribute;

typedef struct IkeCp {
    uint8_t cfg_type;
    size_t n_attributes;
    IkeAttribute attributes[IKE_ATTRIBUTES_MAX];
    size_t n_skipped; /* read: attributes beyond those */
} IkeCp;

int ike_cp_decode(Bytes body, IkeCp *ret);
void ike_cp_encode(Writer *writer, const IkeCp *cp);

/* RFC 7383 2.5: the front of an SKF body; `sealed` is IV, ciphertext and ICV. */
typedef struct IkeFragment {
    uint16_t number; /* from 1 */
    uint16_t total;
    Bytes sealed;
} IkeFragment;

int ike_fragment_decode(Bytes body, IkeFragment *ret);
