/* One IKE SA's life in the TrE: which calls an exchange takes in which state, without the bus.
 *
 * Every call returns 0, an ExchangeError that the caller must pass on, or a negative errno of what
 * failed beneath (-ENOMEM, -EIO). With an ExchangeError, `reason` holds the sentence for the
 * person: what was found and what to do. Unless said otherwise, a call that does not return 0
 * changes nothing. */
#pragma once

#include "base/reason.h"
#include "crypto/signingkey.h"
#include "dataplane/dataplane.h"
#include "ikewire/payload.h"
#include "tred/auth.h"
#include "tred/dh.h"
#include "tred/protection.h"
#include "tred/segw.h"
#include "tred/verifier.h"

#include <time.h>

typedef enum ExchangeState {
    EXCHANGE_BEGUN,     /* SPI, nonce and KE made */
    EXCHANGE_AGREED,    /* keys derived from both IKE_SA_INIT messages */
    EXCHANGE_SIGNED,    /* our AUTH made */
    EXCHANGE_VERIFYING, /* the peer is being judged */
    EXCHANGE_VERIFIED,  /* the peer's AUTH good */
    EXCHANGE_REFUSED,   /* the peer's AUTH or certificate bad: it may be told, and nothing else */
    EXCHANGE_REPLACED,  /* another IKE SA has its Child SAs (RFC 7296 2.8): what is left to be said
                           is  said, its Delete above all */
    EXCHANGE_STATES
} ExchangeState;

typedef enum ExchangeCall {
    EXCHANGE_CHOOSE_GROUP,
    EXCHANGE_AGREE,
    EXCHANGE_SIGN_AUTH,
    EXCHANGE_PROTECT,
    EXCHANGE_UNPROTECT,
    EXCHANGE_VERIFY_PEER,
    EXCHANGE_OPEN_TRANSPORT,
    EXCHANGE_ALLOCATE_SPI,
    EXCHANGE_SET_DSCPS,
    EXCHANGE_ADD_CHILD,
    EXCHANGE_REMOVE_CHILD,
    EXCHANGE_FORK,
    EXCHANGE_PREPARE_CREATE,
    EXCHANGE_USE_CHILD,
    EXCHANGE_ADD_IKE_SA,
    EXCHANGE_INHERIT_CHILDREN,
    EXCHANGE_MOVE_TRANSPORT,
    EXCHANGE_CALLS
} ExchangeCall;

/* Why a call was refused; each is a bus error of the same name (see bus_call.c). Positive. */
typedef enum ExchangeError {
    EXCHANGE_E_WRONG_STATE = 1,
    EXCHANGE_E_GROUP_NOT_SUPPORTED,
    EXCHANGE_E_MALFORMED,
    EXCHANGE_E_FOREIGN_REQUEST, /* not the IKE_SA_INIT request that this exchange stands for */
    EXCHANGE_E_FOREIGN_RESPONSE,
    EXCHANGE_E_SUITE_NOT_ALLOWED,
    EXCHANGE_E_BAD_KEY_EXCHANGE,
    EXCHANGE_E_METHOD_NOT_ALLOWED,
    EXCHANGE_E_TPM_FAILED,
    EXCHANGE_E_INTEGRITY_FAILED, /* the platform is in no state that the device key signs in */
    EXCHANGE_E_NOT_AUTHENTIC,
    EXCHANGE_E_REPLAYED,
    EXCHANGE_E_UNEXPECTED, /* a message of a type or direction that this state has no use for */
    EXCHANGE_E_REQUEST_PENDING,
    EXCHANGE_E_TOO_LARGE,
    EXCHANGE_E_PEER_NOT_TRUSTED,
    EXCHANGE_E_PEER_CERTIFICATE_EXPIRED,
    EXCHANGE_E_PEER_CERTIFICATE_NOT_YET_VALID,
    EXCHANGE_E_PEER_CERTIFICATE_UNFIT,
    EXCHANGE_E_PEER_IDENTITY_MISMATCH,
    EXCHANGE_E_PEER_REVOKED,
    EXCHANGE_E_PEER_REVOCATION_UNKNOWN,
    EXCHANGE_E_PEER_AUTH_FAILED,
    EXCHANGE_E_VERIFIER_FAILED,   /* nobody could judge the peer, which is refused therefore */
    EXCHANGE_E_CHILD_NOT_GRANTED, /* the response has no such Child SA */
    EXCHANGE_E_SELECTORS_NOT_ALLOWED,
    EXCHANGE_E_ADDRESS_NOT_ALLOWED,
    EXCHANGE_E_DATA_PLANE_FAILED, /* it can't carry such a Child SA, or said no */
    EXCHANGE_E_NO_SUCH_CHILD,
    EXCHANGE_E_TOO_MANY_CHILDREN,
    EXCHANGE_E_OUT_OF_RESOURCES, /* no descriptor or memory is left: nothing has changed, and the
                                    call may be made again */
    EXCHANGE_E_KEYS_USED,        /* the keys of what was negotiated have been handed out already */
    EXCHANGE_E_NO_SUCH_IKE_SA,
    EXCHANGE_E_MOBIKE_NOT_SUPPORTED,
    EXCHANGE_ERRORS
} ExchangeError;

enum {
    EXCHANGE_GROUP_CHANGES_MAX = 4,
    EXCHANGE_MOVES_MAX = 8,     /* under way in all exchanges: each has two descriptors more */
    EXCHANGE_CHILDREN_MAX = 16, /* SPIs allocated, with or without a Child SA: as many as carry */
    EXCHANGE_PREPARED_MAX = 4,  /* that PrepareCreateChildSa made and no message has used yet */
    EXCHANGE_INIT_SIZE_MAX =
        16384, /* of an IKE_SA_INIT message, which we keep until the peer is verified */
};

/* What one exchange holds of the secure heap at its worst, which is without a data plane: the keys
 * of its Child SAs stay with it then. Its key offer is gone before anything is prepared. */
enum {
    EXCHANGE_IKE_SECRETS = 3 * SECRET_BLOCK(IKE_PRF_SIZE_MAX) + /* SK_d, SK_pi, SK_pr */
                           2 * SECRET_BLOCK(IKE_KEY_MAX) +      /* SK_ei, SK_er */
                           /* SK_ai, SK_ar, and OpenSSL's own copies in the HMAC contexts */
                           4 * SECRET_BLOCK(IKE_KEY_MAX),
    /* two encryption keys, two integrity keys */
    EXCHANGE_CHILD_SECRETS = 4 * SECRET_BLOCK(IKE_KEY_MAX),
    /* The negotiations that we and that the peer began, each with g^ir … */
    EXCHANGE_CREATES = 2,
    /* … and a private key in the largest group, as all that is prepared has, too. */
    EXCHANGE_CREATE_SECRETS =
        (EXCHANGE_PREPARED_MAX + 2 * EXCHANGE_CREATES) * SECRET_BLOCK(DH_PUBLIC_MAX),
    EXCHANGE_SECRETS_MAX = EXCHANGE_IKE_SECRETS + EXCHANGE_CREATE_SECRETS +
                           EXCHANGE_CHILDREN_MAX * EXCHANGE_CHILD_SECRETS,
};

typedef struct Exchange Exchange;

typedef struct Child Child;

enum { SPI_BUCKETS = 256 };

/* What every exchange shares; owned by the daemon's context, which outlives them all. */
typedef struct ExchangeContext {
    SigningKey *signing_key; /* NULL while there is none: SignAuth then fails with TPM_FAILED */
    const char *identity;    /* our FQDN */
    Verifier *verifier;      /* each exchange keeps a reference on the one it began with */
    RevocationMode revocation;
    DataPlane *dataplane;
    bool stronger_child; /* a Child SA may have a cipher with a longer key than its IKE SA's */
    Lifetime soft, hard; /* of a Child SA */
    PeerKey peer_key;    /* of the peer that was judged last; the owner's to peer_key_deinit() */
    Dh *spare_dh;        /* made ahead for the next exchange, which takes it; NULL: there is none */
    uint16_t group;      /* of the last key exchange; IKE_GROUP_NONE: there was none */
    Exchange *exchanges; /* all of them */
    /* Their Child SAs, by the last bits of the inbound SPI: that is given out once in the process,
     * and to know so takes no longer the more there are. */
    Child *children[SPI_BUCKETS];
} ExchangeContext;

/* 0 for a group that a KE is made in, else EXCHANGE_E_GROUP_NOT_SUPPORTED. */
int exchange_check_group(uint16_t group, Reason *reason);

/* Begins an exchange with that SeGW, which is borrowed: SPI_i, nonce, and a KE in `group`.
 * Returns 0, EXCHANGE_E_GROUP_NOT_SUPPORTED, -ENOMEM or -EIO. */
int exchange_new(ExchangeContext *context, const Segw *segw, uint16_t group, Exchange **ret,
                 Reason *reason);

/* Whom it is with. */
const Segw *exchange_segw(const Exchange *exchange);

/* Makes the next exchange's key pair ahead, in the group that was asked for last; to be called when
 * there is time. Each is used in one exchange (RFC 7296 2.12). What fails is made when it is
 * needed.
 */
void exchange_prepare(ExchangeContext *context);

/* Wipes what exchange_prepare() made. */
void exchange_forget_prepared(ExchangeContext *context);

/* Wipes everything the exchange holds; NULL is fine. */
void exchange_free(Exchange *exchange);
DEFINE_POINTER_CLEANUP(Exchange, exchange_free);

/* What anyone may know of an exchange. Strings and views are borrowed from it; empty where not
 * known yet. */
ExchangeState exchange_state(const Exchange *exchange);

/* True if it has not signed yet: a signature of the device key is still to come. */
bool exchange_is_unsigned(const Exchange *exchange);
const char *exchange_state_name(ExchangeState state);
uint64_t exchange_spi_i(const Exchange *exchange);
uint64_t exchange_spi_r(const Exchange *exchange); /* 0 before Agree */
Bytes exchange_nonce_i(const Exchange *exchange);
Bytes exchange_ke_i(const Exchange *exchange); /* empty after Agree */
const char *exchange_suite_name(const Exchange *exchange);
const char *exchange_peer_identity(const Exchange *exchange);
time_t exchange_peer_expires(const Exchange *exchange); /* the peer's chain; 0 before VerifyPeer */
time_t exchange_peer_vouched(const Exchange *exchange); /* Verdict's; likewise */

/* True while the TPM signs for it. */
bool exchange_is_signing(const Exchange *exchange);

/* 0 if the table allows `call` now, else EXCHANGE_E_WRONG_STATE. */
int exchange_allows(const Exchange *exchange, ExchangeCall call, Reason *reason);

/* Makes a new KE after INVALID_KE_PAYLOAD (RFC 7296 1.2); SPI and nonce stay (2.7). At most
 * EXCHANGE_GROUP_CHANGES_MAX times. 0, WRONG_STATE, GROUP_NOT_SUPPORTED. */
int exchange_choose_group(Exchange *exchange, uint16_t group, Reason *reason);

/* Reads both whole IKE_SA_INIT messages (without non-ESP marker) and derives SK_*. The request must
 * be ours to the last field that we chose; the response is not authenticated yet, so a refusal
 * leaves the exchange able to take the next one (RFC 7296 2.4). 0, WRONG_STATE, TOO_LARGE,
 * MALFORMED, FOREIGN_REQUEST, FOREIGN_RESPONSE, SUITE_NOT_ALLOWED, BAD_KEY_EXCHANGE. */
int exchange_agree(Exchange *exchange, Bytes request, Bytes response, Reason *reason);

/* Begins another exchange on the same IKE_SA_INIT request, with its SPI_i, nonce and KE, for
 * another response to it: until one of the responses turns out to be the peer's by an authentic
 * IKE_AUTH response, each is possibly so (RFC 7296 2.4). Agree refuses it a response that leads to
 * keys which were derived before, and takes KEY_OFFER_RESPONSES_MAX responses to one request. 0,
 * WRONG_STATE, -ENOMEM. */
int exchange_fork(Exchange *exchange, Exchange **ret, Reason *reason);

/* Our identity and AUTH; views are borrowed from the exchange. */
typedef struct OwnAuth {
    uint8_t id_type;
    Bytes id_data;
    uint8_t method;
    Bytes data;
} OwnAuth;

/* How a signature ended: 0 and `auth`; TPM_FAILED, INTEGRITY_FAILED with `reason`; -ECANCELED if
 * the exchange is being freed; or another errno. */
typedef void (*ExchangeSigned)(Exchange *exchange, int r, const OwnAuth *auth, const char *reason,
                               void *userdata);

/* Begins to sign, over the request that Agree took, and goes on when the device key has: `done` is
 * called once for each call that returns 0, perhaps before it returns. If the TPM fails, nothing
 * was signed and the call may be repeated; once it has signed there is no way back to this call. 0,
 * WRONG_STATE (also while a signature is being made), METHOD_NOT_ALLOWED (our key fits no method of
 * the profile), TPM_FAILED (there is no key). */
int exchange_sign_auth(Exchange *exchange, ExchangeSigned done, void *userdata, Reason *reason);

/* A payload chain to be sealed. */
typedef struct PlainMessage {
    uint8_t exchange_type;
    bool response;
    uint8_t first; /* type of the first payload */
    Bytes payloads;
} PlainMessage;

/* What a CREATE_CHILD_SA message of ours, request or response, is to carry; views are borrowed from
 * the exchange, until the next call. */
typedef struct CreateOffer {
    uint64_t spi; /* of an IKE SA: where the message is about none, it has no use */
    Bytes nonce;
    Bytes ke; /* empty without a new key exchange */
} CreateOffer;

/* Makes a new nonce, a KE in `group` (IKE_GROUP_NONE: none) and an IKE SPI, for one message. At
 * most EXCHANGE_PREPARED_MAX that no message has used are kept: the oldest is wiped. 0,
 * WRONG_STATE, GROUP_NOT_SUPPORTED, -EIO, -ENOMEM. */
int exchange_prepare_create(Exchange *exchange, uint16_t group, CreateOffer *ret, Reason *reason);

/* Seals a message that the state has a use for; *ret is the caller's to sealed_message_deinit(). An
 * IKE_AUTH request must hold one IDi and one AUTH, those of SignAuth; it is kept, as AddChild reads
 * from it what was asked for, and is not sealed any more once it was answered. A CREATE_CHILD_SA
 * message must have one SA, of ESP under SPIs of exchange_allocate_spi() that no Child SA has or of
 * IKE under the prepared one, and of suites of the profile alone; a nonce of
 * exchange_prepare_create() that no message has had, and the KE that was made with it, or none. Or
 * it is a response with an error notify and without SA. A response is held against the request, as
 * AddChild and AddIkeSa do, before it is sealed: another can be sealed in its place. Both messages
 * are kept. 0, WRONG_STATE, UNEXPECTED, MALFORMED, REQUEST_PENDING, TOO_LARGE; for CREATE_CHILD_SA
 * also NO_SUCH_CHILD, SUITE_NOT_ALLOWED and, for a response, what exchange_add_child() and
 * exchange_add_ike_sa() say of the pair. */
int exchange_protect(Exchange *exchange, const PlainMessage *message, size_t max_datagram,
                     SealedMessage *ret, Reason *reason);

/* Opens a datagram; *ret_complete is false while fragments are missing, and *ret then empty. *ret
 * is the caller's to opened_message_deinit(). A fragment that is taken in counts as success. The
 * IKE_AUTH response is kept: VerifyPeer and AddChild read from it; and so are CREATE_CHILD_SA
 * requests and responses, of which there is one negotiation that we began, and one that the peer
 * did: the next takes its place, and its secrets are wiped. 0,
 * WRONG_STATE, UNEXPECTED, MALFORMED, NOT_AUTHENTIC, REPLAYED, TOO_LARGE. */
int exchange_unprotect(Exchange *exchange, Bytes datagram, bool *ret_complete, OpenedMessage *ret,
                       Reason *reason);

/* Begins the judgement of the peer by IDr, CERT and AUTH of the IKE_AUTH response that was opened,
 * which is made once: *ret, whose views are the exchange's, is for the verifier to answer, and the
 * exchange takes no call until then. Whatever is refused here or in the end moves it to REFUSED,
 * but for WRONG_STATE (also while that response has not been opened). 0, WRONG_STATE, MALFORMED,
 * PEER_AUTH_FAILED (it has no AUTH), PEER_CERTIFICATE_UNFIT, PEER_IDENTITY_MISMATCH. */
int exchange_verify_begin(Exchange *exchange, time_t now, VerifyRequest *ret, Reason *reason);

/* Which verifier is to answer. */
Verifier *exchange_verifier(const Exchange *exchange);

/* Ends it: the verdict on the peer's chain and identity, then its AUTH, which is checked here by
 * the verdict's public key. Without a verdict the peer is refused, and `reason` is the caller's. 0,
 * METHOD_NOT_ALLOWED, PEER_NOT_TRUSTED, PEER_CERTIFICATE_EXPIRED, _NOT_YET_VALID, _UNFIT,
 * PEER_IDENTITY_MISMATCH, PEER_REVOKED, PEER_REVOCATION_UNKNOWN, PEER_AUTH_FAILED,
 * VERIFIER_FAILED, -ENOMEM, -EIO. */
int exchange_verify_end(Exchange *exchange, const Verdict *verdict, Reason *reason);

/* The same question about a peer that was judged, to be asked again; false where there is none to
 * ask. *ret borrows from the exchange. */
bool exchange_verify_again(const Exchange *exchange, time_t now, VerifyRequest *ret);

/* Takes the answer to that: whether it ends the exchange, and why. A refusal for want of a word
 * about revocation does not, of the path that the peer was taken by. If the peer is taken, its SAs
 * rest on the answer's path, and its chain expires when that says. */
bool exchange_verdict_ends(Exchange *exchange, const Verdict *verdict, Reason *ret);

/* The peer's authentication method; 0 before VerifyPeer. */
uint8_t exchange_peer_method(const Exchange *exchange);

/* Opens the local UDP port that IKE and ESP share from IKE_AUTH on (RFC 7296 2.23), for traffic
 * with `remote`. With `nat`, the NAT detection of IKE_SA_INIT has found one between, so that ESP
 * goes in UDP; where the data plane can do nothing else it does so in any case. That finding is the
 * client's, who alone knows which port IKE_SA_INIT left from: the notifies are hashes over it.
 * *ret_fd, borrowed from the exchange, is the socket of the IKE messages; it is not connected. ESP
 * keeps the other one. Once. 0, WRONG_STATE, DATA_PLANE_FAILED. */
int exchange_open_transport(Exchange *exchange, const struct sockaddr_storage *remote, bool nat,
                            int *ret_fd, Reason *reason);

/* An inbound ESP SPI (256 or above, RFC 4303 2.1), unique in the process. 0, WRONG_STATE,
 * TOO_MANY_CHILDREN. */
int exchange_allocate_spi(Exchange *exchange, uint32_t *ret, Reason *reason);

/* Has the Child SA that is to be added under `spi_in` send what of the host's traffic its selectors
 * take in and has a DSCP n with bit n in `dscps` (RFC 4301 4.1), in the place of those that are
 * named for none; 0: it is one of these. What comes in by it may have any DSCP. 0, WRONG_STATE
 * (also once there was a Child SA), NO_SUCH_CHILD, DATA_PLANE_FAILED (the plane can't choose so).
 */
int exchange_set_dscps(Exchange *exchange, uint32_t spi_in, uint64_t dscps, Reason *reason);

/* Called once for a Child SA that is added, when the data plane has answered: with 0, or
 * DATA_PLANE_FAILED, or NO_SUCH_CHILD if it was removed meanwhile, by exchange_remove_child() or
 * exchange_free(); `reason` says more. It must not free the exchange. */
typedef void (*ChildAdded)(int error, const char *reason, void *userdata);

/* Adds the Child SA that was negotiated under `spi_in`, in IKE_AUTH or in the last CREATE_CHILD_SA
 * that we or the peer began: suite, SPIs, nonces, KE and selectors are those of both messages, held
 * against the policy. Addresses are those that IKE_AUTH assigned. Derives the ESP keys (RFC 7296
 * 2.17) and hands them to the data plane, once for each pair of messages: the same keys for a
 * second SA would repeat AES-GCM IVs (RFC 4106 2). One by which the peer replaces another receives,
 * and does not send before exchange_use_child(), or until the one that it replaces is removed.
 * Returns 0: `added` is called (before this returns if there is no data plane); else it is not:
 * WRONG_STATE, NO_SUCH_CHILD (an SPI that this exchange did not allocate, or under which nothing
 * was negotiated), KEYS_USED, CHILD_NOT_GRANTED, MALFORMED, SUITE_NOT_ALLOWED, BAD_KEY_EXCHANGE,
 * SELECTORS_NOT_ALLOWED, ADDRESS_NOT_ALLOWED, DATA_PLANE_FAILED. After that, and after an `added`
 * with an error, the keys count as used. */
int exchange_add_child(Exchange *exchange, uint32_t spi_in, ChildAdded added, void *userdata,
                       Reason *reason);

/* Wipes a Child SA's keys and gives its SPI back. 0, WRONG_STATE, NO_SUCH_CHILD. */
int exchange_remove_child(Exchange *exchange, uint32_t spi_in, Reason *reason);

/* Called once for a Child SA that is to be used: with 0, when all that its selectors take in leaves
 * by it; else as ChildAdded. */
typedef ChildAdded ChildUsed;

/* Has a Child SA send from now on what its selectors take in. Returns 0 (also where it does
 * already): `used` is called (before this returns if there is no data plane); else it is not:
 * WRONG_STATE (also while this is under way), NO_SUCH_CHILD, DATA_PLANE_FAILED. */
int exchange_use_child(Exchange *exchange, uint32_t spi_in, ChildUsed used, void *userdata,
                       Reason *reason);

/* Makes the IKE SA that the last CREATE_CHILD_SA of ours or the peer's negotiated under our SPI
 * `spi` (RFC 7296 2.18): verified, with the identity and the dates of this one's peer; initiator if
 * the request was ours, else responder; with fragmentation as this one has it. Once for each pair
 * of messages. 0, WRONG_STATE, NO_SUCH_IKE_SA, MALFORMED, SUITE_NOT_ALLOWED, BAD_KEY_EXCHANGE,
 * -ENOMEM, -EIO. */
int exchange_add_ike_sa(Exchange *exchange, uint64_t spi, Exchange **ret, Reason *reason);

/* Takes over, from the exchange that it was made from, all Child SAs, the transport and the inner
 * addresses (RFC 7296 2.8, 2.18); that one is REPLACED then. *ret is it, borrowed. 0, WRONG_STATE
 * (also where there is none to inherit from, or one of its Child SAs is just being added or moved),
 * TOO_MANY_CHILDREN. */
int exchange_inherit_children(Exchange *exchange, Exchange **ret, Reason *reason);

/* How a move ended, once: with 0 and the socket, borrowed from the exchange; or with
 * DATA_PLANE_FAILED and `reason`: its Child SAs may carry nothing any more, and the exchange is to
 * be closed. It must not free the exchange. */
typedef void (*TransportMoved)(int error, int fd, const char *reason, void *userdata);

/* Opens another local UDP port, towards `remote` from where the route now leaves, and has the ESP
 * of all Child SAs go through it, with the same keys, sequence numbers and windows (RFC 4555 3.5).
 * `nat` and the socket are as of exchange_open_transport(); the socket of before is the caller's to
 * close. Returns 0: `moved` is called, perhaps before this returns, and at the latest when the
 * exchange is freed; else it is not, and nothing has changed: WRONG_STATE (also without a
 * transport, and while a move is under way), MOBIKE_NOT_SUPPORTED (the IKE_AUTH response did not
 * say that it is), OUT_OF_RESOURCES (also with EXCHANGE_MOVES_MAX under way), DATA_PLANE_FAILED. */
int exchange_move_transport(Exchange *exchange, const struct sockaddr_storage *remote, bool nat,
                            TransportMoved moved, void *userdata, Reason *reason);

/* What anyone may know of a Child SA. */
typedef struct ChildStatus {
    uint32_t spi_in;
    uint32_t spi_out;
    char suite[SUITE_NAME_SIZE];
    time_t since;          /* when it was made */
    uint64_t soft_seconds; /* after which it is due to be replaced; 0: no limit */
    uint64_t dscps;        /* exchange_set_dscps()'s */
    SaCounters counters;
} ChildStatus;

/* The exchange's Child SAs into `ret` (EXCHANGE_CHILDREN_MAX of them); returns how many there are.
 */
size_t exchange_children(const Exchange *exchange, ChildStatus *ret);

/* True if `spi_in` is a Child SA of this exchange. */
bool exchange_has_child(const Exchange *exchange, uint32_t spi_in);
