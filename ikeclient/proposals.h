/* Algorithm proposals by name, as a person configures them:
 *     IKE  aes128gcm16-prfsha256-ecp256, aes128-sha256-ecp256
 *     ESP  aes128gcm16, aes128-sha256-esn
 * Commas separate proposals, hyphens the transforms of one; several of one kind are alternatives.
 */
#pragma once

#include "ikewire/payload.h"

enum { PROPOSALS_PROBLEM_SIZE = 256, ESP_SUITE_NAME_SIZE = 96 };

/* Reads a list of proposals for `protocol` (IKE_PROTOCOL_IKE or _ESP) into an SA payload without
 * SPIs. Returns 0, or -EINVAL with `problem` (PROPOSALS_PROBLEM_SIZE octets) saying what is wrong.
 */
int proposals_parse(const char *text, uint8_t protocol, IkeSaPayload *ret, char *problem);

/* The group of the first KE transform: what the first KE payload is made with. */
uint16_t proposals_first_group(const IkeSaPayload *offer);

bool proposals_have_group(const IkeSaPayload *offer, uint16_t group);

/* "ECP_256", as tred names a suite's group; a static string. */
const char *proposals_group_name(uint16_t group);

/* The octets of the cipher's key in a suite as tred names it, "AES_GCM_16_128/…"; 0 for one that is
 * not known. */
size_t proposals_suite_key(const char *suite);

/* Takes all ciphers out whose key has more than `most` octets, and the proposals that have no
 * other. True if any is left. */
bool proposals_limit_key(IkeSaPayload *offer, size_t most);

typedef struct EspChoice {
    uint32_t spi_out; /* where the peer receives */
    uint16_t encr;
    uint16_t key_bits; /* 0: the transform has no Key Length */
    uint16_t integ;    /* IKE_INTEG_NONE with AEAD */
    bool esn;
} EspChoice;

/* Reads the peer's answer to an ESP offer. It must be one proposal of ours, with one transform of
 * each type in it (RFC 7296 2.7). 0, or -EBADMSG. */
int proposals_accept_esp(const IkeSaPayload *offer, const IkeSaPayload *answer, EspChoice *ret);

/* "AES_GCM_16_128", "AES_CBC_128/HMAC_SHA2_256_128/ESN" into `text` (ESP_SUITE_NAME_SIZE octets).
 */
void esp_choice_name(const EspChoice *choice, char *text);
