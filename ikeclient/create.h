/* CREATE_CHILD_SA (RFC 7296 1.3): what its messages hold, whoever sends them. */
#pragma once

#include "ikeclient/child_list.h"
#include "ikeclient/tre.h"
#include "ikewire/message.h"

/* What tred made for one message of ours. */
typedef struct CreateMaterial {
    uint64_t spi; /* of a new IKE SA */
    uint16_t group;
    Nonce nonce;
    size_t ke_size; /* 0: there is no KE */
    uint8_t ke[IKE_KE_SIZE_MAX];
} CreateMaterial;

/* Keeps what PrepareCreateChildSa answered for `group`. 0, or -EPROTO for what can't be used. */
int create_material_take(CreateMaterial *material, uint16_t group, const TreReply *reply);

/* The request for a Child SA: `rekeyed` is the SPI of ours of the one that it is to take the place
 * of; 0: of none (1.3.3, 1.3.1; the order is that of appendix C.3). */
void create_child_encode(const CreateMaterial *material, uint32_t rekeyed, const ChildOffer *offer,
                         IkeChain *chain);

/* The response of the same. */
void create_child_encode_response(const CreateMaterial *material, const IkeProposal *chosen,
                                  const IkeTs *ts_i, const IkeTs *ts_r, IkeChain *chain);

/* The request for a new IKE SA, which takes the place of that which carries it, or its response
 * (1.3.2): the SPI of each proposal is the material's. */
void create_ike_encode(const CreateMaterial *material, const IkeSaPayload *sa, IkeChain *chain);

/* ---- the peer's response ---- */

typedef enum CreateVerdict {
    CREATE_GRANTED,
    CREATE_REFUSED, /* an error notify */
    CREATE_INVALID, /* an answer that we did not offer */
} CreateVerdict;

typedef struct CreateAnswer {
    CreateVerdict verdict;
    uint16_t error;  /* CREATE_REFUSED: the notify's type … */
    uint16_t group;  /* … and the group that INVALID_KE_PAYLOAD names; IKE_GROUP_NONE: none */
    const char *why; /* CREATE_INVALID: a static phrase */
    Nonce lowest;    /* of ours and the peer's */
    ChildAnswer child;
    IkeProposal ike; /* with the peer's SPI */
} CreateAnswer;

/* The new one has the addresses of `old`. Where it `replaces` that, it must not take in less
 * (2.9.2). */
void create_child_answer_judge(const ChildOffer *offer, const CreateMaterial *material,
                               const ChildAnswer *old, bool replaces, const IkePayloads *payloads,
                               CreateAnswer *ret);

void create_ike_answer_judge(const IkeSaPayload *offer, const CreateMaterial *material,
                             const IkePayloads *payloads, CreateAnswer *ret);

/* ---- the peer's request ---- */

typedef enum CreateKind {
    CREATE_CHILD,
    CREATE_REKEYED_CHILD,
    CREATE_REKEYED_IKE,
} CreateKind;

typedef struct CreateRequest {
    CreateKind kind;
    uint32_t rekeyed; /* CREATE_REKEYED_CHILD: the sender's own SPI */
    IkeSaPayload sa;
    Nonce nonce;
    uint16_t group; /* of its KE; IKE_GROUP_NONE: it has none */
    IkeTs ts_i;     /* the sender's side; of a Child SA alone, as is ts_r */
    IkeTs ts_r;
} CreateRequest;

/* 0, or the type of the error notify that is the answer to what can't be read. */
uint16_t create_request_read(const IkePayloads *payloads, CreateRequest *ret);
