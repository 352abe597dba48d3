/* The bodies of IKEv2 payloads (RFC 7296 3.3-3.16): octets to structs of fixed bounds and back.
 *
 * x_decode(body, ret) reads a payload's body, without its generic header; it returns 0 or an
 * IkeFaultCode, and checks everything that the clause asks of the format. Where a peer may send
 * more elements than a struct has room for, the first ones are kept and the others counted, after
 * the same check. Views in the struct borrow from `body`. x_encode(writer, x) appends a body; what
 * does not fit shows at writer_finish(). Reserved fields are written as zero and ignored when read
 * (RFC 7296 2.5). */
#pragma once

#include "base/bytes.h"
#include "ikewire/fault.h"
#include "ikewire/registry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many payloads of one chain are kept. What is beyond is checked and then skipped, so that a
 * peer's Vendor IDs or notifies can't crowd out the payloads that matter. */
enum {
    IKE_SINGLES_MAX = 12, /* the types that may stand once */
    IKE_CERTS_MAX = 32,   /* as many as tred looks at, and as many of other encodings */
    IKE_CERTREQS_MAX = 4, /* and the same of each of the others */
    IKE_NOTIFIES_MAX = 32,
    IKE_DELETES_MAX = 4,
    IKE_VENDOR_IDS_MAX = 4,
    IKE_UNKNOWNS_MAX = 4, /* of all types that we don't know together */
    IKE_PAYLOADS_MAX = IKE_SINGLES_MAX + IKE_CERTS_MAX + IKE_CERTREQS_MAX + IKE_NOTIFIES_MAX +
                       IKE_DELETES_MAX + IKE_VENDOR_IDS_MAX + IKE_UNKNOWNS_MAX,
};

enum {
    IKE_PROPOSALS_MAX = 16,
    IKE_TRANSFORMS_MAX = 64,    /* in one proposal */
    IKE_SPIS_MAX = 64,          /* kept of one Delete */
    IKE_SELECTORS_MAX = 32,     /* kept of one TSi or TSr */
    IKE_ATTRIBUTES_OF_TYPE = 8, /* kept of one CP: of each type that we know, and of all others */
    IKE_ATTRIBUTES_MAX = 5 * IKE_ATTRIBUTES_OF_TYPE,
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
    IkeTransform transforms[IKE_TRANSFORMS_MAX];
} IkeProposal;

typedef struct IkeSaPayload {
    size_t n_proposals;
    IkeProposal proposals[IKE_PROPOSALS_MAX];
} IkeSaPayload;

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

/* 3.6 Certificate and 3.7 Certificate Request. For a CERTREQ of encoding 4, `data` is a whole
 * number of 20-octet SHA-1 hashes of the CAs' SubjectPublicKeyInfo. */
typedef struct IkeCert {
    uint8_t encoding;
    Bytes data;
} IkeCert;

int ike_cert_decode(Bytes body, IkeCert *ret);
int ike_certreq_decode(Bytes body, IkeCert *ret);
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

/* True if every selector of `narrow` lies within one of `wide` (RFC 7296 2.9). */
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
