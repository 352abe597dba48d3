/* Platform states that somebody approves of: made, and written to files of both kinds, the JSON of
 * systemd-measure(1) (tpm2-pcr-signature.json) between vendor and factory, and the flat one on a
 * device. */
#pragma once

#include "base/reason.h"
#include "policy/pcrsignature.h"

/* Reads a file in JSON. Members it does not know are skipped, as systemd does; an entry whose
 * values do not come to its digest is an error. *ret is the caller's to free(). Returns 0, open's
 * errno, -ENOMEM, or -EINVAL; `reason` names the file, the entry and what is wrong. */
int pcr_signatures_json_read(const char *path, PcrSignatures **ret, Reason *reason);

/* The same from memory: `json` is the content of the file that messages call `name`. */
int pcr_signatures_json_decode(Bytes json, const char *name, PcrSignatures **ret, Reason *reason);

/* The text in JSON; *ret is the caller's to free(). 0 or -ENOMEM. */
int pcr_signatures_json_encode(const PcrSignatures *signatures, char **ret);

/* The flat text; *ret is the caller's to free(). 0 or -ENOMEM. */
int pcr_signatures_encode(const PcrSignatures *signatures, char **ret);

/* States the policy over `expected`, and has `key` approve of it unless that is NULL. 0, or -EIO.
 */
int pcr_signature_make(const PcrState *expected, const PolicyKey *key, PcrSignature *ret);

/* Adds an entry, in place of one of the same key, bank, PCRs and digest. 0, or -ENOSPC. */
int pcr_signatures_add(PcrSignatures *signatures, const PcrSignature *entry);
