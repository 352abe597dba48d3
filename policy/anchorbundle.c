/* Which anchors did the operator approve of, and in which file does that stand? */
#include "policy/anchorbundle.h"

#include "base/file.h"
#include "crypto/openssl.h"
#include "policy/encoding.h"
#include "policy/json.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { JSON_DEPTH_MAX = 2, HEX_SIZE = 2 * ANCHOR_DIGEST_SIZE + 1 };

#define SIGN_AGAIN "sign the bundle again with 'tre-provision sign-anchors'"

static const char *const write_names[ANCHOR_WRITES] = {
    [ANCHOR_WRITE_FIRST] = "first",
    [ANCHOR_WRITE_UPDATE] = "update",
};

__attribute__((format(printf, 2, 3))) static int refuse(char *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(error, ANCHOR_APPROVAL_ERROR_SIZE, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

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

/* What a file holds of the operator's key: the public half, whatever `key` has. */
static int key_encode(const PolicyKey *key, char *ret)
{
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long size;

    if (!bio || PEM_write_bio_PUBKEY(bio, key->pkey) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    size = BIO_get_mem_data(bio, &text);
    if (size <= 0 || size >= ANCHOR_KEY_PEM_MAX)
        return -EIO;
    memcpy(ret, text, (size_t)size);
    ret[size] = '\0';
    return 0;
}

static int key_copy_public(const PolicyKey *key, PolicyKey *ret)
{
    char error[POLICY_KEY_ERROR_SIZE] = "";
    char pem[ANCHOR_KEY_PEM_MAX];

    if (key_encode(key, pem) < 0)
        return -EIO;
    return policy_key_decode((Bytes){(const uint8_t *)pem, strlen(pem)}, "the operator's key",
                             false, ret, error);
}

int anchor_approval_make(const PolicyKey *operator_key, Bytes bundle, uint64_t version, bool first,
                         AnchorApproval *ret)
{
    _cleanup_(anchor_approval_deinit) AnchorApproval approval = {0};
    int r;

    if (version == 0 || version > ANCHOR_VERSION_MAX)
        return -EINVAL;
    r = anchor_record_make(bundle, version, &approval.record);
    if (r == 0)
        r = key_copy_public(operator_key, &approval.operator_key);
    for (int write = 0; r == 0 && write < ANCHOR_WRITES; write++) {
        if (write != ANCHOR_WRITE_FIRST || first) {
            r = anchor_guard_approve(operator_key, (AnchorWrite)write, &approval.record,
                                     &approval.signatures[write]);
        }
    }
    if (r < 0)
        return r;
    approval_move(ret, &approval);
    return 0;
}

/* True for a text with \uXXXX in it: a name written so could be one that is there already. */
static bool has_unicode_escapes(Bytes json)
{
    return json.size > 0 && memmem(json.data, json.size, "\\u", 2);
}

static int version_decode(struct json_object *root, uint64_t *ret)
{
    struct json_object *member = NULL;
    int64_t version;

    if (!json_object_object_get_ex(root, "version", &member) ||
        !json_object_is_type(member, json_type_int))
        return -EINVAL;
    version = json_object_get_int64(member);
    /* A number that is larger comes out as the largest there is. */
    if (version < 1 || json_object_get_uint64(member) != (uint64_t)version)
        return -EINVAL;
    *ret = (uint64_t)version;
    return 0;
}

static int key_decode(struct json_object *root, const char *name, PolicyKey *ret, char *error)
{
    const char *pem = json_member_string(root, "key");
    const char *fingerprint = json_member_string(root, "pkfp");
    uint8_t octets[POLICY_KEY_FINGERPRINT_SIZE];
    char key_error[POLICY_KEY_ERROR_SIZE] = "";

    if (!pem || strlen(pem) >= ANCHOR_KEY_PEM_MAX ||
        policy_key_decode((Bytes){(const uint8_t *)pem, strlen(pem)}, name, false, ret, key_error) <
            0) {
        return refuse(
            error,
            "%.200s: \"key\" is not a public key in PEM, RSA-2048 or ECDSA P-256; " SIGN_AGAIN,
            name);
    }
    if (!fingerprint || hex_decode(fingerprint, octets, sizeof(octets)) < 0 ||
        !bytes_equal(BYTES_OF(octets), BYTES_OF(ret->fingerprint))) {
        return refuse(error, "%.200s: \"pkfp\" is not the fingerprint of \"key\"; " SIGN_AGAIN,
                      name);
    }
    return 0;
}

static int signature_decode(struct json_object *root, AnchorWrite write, const char *name,
                            AnchorApproval *approval, char *error)
{
    const char *text = json_member_string(root, write_names[write]);
    AnchorSignature *signature = &approval->signatures[write];

    if (!text && write == ANCHOR_WRITE_FIRST && !json_object_object_get(root, write_names[write]))
        return 0;
    if (!text ||
        base64_decode(text, signature->octets, sizeof(signature->octets), &signature->size) < 0 ||
        signature->size == 0) {
        return refuse(error, "%.200s: \"%s\" is not a signature in base64; " SIGN_AGAIN, name,
                      write_names[write]);
    }
    if (!anchor_guard_approved(&approval->operator_key, write, &approval->record, signature)) {
        return refuse(error,
                      "%.200s: \"%s\" is not the signature of \"key\" over this version and "
                      "digest; " SIGN_AGAIN,
                      name, write_names[write]);
    }
    return 0;
}

static bool member_is_known(const char *name)
{
    static const char *const names[] = {"version", "sha256", "key", "pkfp", "first", "update"};

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* How often `"name"` stands in the text. A member that is there twice would be another thing to
 * every reader. */
static size_t count_of(Bytes json, const char *name)
{
    char quoted[16];
    const int length = snprintf(quoted, sizeof(quoted), "\"%s\"", name);
    size_t count = 0;

    for (size_t i = 0; i + (size_t)length <= json.size; i++)
        count += memcmp(json.data + i, quoted, (size_t)length) == 0;
    return count;
}

static int members_check(struct json_object *root, Bytes json, const char *name, char *error)
{
    json_object_object_foreach(root, member, value)
    {
        (void)value;
        if (!member_is_known(member)) {
            return refuse(error,
                          "%.200s has a member \"%.40s\", which has no place there; " SIGN_AGAIN,
                          name, member);
        }
        if (count_of(json, member) != 1)
            return refuse(error, "%.200s has \"%s\" more than once; " SIGN_AGAIN, name, member);
    }
    return 0;
}

static int approval_decode(struct json_object *root, const char *name, AnchorApproval *approval,
                           char *error)
{
    const char *digest = json_member_string(root, "sha256");
    int r;

    if (version_decode(root, &approval->record.version) < 0) {
        return refuse(error, "%.200s: \"version\" is not a whole number from 1 on; " SIGN_AGAIN,
                      name);
    }
    if (!digest || hex_decode(digest, approval->record.digest, ANCHOR_DIGEST_SIZE) < 0) {
        return refuse(
            error, "%.200s: \"sha256\" is not a SHA-256 digest in hexadecimal; " SIGN_AGAIN, name);
    }
    r = key_decode(root, name, &approval->operator_key, error);
    for (int write = 0; r == 0 && write < ANCHOR_WRITES; write++)
        r = signature_decode(root, (AnchorWrite)write, name, approval, error);
    return r;
}

int anchor_approval_decode(Bytes json, const char *name, AnchorApproval *ret, char *error)
{
    _cleanup_(json_freep) struct json_object *root =
        has_unicode_escapes(json) ? NULL
                                  : json_text_parse(json, ANCHOR_APPROVAL_SIZE_MAX, JSON_DEPTH_MAX);
    _cleanup_(anchor_approval_deinit) AnchorApproval approval = {0};
    int r;

    if (!root) {
        return refuse(error, "%.200s is not a JSON object of at most %d octets; " SIGN_AGAIN, name,
                      ANCHOR_APPROVAL_SIZE_MAX);
    }
    r = members_check(root, json, name, error);
    if (r == 0)
        r = approval_decode(root, name, &approval, error);
    if (r < 0)
        return r;
    approval_move(ret, &approval);
    return 0;
}

int anchor_approval_read(const char *path, AnchorApproval *ret, char *error)
{
    _cleanup_(free_bytesp) uint8_t *json = NULL;
    size_t size = 0;
    int r = file_read(path, ANCHOR_APPROVAL_SIZE_MAX, &json, &size);

    if (r < 0) {
        (void)refuse(error, "%.200s can't be read: %s", path, strerror(-r));
        return r;
    }
    return anchor_approval_decode((Bytes){json, size}, path, ret, error);
}

static bool add(struct json_object *root, const char *name, struct json_object *member)
{
    return member && json_object_object_add(root, name, member) == 0;
}

static bool add_hex(struct json_object *root, const char *name, const uint8_t *digest)
{
    char text[HEX_SIZE];

    hex_encode((Bytes){digest, ANCHOR_DIGEST_SIZE}, text);
    return add(root, name, json_object_new_string(text));
}

static bool add_signature(struct json_object *root, const char *name,
                          const AnchorSignature *signature)
{
    _cleanup_(free_charp) char *text = NULL;

    return signature->size == 0 ||
           (base64_encode((Bytes){signature->octets, signature->size}, &text) == 0 &&
            add(root, name, json_object_new_string(text)));
}

int anchor_approval_encode(const AnchorApproval *approval, char **ret)
{
    _cleanup_(json_freep) struct json_object *root = json_object_new_object();
    char key[ANCHOR_KEY_PEM_MAX];
    char *text;
    bool good;

    _Static_assert((int)ANCHOR_DIGEST_SIZE == (int)POLICY_KEY_FINGERPRINT_SIZE, "both SHA-256");
    if (key_encode(&approval->operator_key, key) < 0)
        return -EIO;
    good = root && add(root, "version", json_object_new_int64((int64_t)approval->record.version)) &&
           add_hex(root, "sha256", approval->record.digest) &&
           add(root, "key", json_object_new_string(key)) &&
           add_hex(root, "pkfp", approval->operator_key.fingerprint);
    for (int write = 0; good && write < ANCHOR_WRITES; write++)
        good = add_signature(root, write_names[write], &approval->signatures[write]);
    if (!good || asprintf(&text, "%s\n",
                          json_object_to_json_string_ext(
                              root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)) < 0)
        return -ENOMEM;
    *ret = text;
    return 0;
}

int anchor_approval_fits(const AnchorApproval *approval, Bytes bundle, const char *name,
                         char *error)
{
    char expected[HEX_SIZE], found[HEX_SIZE];
    AnchorRecord record;

    if (anchor_record_make(bundle, approval->record.version, &record) < 0)
        return refuse(error, "OpenSSL can't compute SHA-256");
    if (anchor_record_equal(&record, &approval->record))
        return 0;
    hex_encode(BYTES_OF(approval->record.digest), expected);
    hex_encode(BYTES_OF(record.digest), found);
    return refuse(error,
                  "%.200s has the SHA-256 %s, but the approval beside it is for %s; get both files "
                  "again from the operator",
                  name, found, expected);
}
