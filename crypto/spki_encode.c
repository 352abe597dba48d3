/* SubjectPublicKeyInfo of a public key. */
#include "crypto/spki.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <string.h>

enum { GROUP_NAME_SIZE = 32 };

DEFINE_POINTER_CLEANUP(X509_PUBKEY, X509_PUBKEY_free);

/* Adds an INTEGER. */
static bool number_push(AsnSequence *numbers, const EVP_PKEY *key, const char *name)
{
    _cleanup_(BN_freep) BIGNUM *number = NULL;
    ASN1_INTEGER *integer = NULL;
    ASN1_TYPE *element = ASN1_TYPE_new();

    if (element && EVP_PKEY_get_bn_param(key, name, &number) == 1)
        integer = BN_to_ASN1_INTEGER(number, NULL);
    if (!integer) {
        ASN1_TYPE_free(element);
        return false;
    }
    ASN1_TYPE_set(element, V_ASN1_INTEGER, integer);
    if (sk_ASN1_TYPE_push(numbers, element) > 0)
        return true;
    ASN1_TYPE_free(element);
    return false;
}

/* RSAPublicKey's size, or 0. */
static int rsa_encode(const EVP_PKEY *key, unsigned char **ret)
{
    _cleanup_(asn_sequence_freep) AsnSequence *numbers = sk_ASN1_TYPE_new_null();

    if (!numbers || !number_push(numbers, key, OSSL_PKEY_PARAM_RSA_N) ||
        !number_push(numbers, key, OSSL_PKEY_PARAM_RSA_E))
        return 0;
    const int size = i2d_ASN1_SEQUENCE_ANY(numbers, ret);
    return size > 0 ? size : 0;
}

/* The curve's number, or NID_undef. */
static int curve_of(const EVP_PKEY *key)
{
    char group[GROUP_NAME_SIZE] = "";

    if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1) {
        for (size_t i = 0; i < SPKI_CURVES; i++) {
            if (strcmp(group, spki_curves[i].group) == 0)
                return spki_curves[i].nid;
        }
    }
    return NID_undef;
}

/* -EOPNOTSUPP or -ENOMEM, or 0. */
static int parts_set(const EVP_PKEY *key, X509_PUBKEY *info)
{
    const bool is_rsa = EVP_PKEY_is_a(key, "RSA");
    const int curve = is_rsa ? NID_undef : curve_of(key);
    unsigned char *octets = NULL;
    size_t size;
    int set;

    if (!is_rsa && curve == NID_undef)
        return -EOPNOTSUPP;
    union {
        const EVP_PKEY *constant;
        EVP_PKEY *plain;
    } same = {.constant = key}; /* OpenSSL only reads it */
    size = is_rsa ? (size_t)rsa_encode(key, &octets)
                  : EVP_PKEY_get1_encoded_public_key(same.plain, &octets);
    if (size == 0)
        return -ENOMEM;
    set = is_rsa ? X509_PUBKEY_set0_param(info, OBJ_nid2obj(NID_rsaEncryption), V_ASN1_NULL, NULL,
                                          octets, (int)size)
                 : X509_PUBKEY_set0_param(info, OBJ_nid2obj(NID_X9_62_id_ecPublicKey),
                                          V_ASN1_OBJECT, OBJ_nid2obj(curve), octets, (int)size);
    if (set == 1)
        return 0;
    OPENSSL_free(octets);
    return -ENOMEM;
}

int spki_encode(const EVP_PKEY *key, unsigned char **ret)
{
    _cleanup_(X509_PUBKEY_freep) X509_PUBKEY *info = X509_PUBKEY_new();
    int r = info ? parts_set(key, info) : -ENOMEM;

    if (r < 0)
        return r;
    *ret = NULL;
    const int size = i2d_X509_PUBKEY(info, ret);
    return size > 0 ? size : -ENOMEM;
}
