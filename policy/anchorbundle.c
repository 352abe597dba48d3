/* Reads the operator's approval of an anchor bundle, and says whether it is for that bundle. */
#include "policy/anchorbundle.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "policy/encoding.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LINE_SIZE = 16 + 2 * POLICY_SIGNATURE_MAX, HEX_SIZE = 2 * ANCHOR_DIGEST_SIZE + 1 };

#define SIGN_AGAIN "sign the bundle again with 'tre-provision sign-anchors'"
#define PEM_BEGIN "-----BEGIN PUBLIC KEY-----\n"
#define PEM_END "-----END PUBLIC KEY-----\n"

void anchor_approval_deinit(AnchorApproval *approval)
{
    policy_key_deinit(&approval->operator_key);
    *approval = (AnchorApproval){0};
}

static void approval_move(AnchorApproval *to, AnchorApproval *from)
{
    *to = *from;
    *from = (AnchorApproval){0};
}

/* The value of the next line, which is to be "name value", in `line`; NULL, and *text as it was, if
 * it is another line. */
static char *value_next(Bytes *text, const char *name, char line[LINE_SIZE])
{
    Bytes rest = *text;
    char *value = line;
    const char *found;

    if (line_next(&rest, line, LINE_SIZE) != 1)
        return NULL;
    found = word_next(&value);
    if (strcmp(found, name) != 0)
        return NULL;
    *text = rest;
    return value;
}

/* Decimal, without a sign or leading zeros: a number has one way to be written. */
static int version_take(const char *word, uint64_t *ret)
{
    uint64_t version = 0;

    if (!word || word[0] == '0' || word[0] == '\0')
        return -EINVAL;
    for (; *word != '\0'; word++) {
        if (*word < '0' || *word > '9' ||
            version > (ANCHOR_VERSION_MAX - (uint64_t)(*word - '0')) / 10)
            return -EINVAL;
        version = 10 * version + (uint64_t)(*word - '0');
    }
    *ret = version;
    return 0;
}

static int signature_take(const char *word, AnchorSignature *ret)
{
    return word && hex_decode_some(word, ret->octets, sizeof(ret->octets), &ret->size) == 0 &&
                   ret->size > 0
               ? 0
               : -EINVAL;
}

/* The lines before the key. */
static int record_take(Bytes *text, const char *name, AnchorApproval *ret, Reason *reason)
{
    char line[LINE_SIZE];
    const char *word;

    if (version_take(value_next(text, "version", line), &ret->record.version) < 0) {
        return reason_set(reason, -EINVAL,
                          "%.200s: \"version\" is not a whole number from 1 on; " SIGN_AGAIN, name);
    }
    word = value_next(text, "sha256", line);
    if (!word || hex_decode(word, ret->record.digest, ANCHOR_DIGEST_SIZE) < 0) {
        return reason_set(reason, -EINVAL,
                          "%.200s: \"sha256\" is not a SHA-256 digest in hexadecimal; " SIGN_AGAIN,
                          name);
    }
    word = value_next(text, "first", line);
    if (word && signature_take(word, &ret->signatures[ANCHOR_WRITE_FIRST]) < 0) {
        return reason_set(reason, -EINVAL,
                          "%.200s: \"first\" is not a signature in hexadecimal; " SIGN_AGAIN, name);
    }
    if (signature_take(value_next(text, "update", line), &ret->signatures[ANCHOR_WRITE_UPDATE]) <
        0) {
        return reason_set(reason, -EINVAL,
                          "%.200s: \"update\" is not a signature in hexadecimal; " SIGN_AGAIN,
                          name);
    }
    return 0;
}

/* All of `pem`: OpenSSL would let other text stand around it. */
static bool is_one_block(Bytes pem)
{
    const uint8_t *end =
        pem.size > strlen(PEM_BEGIN) ? memmem(pem.data, pem.size, PEM_END, strlen(PEM_END)) : NULL;

    return end && end + strlen(PEM_END) == pem.data + pem.size &&
           memcmp(pem.data, PEM_BEGIN, strlen(PEM_BEGIN)) == 0;
}

static int key_take(Bytes pem, const char *name, PolicyKey *ret, Reason *reason)
{
    Reason key_error = {0};

    if (is_one_block(pem) && policy_key_decode(pem, name, false, ret, &key_error) == 0)
        return 0;
    return reason_set(reason, -EINVAL,
                      "%.200s does not end in a public key in PEM, RSA-2048 or ECDSA "
                      "P-256; " SIGN_AGAIN,
                      name);
}

static int signatures_check(const AnchorApproval *approval, const char *name, Reason *reason)
{
    static const char *const write_names[ANCHOR_WRITES] = {
        [ANCHOR_WRITE_FIRST] = "first",
        [ANCHOR_WRITE_UPDATE] = "update",
    };

    for (int write = 0; write < ANCHOR_WRITES; write++) {
        const AnchorSignature *signature = &approval->signatures[write];

        if (signature->size > 0 &&
            !anchor_guard_approved(&approval->operator_key, (AnchorWrite)write, &approval->record,
                                   signature)) {
            return reason_set(
                reason, -EINVAL,
                "%.200s: \"%s\" is not the signature of the key in it over this version and "
                "digest; " SIGN_AGAIN,
                name, write_names[write]);
        }
    }
    return 0;
}

int anchor_approval_decode(Bytes text, const char *name, AnchorApproval *ret, Reason *reason)
{
    _cleanup_(anchor_approval_deinit) AnchorApproval approval = {0};
    int r;

    if (text.size > ANCHOR_APPROVAL_SIZE_MAX) {
        return reason_set(reason, -EINVAL, "%.200s has more than %d octets; " SIGN_AGAIN, name,
                          ANCHOR_APPROVAL_SIZE_MAX);
    }
    r = record_take(&text, name, &approval, reason);
    if (r == 0)
        r = key_take(text, name, &approval.operator_key, reason);
    if (r == 0)
        r = signatures_check(&approval, name, reason);
    if (r < 0)
        return r;
    approval_move(ret, &approval);
    return 0;
}

int anchor_approval_fits(const AnchorApproval *approval, Bytes bundle, const char *name,
                         Reason *reason)
{
    char expected[HEX_SIZE], found[HEX_SIZE];
    AnchorRecord record;

    if (anchor_record_make(bundle, approval->record.version, &record) < 0)
        return reason_set(reason, -EINVAL, "OpenSSL can't compute SHA-256");
    if (anchor_record_equal(&record, &approval->record))
        return 0;
    hex_encode(BYTES_OF(approval->record.digest), expected);
    hex_encode(BYTES_OF(record.digest), found);
    return reason_set(
        reason, -EINVAL,
        "%.200s has the SHA-256 %s, but the approval beside it is for %s; get both files "
        "again from the operator",
        name, found, expected);
}
