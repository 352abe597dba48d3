/* Both sides of a handshake in one process: an Exchange with its key in a TPM, and a SeGW played by
 * the test. */
#pragma once

#include "base/reason.h"
#include "pki_fixture.h"
#include "swtpm_fixture.h"

#include "ikewire/message.h"
#include "tpm/tpm.h"
#include "tred/auth.h"
#include "tred/dh.h"
#include "tred/exchange.h"
#include "tred/keyschedule.h"
#include "tred/seal.h"
#include "verify/service.h"

#define HENB_FQDN "henb-1.example.org"
#define SEGW_FQDN "segw.example.org"

enum { PLAY_MESSAGE_MAX = 16384 };

/* What all tests of a program share. */
typedef struct Bench {
    Swtpm swtpm;
    Tpm *tpm;
    Pki root;
    Pki segw;
    ExchangeContext context;
    char name[sizeof(SEGW_FQDN)];
    Segw with;        /* whom exchanges are with; all selectors are allowed */
    Service verifier; /* what tred-verify does, in this process */
} Bench;

extern Bench bench;

/* cmocka's group setup and teardown. */
int bench_init(void **state);
int bench_deinit(void **state);

/* A new ECDSA P-256 key in that TPM, loaded. 0 or -1. */
int tpm_key_new(const char *tcti, Tpm **ret_tpm, SigningKey **ret_key);

/* An IKE_SA_INIT message to be built; tests change what they are about. */
typedef struct InitSpec {
    IkeHeader header;
    IkeSaPayload sa;
    IkeKe ke;
    Bytes nonce;
    Bytes hashes; /* SIGNATURE_HASH_ALGORITHMS; none if empty */
    bool fragmentation;
    uint8_t omit; /* a payload type to leave out; 0: none */
} InitSpec;

/* What one of the IKE_AUTH messages says of the Child SA. */
typedef struct ChildTerms {
    IkeSaPayload sa; /* without proposals: there is no Child SA in the message */
    IkeTs ts_i;
    IkeTs ts_r;
    IkeCp cp;
    uint8_t omit;    /* SA, TSi or TSr, to be left out; 0: none */
    uint8_t repeat;  /* how often the first selector of TSr stands in it; 0: it is what ts_r says */
    uint16_t notify; /* one more payload, before all others; 0: none */
} ChildTerms;

/* What the IKE_AUTH response says of its sender. */
typedef struct PeerAuth {
    uint8_t id_type;
    uint8_t id_reserved; /* each of IDr's RESERVED octets */
    Bytes id_data;
    uint8_t method;
    Bytes data;
    size_t n_certificates;
    IkeCert certificates[FRAME_EVIDENCE_MAX];
} PeerAuth;

typedef struct Play {
    Exchange *exchange;
    Reason reason;
    uint8_t nonce_i[IKE_NONCE_MAX]; /* as BeginExchange returned it */

    uint8_t request_data[PLAY_MESSAGE_MAX];
    uint8_t response_data[PLAY_MESSAGE_MAX];
    Bytes request;
    Bytes response;
    OwnAuth own;
    bool asked, answered; /* IKE_AUTH */
    uint32_t spi_in;      /* of the Child SA that is asked for; 0: none yet */
    ChildTerms child_asked, child_granted;
    size_t n_certificates, n_ocsp; /* that the verifier was shown */
    const Verdict *verdict;        /* in the place of the verifier's own; NULL: that one */

    /* the SeGW's side */
    uint16_t group;
    uint64_t spi_r;
    uint8_t nonce_r[IKE_NONCE_MAX];
    Dh *dh;
    IkeSuite suite;
    IkeKeys keys;
    Seal *seal_in;
    Seal *seal_out;
    uint32_t request_id; /* of the SeGW's next request */
    uint8_t id_reserved; /* each of the RESERVED octets of its IDr */
    uint8_t auth_data[AUTH_DATA_MAX];
    Bytes auth_data_made;
} Play;

/* Begins an exchange in group 19 and sets the SeGW up to answer it. */
void play_init(Play *play);
void play_deinit(Play *play);

/* One proposal: AES-GCM-16 128, HMAC-SHA2-256, `group`. */
IkeSaPayload play_sa(uint16_t group);

/* The request and the response as both sides would send them, and their octets. The response's keys
 * are derived as it is built, from the exchange's current KE. */
InitSpec play_request_spec(const Play *play);
InitSpec play_response_spec(Play *play);
/* An IKE_SA_INIT message, into `buffer` (PLAY_MESSAGE_MAX octets). */
Bytes init_build(const InitSpec *spec, uint8_t *buffer);

void play_request_build(Play *play, const InitSpec *spec);
void play_response_build(Play *play, const InitSpec *spec);

/* Steps of the call flow, each asserted to succeed. */
void play_agree(Play *play);
void play_sign(Play *play);

/* SignAuth as it comes: 0 and play->own, or an error. */
int play_try_to_sign(Play *play);
void play_request_auth(Play *play);
void play_verify(Play *play);
void play_refuse(Play *play);

/* Allocates an SPI, and fills in the terms of a Child SA: AES-GCM-16 128, all of IPv4, the address
 * 10.0.0.2. The request to come asks for it, and the response grants it; tests change what they are
 * about. */
void play_offer_child(Play *play);

/* IKE_AUTH as far as it is not over yet, the SeGW's part being `peer` and play->child_granted; then
 * VerifyPeer from begin to end, as exchange_verify_begin() and exchange_verify_end() return. */
int play_judge(Play *play, const PeerAuth *peer, time_t now);

/* Brings a new exchange into `state`. */
void play_to(Play *play, ExchangeState state);

/* The IKE_AUTH request's chain (IDi, AUTH, play->child_asked) as a client builds it, into `buffer`
 * (PLAY_MESSAGE_MAX octets). */
PlainMessage play_auth_request(const Play *play, const OwnAuth *own, uint8_t *buffer);

/* The SeGW's own IDr, AUTH and certificate. */
PeerAuth play_peer(Play *play);

/* A message of the SeGW's, sealed, into `buffer` (PLAY_MESSAGE_MAX octets). */
Bytes play_seal(Play *play, uint8_t exchange_type, bool response, uint32_t message_id,
                uint8_t first, Bytes plain, uint8_t *buffer);

/* Opens what the exchange sealed, in one datagram; true if it is authentic. */
bool play_opens(Play *play, const SealedMessage *sealed, IkeHeader *ret);

/* AddChild, and what the data plane (there is none, so it answers at once) says to it. */
int play_add_child(Play *play, uint32_t spi_in);
