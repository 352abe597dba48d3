/* The device key's file, one ASN.1 structure of TSS2 PRIVATE KEY around the TPM's own public and
 * private area; and the file with the Name of the storage root key that it stands under. */
#include "policy/tss2key.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "crypto/openssl.h"
#include "policy/encoding.h"

#include <errno.h>
#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#define TSS2KEY_LABEL "TSS2 PRIVATE KEY"
#define TSS2KEY_LOADABLE_OID "2.23.133.10.1.3" /* TCG: id-loadablekey */

enum { TSS2KEY_FILE_MAX = 64 * 1024, OID_TEXT_SIZE = 80 };

typedef struct Tss2KeyAsn1 {
    ASN1_OBJECT *type;
    ASN1_BOOLEAN empty_auth;
    ASN1_TYPE *policy;
    ASN1_TYPE *secret;
    ASN1_TYPE *auth_policy;
    ASN1_TYPE *description;
    ASN1_TYPE *rsa_parent;
    ASN1_INTEGER *parent;
    ASN1_OCTET_STRING *public;
    ASN1_OCTET_STRING *private;
} Tss2KeyAsn1;

/* What is optional and not for us is read all the same, so that it can be refused by name. */
ASN1_SEQUENCE(Tss2KeyAsn1) = {
    ASN1_SIMPLE(Tss2KeyAsn1, type, ASN1_OBJECT),
    ASN1_EXP_OPT(Tss2KeyAsn1, empty_auth, ASN1_BOOLEAN, 0),
    ASN1_EXP_OPT(Tss2KeyAsn1, policy, ASN1_ANY, 1),
    ASN1_EXP_OPT(Tss2KeyAsn1, secret, ASN1_ANY, 2),
    ASN1_EXP_OPT(Tss2KeyAsn1, auth_policy, ASN1_ANY, 3),
    ASN1_EXP_OPT(Tss2KeyAsn1, description, ASN1_ANY, 4),
    ASN1_EXP_OPT(Tss2KeyAsn1, rsa_parent, ASN1_ANY, 5),
    ASN1_SIMPLE(Tss2KeyAsn1, parent, ASN1_INTEGER),
    ASN1_SIMPLE(Tss2KeyAsn1, public, ASN1_OCTET_STRING),
    ASN1_SIMPLE(Tss2KeyAsn1, private, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(Tss2KeyAsn1);

static void asn1_freep(Tss2KeyAsn1 **asn1)
{
    ASN1_item_free((ASN1_VALUE *)*asn1, ASN1_ITEM_rptr(Tss2KeyAsn1));
}

/* The first block with our label, as DER. `ret` is for OPENSSL_free(). */
static int pem_find(Bytes pem, unsigned char **ret, long *ret_size, Reason *reason)
{
    _cleanup_(BIO_free_allp) BIO *bio = NULL;
    char other[64] = "";

    if (pem.size > TSS2KEY_FILE_MAX) {
        return reason_set(reason, -EINVAL,
                          "the key file is larger than %d octets; a TSS2 PRIVATE KEY is not",
                          TSS2KEY_FILE_MAX);
    }
    bio = BIO_new_mem_buf(pem.data ? (const void *)pem.data : "", (int)pem.size);
    if (!bio)
        return -ENOMEM;
    for (;;) {
        _cleanup_(openssl_free_textp) char *label = NULL;
        _cleanup_(openssl_free_textp) char *header = NULL;
        _cleanup_(openssl_free_bytesp) unsigned char *der = NULL;
        long size;

        if (PEM_read_bio(bio, &label, &header, &der, &size) != 1)
            break;
        if (strcmp(label, TSS2KEY_LABEL) == 0) {
            *ret = steal_pointer(der);
            *ret_size = size;
            return 0;
        }
        (void)snprintf(other, sizeof(other), " (but a block %.40s)", label);
    }
    ERR_clear_error();
    return reason_set(reason, -EINVAL,
                      "no readable block " TSS2KEY_LABEL
                      " was found%s; make the key in the TPM with "
                      "'tre-provision init'",
                      other);
}

static int asn1_check(const Tss2KeyAsn1 *asn1, Reason *reason)
{
    char oid[OID_TEXT_SIZE] = "";
    const struct {
        const ASN1_TYPE *value;
        const char *what;
    } unsupported[] = {
        {asn1->policy, "a TPM policy (field 1)"},
        {asn1->secret, "an import secret (field 2)"},
        {asn1->auth_policy, "signed policies (field 3)"},
        {asn1->rsa_parent, "a parent made from the RSA template (field 5)"},
    };

    (void)OBJ_obj2txt(oid, sizeof(oid), asn1->type, 1);
    if (strcmp(oid, TSS2KEY_LOADABLE_OID) != 0) {
        return reason_set(reason, -EINVAL,
                          "the key is of the type %s, not a loadable key (%s); make it with "
                          "'tre-provision init'",
                          oid, TSS2KEY_LOADABLE_OID);
    }
    for (size_t i = 0; i < ELEMENTS(unsupported); i++) {
        if (unsupported[i].value) {
            return reason_set(
                reason, -EINVAL,
                "the key comes with %s, which is not supported; make a key without it "
                "('tre-provision init')",
                unsupported[i].what);
        }
    }
    return 0;
}

static int parent_decode(const ASN1_INTEGER *integer, TPM2_HANDLE *ret, Reason *reason)
{
    uint64_t parent;

    if (ASN1_INTEGER_get_uint64(&parent, integer) != 1 || parent > UINT32_MAX) {
        ERR_clear_error();
        return reason_set(reason, -EINVAL,
                          "the key's parent is not a TPM handle; the file is damaged, make the "
                          "key anew with 'tre-provision init'");
    }
    if (parent == 0)
        parent = TPM2_RH_OWNER; /* as the first writers of this format put it */
    if (parent != TPM2_RH_OWNER && parent >> TPM2_HR_SHIFT != TPM2_HT_PERSISTENT) {
        return reason_set(
            reason, -EINVAL,
            "the key's parent 0x%08x is neither a persistent handle (0x81......) nor the "
            "owner hierarchy (0x40000001); make the key with 'tre-provision init'",
            (unsigned)parent);
    }
    *ret = (TPM2_HANDLE)parent;
    return 0;
}

/* Both areas are unmarshalled and marshalled again: what does not come out as it went in has
 * lengths that contradict each other. */
static bool public_decode(const ASN1_OCTET_STRING *string, TPM2B_PUBLIC *ret)
{
    const Bytes in = {ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string)};
    uint8_t again[sizeof(*ret)];
    size_t offset = 0;
    size_t size = 0;

    *ret = (TPM2B_PUBLIC){0};
    return Tss2_MU_TPM2B_PUBLIC_Unmarshal(in.data, in.size, &offset, ret) == TSS2_RC_SUCCESS &&
           Tss2_MU_TPM2B_PUBLIC_Marshal(ret, again, sizeof(again), &size) == TSS2_RC_SUCCESS &&
           bytes_equal(in, (Bytes){again, size});
}

static bool private_decode(const ASN1_OCTET_STRING *string, TPM2B_PRIVATE *ret)
{
    const Bytes in = {ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string)};
    size_t offset = 0;

    *ret = (TPM2B_PRIVATE){0};
    return Tss2_MU_TPM2B_PRIVATE_Unmarshal(in.data, in.size, &offset, ret) == TSS2_RC_SUCCESS &&
           offset == in.size && ret->size > 0;
}

int tss2key_decode(Bytes pem, Tss2Key *ret, Reason *reason)
{
    _cleanup_(openssl_free_bytesp) unsigned char *der = NULL;
    _cleanup_(asn1_freep) Tss2KeyAsn1 *asn1 = NULL;
    const unsigned char *end;
    Tss2Key key = {0};
    long size = 0;
    int r;

    r = pem_find(pem, &der, &size, reason);
    if (r < 0)
        return r;
    end = der;
    asn1 = (Tss2KeyAsn1 *)ASN1_item_d2i(NULL, &end, size, ASN1_ITEM_rptr(Tss2KeyAsn1));
    if (!asn1 || end != der + size) {
        ERR_clear_error();
        return reason_set(reason, -EINVAL,
                          "the block " TSS2KEY_LABEL " is not the ASN.1 of a TPM key; the file "
                          "is damaged, make the key anew with 'tre-provision init'");
    }
    r = asn1_check(asn1, reason);
    if (r < 0)
        return r;
    r = parent_decode(asn1->parent, &key.parent, reason);
    if (r < 0)
        return r;
    /* An absent [0] is -1 to OpenSSL, and means that there is an authorization value. */
    key.empty_auth = asn1->empty_auth > 0;
    if (!public_decode(asn1->public, &key.public) || !private_decode(asn1->private, &key.private)) {
        return reason_set(reason, -EINVAL,
                          "the key's public or private area is not a TPM structure; the file is "
                          "damaged, make the key anew with 'tre-provision init'");
    }
    *ret = key;
    return 0;
}

int tss2key_read(const char *path, Tss2Key *ret, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *pem = NULL;
    Reason what = {0};
    size_t size = 0;
    int r;

    r = file_read(path, TSS2KEY_FILE_MAX, &pem, &size);
    if (r < 0) {
        return reason_set(reason, r, "%.200s can't be read: %s%s", path, strerror(-r),
                          r == -ENOENT ? "; make the device key with 'tre-provision init'" : "");
    }
    r = tss2key_decode((Bytes){pem, size}, ret, &what);
    if (r < 0)
        reason_set(reason, -EINVAL, "%.200s: %.300s", path, what.text);
    return r;
}

static int asn1_fill(const Tss2Key *key, Tss2KeyAsn1 *asn1)
{
    uint8_t public[sizeof(key->public)];
    uint8_t private[sizeof(key->private)];
    size_t public_size = 0;
    size_t private_size = 0;

    if (Tss2_MU_TPM2B_PUBLIC_Marshal(&key->public, public, sizeof(public), &public_size) ||
        Tss2_MU_TPM2B_PRIVATE_Marshal(&key->private, private, sizeof(private), &private_size))
        return -EINVAL;
    asn1->type = OBJ_txt2obj(TSS2KEY_LOADABLE_OID, 1);
    asn1->empty_auth = key->empty_auth ? 0xff : -1;
    if (!asn1->type || ASN1_INTEGER_set_uint64(asn1->parent, key->parent) != 1 ||
        ASN1_STRING_set(asn1->public, public, (int)public_size) != 1 ||
        ASN1_STRING_set(asn1->private, private, (int)private_size) != 1)
        return -ENOMEM;
    return 0;
}

int tss2key_encode(const Tss2Key *key, char **ret)
{
    _cleanup_(asn1_freep) Tss2KeyAsn1 *asn1 = NULL;
    _cleanup_(openssl_free_bytesp) unsigned char *der = NULL;
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long text_size;
    char *pem;
    int size;
    int r;

    asn1 = (Tss2KeyAsn1 *)ASN1_item_new(ASN1_ITEM_rptr(Tss2KeyAsn1));
    if (!asn1 || !bio)
        return -ENOMEM;
    r = asn1_fill(key, asn1);
    if (r < 0)
        return r;
    size = ASN1_item_i2d((ASN1_VALUE *)asn1, &der, ASN1_ITEM_rptr(Tss2KeyAsn1));
    if (size <= 0 || PEM_write_bio(bio, TSS2KEY_LABEL, "", der, size) <= 0)
        return -ENOMEM;
    text_size = BIO_get_mem_data(bio, &text);
    pem = strndup(text, (size_t)text_size);
    if (!pem)
        return -ENOMEM;
    *ret = pem;
    return 0;
}

enum { NAME_SIZE = 2 + 32 }; /* hash algorithm and SHA-256 (TPM 2.0 Part 1, 16) */

int srk_name_read(const char *path, TPM2B_NAME *ret, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    size_t size = 0;
    int r;

    r = file_read(path, SRK_NAME_TEXT_SIZE, &text, &size);
    if (r < 0)
        return reason_set(reason, r, "%.200s can't be read: %s", path, strerror(-r));
    text[strcspn((char *)text, "\n")] = '\0';
    if (hex_decode((const char *)text, ret->name, NAME_SIZE) < 0) {
        return reason_set(
            reason, -EINVAL,
            "%.200s does not hold a TPM Name of %d octets in hexadecimal; provision the "
            "device again",
            path, NAME_SIZE);
    }
    ret->size = NAME_SIZE;
    return 0;
}

void srk_name_print(const TPM2B_NAME *name, char *ret)
{
    hex_encode((Bytes){name->name, name->size}, ret);
    memcpy(ret + strlen(ret), "\n", 2);
}
