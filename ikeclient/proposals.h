/* Algorithm proposals by name, as a person configures them:
 *     IKE  aes128gcm16-prfsha256-ecp256, aes128-sha256-ecp256
 *     ESP  aes128gcm16, aes128-sha256-esn
 * Commas separate proposals, hyphens the transforms of one; several of one kind are alternatives.
 */
#pragma once

#include "ikewire/payload.h"

enum { PROPOSALS_PROBLEM_SIZE = 256, ESP_SUITE_NAME_SIZE = 96, IKE_SUITE_NAME_SIZE = 128 };

/* Reads a list of proposals for `protocol` (IKE_PROTOCOL_IKE or _ESP) into an SA payload without
 * SPIs. Returns 0, or -EINVAL with `problem` (PROPOSALS_PROBLEM_SIZE octets) saying what is wrong.
 */
int proposals_parse(const char *text, uint8_t protocol, IkeSaPayload *ret, char *problem);

/* The group of the first KE transform: what the first KE payload is made with. */
uint16_t proposals_first_group(const IkeSaPayload *offer);

bool proposals_have_group(const IkeSaPayload *offer, uint16_t group);

/* Whether a Child SA is rekeyed with a new key exchange (RFC 7296 1.3.1). */
typedef enum Pfs {
    PFS_OPTIONAL, /* with one, if the peer takes it */
    PFS_YES,
    PFS_NO, /* without one, unless the peer insists */
} Pfs;

/* Gives each proposal of ESP the groups of `ike`, `first` at their head where it is one of them, in
 * the order that `pfs` prefers, and NONE where it can do without (RFC 7296 3.3). What does not fit
 * into IKE_TRANSFORMS_MAX is left out. */
void proposals_add_groups(IkeSaPayload *esp, const IkeSaPayload *ike, uint16_t first, Pfs pfs);

/* "ECP_256", as tred names a suite's group; a static string. */
const char *proposals_group_name(uint16_t group);

/* The octets of the cipher's key in a suite as tred names it, "AES_GCM_16_128/…"; 0 for one that is
 * not known. */
size_t proposals_suite_key(const char *suite);

/* The group of such a suite; IKE_GROUP_NONE for one that is not known. */
uint16_t proposals_suite_group(const char *suite);

/* Takes all ciphers out whose key has more than `most` octets, and the proposals that have no
 * other. True if any is left. */
bool proposals_limit_key(IkeSaPayload *offer, size_t most);

typedef struct EspChoice {
    uint32_t spi_out; /* where the peer receives */
    uint16_t encr;
    uint16_t key_bits; /* 0: the transform has no Key Length */
    uint16_t integ;    /* IKE_INTEG_NONE with AEAD */
    uint16_t group;    /* of the key exchange of its own; IKE_GROUP_NONE: there was none */
    bool esn;
} EspChoice;

/* Reads the peer's answer to an ESP offer. It must be one proposal of ours, with one transform of
 * each type in it (RFC 7296 2.7). 0, or -EBADMSG. */
int proposals_accept_esp(const IkeSaPayload *offer, const IkeSaPayload *answer, EspChoice *ret);

/* The same for a new IKE SA; *ret is the peer's proposal, with its SPI. */
int proposals_accept_ike(const IkeSaPayload *offer, const IkeSaPayload *answer, IkeProposal *ret);

/* Chooses from a peer's offer as `ours` prefers (RFC 7296 2.7, 3.3.6), of all that fits best what
 * has `group`, the one of the peer's KE payload (IKE_GROUP_NONE: there is none). *ret has the
 * number and the SPI of the peer's, and one transform of each type. 0, or -ENOENT: nothing fits. */
int proposals_choose(const IkeSaPayload *ours, const IkeSaPayload *theirs, uint16_t group,
                     IkeProposal *ret);

/* The group of a chosen proposal; IKE_GROUP_NONE: it has none. */
uint16_t proposal_group(const IkeProposal *chosen);

/* What a chosen proposal of ESP says. */
EspChoice esp_choice_of(const IkeProposal *chosen);

/* "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256", as tred names a suite, of a chosen proposal of IKE,
 * into `text` (IKE_SUITE_NAME_SIZE octets). */
void ike_choice_name(const IkeProposal *chosen, char *text);

/* "AES_GCM_16_128", "AES_CBC_128/HMAC_SHA2_256_128/ECP_256/ESN" into `text` (ESP_SUITE_NAME_SIZE
 * octets).
 */
void esp_choice_name(const EspChoice *choice, char *text);
