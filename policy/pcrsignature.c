/* Reads the platform states that were approved of. */
#include "policy/pcrsignature.h"

#include "base/bytes.h"
#include "base/file.h"
#include "policy/encoding.h"

#include <errno.h>
#include <string.h>

enum {
    FILE_SIZE_MAX = 256 * 1024,
    /* Bank, PCRs, two digests, a signature and a value for each PCR, in hexadecimal. */
    LINE_SIZE = 16 + PCR_SELECTION_TEXT_SIZE + 4 * POLICY_DIGEST_SIZE + 2 * POLICY_SIGNATURE_MAX +
                PCR_COUNT * (2 * PCR_VALUE_MAX + 1) + 8,
};

#define INSTALL_AGAIN "install the vendor's file again with 'tre-provision install-policy'"

static bool is_none(const char *word)
{
    return strcmp(word, "-") == 0;
}

static int signature_take(const char *fingerprint, const char *signature, PcrSignature *entry)
{
    if (is_none(fingerprint) && is_none(signature))
        return 0;
    if (hex_decode(fingerprint, entry->fingerprint, sizeof(entry->fingerprint)) < 0 ||
        hex_decode_some(signature, entry->signature, sizeof(entry->signature),
                        &entry->signature_size) < 0 ||
        entry->signature_size == 0)
        return -EINVAL;
    entry->is_signed = true;
    return 0;
}

int pcr_signature_expect(PcrSignature *entry)
{
    PolicyDigest digest = {0};

    if (policy_digest_pcr(&digest, &entry->expected) < 0 ||
        !policy_digest_equal(&digest, &entry->policy))
        return -EINVAL;
    entry->has_expected = true;
    return 0;
}

/* A value for each PCR of the mask, in their order, with commas between. */
static int values_take(char *text, PcrSignature *entry)
{
    PcrState *state = &entry->expected;

    if (is_none(text))
        return 0;
    for (unsigned i = 0; i < PCR_COUNT; i++) {
        const char *value;

        if (!(state->mask >> i & 1))
            continue;
        value = strsep(&text, ",");
        if (!value || hex_decode(value, state->values[i], pcr_value_size(state->bank)) < 0)
            return -EINVAL;
    }
    return text ? -EINVAL : pcr_signature_expect(entry);
}

/* What is wrong with a line, or NULL. */
static const char *entry_take(char *line, PcrSignature *ret)
{
    const char *bank = word_next(&line), *pcrs = word_next(&line), *policy = word_next(&line);
    const char *fingerprint = word_next(&line), *signature = word_next(&line);
    char *values = word_next(&line);

    *ret = (PcrSignature){0};
    if (!values || line) /* with the sixth there are those before it */
        return "it does not have six words";
    if (pcr_bank_from_name(bank, &ret->expected.bank) < 0)
        return "its first word is neither sha256 nor sha384";
    if (pcr_mask_parse(pcrs, &ret->expected.mask) < 0)
        return "its second word is not a list of PCRs from 0 to 23";
    if (hex_decode(policy, ret->policy.octets, sizeof(ret->policy.octets)) < 0)
        return "its third word is not a SHA-256 digest in hexadecimal";
    if (signature_take(fingerprint, signature, ret) < 0)
        return "its fourth and fifth word are not a SHA-256 digest and a signature in hexadecimal";
    if (values_take(values, ret) < 0)
        return "the values in its sixth word do not come to the digest in its third";
    return NULL;
}

static int entries_take(Bytes text, const char *name, PcrSignatures *ret, Reason *reason)
{
    char line[LINE_SIZE];
    const char *flaw = NULL;
    size_t number = 1;
    int r;

    if (line_next(&text, line, sizeof(line)) != 1 || strcmp(line, PCR_SIGNATURES_HEADING) != 0) {
        return reason_set(
            reason, -EINVAL,
            "%.200s does not begin with \"" PCR_SIGNATURES_HEADING "\"; " INSTALL_AGAIN, name);
    }
    while ((r = line_next(&text, line, sizeof(line))) != 0) {
        number++;
        if (r < 0) {
            flaw = "it is too long, is not printable, or does not end";
        } else if (ret->count == PCR_SIGNATURES_MAX) {
            flaw = "it is a state too many";
        } else {
            flaw = entry_take(line, &ret->entries[ret->count]);
        }
        if (flaw) {
            return reason_set(reason, -EINVAL, "%.200s, line %zu: %s; " INSTALL_AGAIN, name, number,
                              flaw);
        }
        ret->count++;
    }
    return 0;
}

int pcr_signatures_decode(Bytes text, const char *name, PcrSignatures **ret, Reason *reason)
{
    PcrSignatures *signatures = calloc(1, sizeof(*signatures));
    int r;

    if (!signatures)
        return -ENOMEM;
    r = entries_take(text, name, signatures, reason);
    if (r < 0) {
        free(signatures);
        return r;
    }
    *ret = signatures;
    return 0;
}

int pcr_signatures_read(const char *path, PcrSignatures **ret, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    size_t size = 0;
    int r = file_read(path, FILE_SIZE_MAX, &text, &size);

    if (r < 0) {
        return reason_set(reason, r, "%.200s can't be read: %s%s", path, strerror(-r),
                          r == -ENOENT ? "; " INSTALL_AGAIN : "");
    }
    return pcr_signatures_decode((Bytes){text, size}, path, ret, reason);
}
