/* Has a policy key approve of platform states, and writes them as tred reads them. */
#include "provisioning/pcrsignature_file.h"

#include "policy/encoding.h"
#include "provisioning/policyapproval.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int pcr_signature_make(const PcrState *expected, const PolicyKey *key, PcrSignature *ret)
{
    *ret = (PcrSignature){.has_expected = true, .expected = *expected};
    if (policy_digest_pcr(&ret->policy, expected) < 0)
        return -EIO;
    if (!key)
        return 0;
    memcpy(ret->fingerprint, key->fingerprint, sizeof(ret->fingerprint));
    ret->is_signed = true;
    return policy_key_approve(key, &ret->policy, (Bytes){0}, ret->signature, &ret->signature_size);
}

static bool same_state(const PcrSignature *a, const PcrSignature *b)
{
    return a->is_signed == b->is_signed && a->expected.bank == b->expected.bank &&
           a->expected.mask == b->expected.mask && policy_digest_equal(&a->policy, &b->policy) &&
           bytes_equal(BYTES_OF(a->fingerprint), BYTES_OF(b->fingerprint));
}

int pcr_signatures_add(PcrSignatures *signatures, const PcrSignature *entry)
{
    for (size_t i = 0; i < signatures->count; i++) {
        if (same_state(&signatures->entries[i], entry)) {
            signatures->entries[i] = *entry;
            return 0;
        }
    }
    if (signatures->count == PCR_SIGNATURES_MAX)
        return -ENOSPC;
    signatures->entries[signatures->count++] = *entry;
    return 0;
}

static void octets_put(FILE *file, char before, Bytes octets)
{
    char text[2 * POLICY_SIGNATURE_MAX + 1];

    hex_encode(octets, text);
    (void)fprintf(file, "%c%s", before, text);
}

static void entry_put(FILE *file, const PcrSignature *entry)
{
    const PcrState *state = &entry->expected;
    char pcrs[PCR_SELECTION_TEXT_SIZE];
    char before = ' ';

    pcr_mask_print(state->mask, pcrs);
    (void)fprintf(file, "%s %s", pcr_bank_name(state->bank), pcrs);
    octets_put(file, ' ', BYTES_OF(entry->policy.octets));
    if (entry->is_signed) {
        octets_put(file, ' ', BYTES_OF(entry->fingerprint));
        octets_put(file, ' ', (Bytes){entry->signature, entry->signature_size});
    } else {
        (void)fputs(" - -", file);
    }
    if (!entry->has_expected)
        (void)fputs(" -", file);
    for (unsigned i = 0; entry->has_expected && i < PCR_COUNT; i++) {
        if (state->mask >> i & 1) {
            octets_put(file, before, (Bytes){state->values[i], pcr_value_size(state->bank)});
            before = ',';
        }
    }
    (void)fputc('\n', file);
}

int pcr_signatures_encode(const PcrSignatures *signatures, char **ret)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    if (!file)
        return -ENOMEM;
    (void)fputs(PCR_SIGNATURES_HEADING "\n", file);
    for (size_t i = 0; i < signatures->count; i++)
        entry_put(file, &signatures->entries[i]);
    if (ferror(file) != 0 || fclose(file) != 0) {
        free(text);
        return -ENOMEM;
    }
    *ret = text;
    return 0;
}
