/* Reads and writes platform states as systemd-measure(1) does, in JSON; has a policy key approve of
 * them, and writes them as tred reads them. */
#include "provisioning/pcrsignature_file.h"

#include "base/file.h"
#include "policy/encoding.h"
#include "provisioning/approval.h"
#include "provisioning/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FILE_SIZE_MAX = 256 * 1024, JSON_DEPTH_MAX = 8, NUMBER_TEXT_SIZE = 8 };

static int mask_decode(struct json_object *object, uint32_t *ret)
{
    struct json_object *list = NULL;

    if (!json_object_object_get_ex(object, "pcrs", &list) ||
        !json_object_is_type(list, json_type_array))
        return -EINVAL;
    *ret = 0;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *number = json_object_array_get_idx(list, i);
        int64_t value = json_object_get_int64(number);

        if (!json_object_is_type(number, json_type_int) || value < 0 || value >= PCR_COUNT)
            return -EINVAL;
        *ret |= UINT32_C(1) << value;
    }
    return *ret == 0 ? -EINVAL : 0;
}

/* {"7":"hex", …}, a value for each PCR of the mask. */
static int values_decode(struct json_object *object, PcrState *state)
{
    const size_t size = pcr_value_size(state->bank);

    for (unsigned i = 0; i < PCR_COUNT; i++) {
        char number[NUMBER_TEXT_SIZE];
        const char *value;

        if (!(state->mask >> i & 1))
            continue;
        (void)snprintf(number, sizeof(number), "%u", i);
        value = json_member_string(object, number);
        if (!value || hex_decode(value, state->values[i], size) < 0)
            return -EINVAL;
    }
    return 0;
}

static int expected_decode(struct json_object *object, PcrSignature *entry)
{
    struct json_object *values = NULL;

    if (!json_object_object_get_ex(object, "expected", &values))
        return 0;
    if (!json_object_is_type(values, json_type_object) ||
        values_decode(values, &entry->expected) < 0)
        return -EINVAL;
    return pcr_signature_expect(entry);
}

static int signature_decode(struct json_object *object, PcrSignature *entry)
{
    const char *fingerprint = json_member_string(object, "pkfp");
    const char *signature = json_member_string(object, "sig");

    if (!fingerprint && !signature)
        return 0;
    if (!fingerprint || !signature ||
        hex_decode(fingerprint, entry->fingerprint, sizeof(entry->fingerprint)) < 0 ||
        base64_decode(signature, entry->signature, sizeof(entry->signature),
                      &entry->signature_size) < 0 ||
        entry->signature_size == 0)
        return -EINVAL;
    entry->is_signed = true;
    return 0;
}

/* What is wrong with an entry, or NULL. */
static const char *entry_decode(struct json_object *object, TPM2_ALG_ID bank, PcrSignature *ret)
{
    const char *policy = json_member_string(object, "pol");

    *ret = (PcrSignature){.expected.bank = bank};
    if (!json_object_is_type(object, json_type_object))
        return "it is not an object";
    if (mask_decode(object, &ret->expected.mask) < 0)
        return "\"pcrs\" is not a list of PCR numbers from 0 to 23";
    if (!policy || hex_decode(policy, ret->policy.octets, sizeof(ret->policy.octets)) < 0)
        return "\"pol\" is not a SHA-256 digest in hexadecimal";
    if (signature_decode(object, ret) < 0) {
        return "\"pkfp\" and \"sig\" are not a SHA-256 digest in hexadecimal and a signature in "
               "base64";
    }
    if (expected_decode(object, ret) < 0)
        return "the values in \"expected\" do not come to the digest in \"pol\"";
    return NULL;
}

static int bank_decode(struct json_object *list, const char *bank_name, const char *name,
                       PcrSignatures *ret, Reason *reason)
{
    TPM2_ALG_ID bank;

    if (pcr_bank_from_name(bank_name, &bank) < 0)
        return 0; /* systemd-measure signs for SHA-1 as well, which we have no use for */
    if (!json_object_is_type(list, json_type_array))
        return reason_set(reason, -EINVAL, "%.200s: \"%s\" is not a list", name, bank_name);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const char *flaw;

        if (ret->count == PCR_SIGNATURES_MAX) {
            return reason_set(reason, -EINVAL,
                              "%.200s holds more than %d states; take those out that no device "
                              "is in any more",
                              name, PCR_SIGNATURES_MAX);
        }
        flaw = entry_decode(json_object_array_get_idx(list, i), bank, &ret->entries[ret->count]);
        if (flaw) {
            return reason_set(reason, -EINVAL,
                              "%.200s: entry %zu of \"%s\": %s; make the file again with "
                              "'tre-provision sign-policy'",
                              name, i + 1, bank_name, flaw);
        }
        ret->count++;
    }
    return 0;
}

int pcr_signatures_json_decode(Bytes json, const char *name, PcrSignatures **ret, Reason *reason)
{
    _cleanup_(json_freep) struct json_object *root =
        json_text_parse(json, FILE_SIZE_MAX, JSON_DEPTH_MAX);
    PcrSignatures *signatures;

    if (!root) {
        return reason_set(reason, -EINVAL,
                          "%.200s is not a JSON object; make the file again with 'tre-provision "
                          "sign-policy'",
                          name);
    }
    signatures = calloc(1, sizeof(*signatures));
    if (!signatures)
        return -ENOMEM;
    json_object_object_foreach(root, bank, list)
    {
        int r = bank_decode(list, bank, name, signatures, reason);

        if (r < 0) {
            free(signatures);
            return r;
        }
    }
    *ret = signatures;
    return 0;
}

int pcr_signatures_json_read(const char *path, PcrSignatures **ret, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *json = NULL;
    size_t size = 0;
    int r = file_read(path, FILE_SIZE_MAX, &json, &size);

    if (r < 0)
        return reason_set(reason, r, "%.200s can't be read: %s", path, strerror(-r));
    return pcr_signatures_json_decode((Bytes){json, size}, path, ret, reason);
}

static bool add_hex(struct json_object *object, const char *name, Bytes bytes)
{
    char text[2 * PCR_VALUE_MAX + 1];

    hex_encode(bytes, text);
    return json_add_string(object, name, text);
}

/* The PCR numbers and, where they are known, their values. */
static bool add_pcrs(struct json_object *object, const PcrSignature *entry)
{
    const PcrState *state = &entry->expected;
    struct json_object *list = json_object_new_array();
    struct json_object *values = NULL;
    bool good = list && json_object_object_add(object, "pcrs", list) == 0;

    if (entry->has_expected) {
        values = json_object_new_object();
        good = good && values && json_object_object_add(object, "expected", values) == 0;
    }
    for (unsigned i = 0; good && i < PCR_COUNT; i++) {
        char number[NUMBER_TEXT_SIZE];

        if (!(state->mask >> i & 1))
            continue;
        (void)snprintf(number, sizeof(number), "%u", i);
        good = json_object_array_add(list, json_object_new_int((int)i)) == 0 &&
               (!values ||
                add_hex(values, number, (Bytes){state->values[i], pcr_value_size(state->bank)}));
    }
    return good;
}

static bool add_signature(struct json_object *object, const PcrSignature *entry)
{
    _cleanup_(free_charp) char *signature = NULL;

    if (!entry->is_signed)
        return true;
    return base64_encode((Bytes){entry->signature, entry->signature_size}, &signature) == 0 &&
           add_hex(object, "pkfp", BYTES_OF(entry->fingerprint)) &&
           json_add_string(object, "sig", signature);
}

static bool add_entry(struct json_object *root, const PcrSignature *entry)
{
    const char *bank = pcr_bank_name(entry->expected.bank);
    struct json_object *object = json_object_new_object();
    struct json_object *list = NULL;

    if (!json_object_object_get_ex(root, bank, &list)) {
        list = json_object_new_array();
        if (!list || json_object_object_add(root, bank, list) != 0)
            return false;
    }
    return object && json_object_array_add(list, object) == 0 && add_pcrs(object, entry) &&
           add_hex(object, "pol", BYTES_OF(entry->policy.octets)) && add_signature(object, entry);
}

int pcr_signatures_json_encode(const PcrSignatures *signatures, char **ret)
{
    _cleanup_(json_freep) struct json_object *root = json_object_new_object();
    char *text;

    for (size_t i = 0; i < signatures->count; i++) {
        if (!root || !add_entry(root, &signatures->entries[i]))
            return -ENOMEM;
    }
    if (!root || asprintf(&text, "%s\n",
                          json_object_to_json_string_ext(
                              root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)) < 0)
        return -ENOMEM;
    *ret = text;
    return 0;
}

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
