/* Public keys from numbers and from SubjectPublicKeyInfo. */
#include "crypto/spki.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

enum { GROUP_NAME_SIZE = 32 };

const SpkiCurve spki_curves[SPKI_CURVES] = {{NID_X9_62_prime256v1, SN_X9_62_prime256v1},
                                            {NID_secp384r1, SN_secp384r1}};

static int key_from(const char *type, OSSL_PARAM *params, EVP_PKEY **ret)
{
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *context =
        EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        ERR_clear_error();
        return -EBADMSG;
    }
    *ret = key;
    return 0;
}

int ec_key_new(const char *group, Bytes point, EVP_PKEY **ret)
{
    const union {
        const uint8_t *read;
        void *base;
    } octets = {.read = point.data}; /* OSSL_PARAM takes no const; OpenSSL only reads it */
    char name[GROUP_NAME_SIZE];

    (void)snprintf(name, sizeof(name), "%s", group);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets.base, point.size),
        OSSL_PARAM_construct_end(),
    };
    return key_from("EC", params, ret);
}

int rsa_key_new(Bytes modulus, Bytes exponent, EVP_PKEY **ret)
{
    _cleanup_(OSSL_PARAM_BLD_freep) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    _cleanup_(OSSL_PARAM_freep) OSSL_PARAM *params = NULL;
    _cleanup_(BN_freep) BIGNUM *n = BN_bin2bn(modulus.data, (int)modulus.size, NULL);
    _cleanup_(BN_freep) BIGNUM *e = BN_bin2bn(exponent.data, (int)exponent.size, NULL);

    if (!builder || !n || !e || OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) != 1)
        return -EBADMSG;
    params = OSSL_PARAM_BLD_to_param(builder);
    return params ? key_from("RSA", params, ret) : -EBADMSG;
}

/* One SEQUENCE of `count` elements, with nothing after it; NULL if it is none. OpenSSL takes the
 * identifier without its bit for a constructed encoding, too, which X.690 8.9.1 asks for. */
static AsnSequence *sequence_decode(Bytes der, int count)
{
    const unsigned char *cursor = der.data;
    _cleanup_(asn_sequence_freep) AsnSequence *sequence = NULL;

    if (der.size == 0 || der.data[0] != (V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED))
        return NULL;
    sequence = d2i_ASN1_SEQUENCE_ANY(NULL, &cursor, (long)der.size);
    if (!sequence || cursor != der.data + der.size || sk_ASN1_TYPE_num(sequence) != count)
        return NULL;
    return steal_pointer(sequence);
}

static Bytes string_bytes(const ASN1_STRING *string)
{
    return (Bytes){ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string)};
}

/* An INTEGER that is not negative: OpenSSL has the sign of one apart from its octets. */
static bool is_positive(const ASN1_TYPE *element)
{
    return element->type == V_ASN1_INTEGER &&
           ASN1_STRING_type(element->value.integer) == V_ASN1_INTEGER;
}

/* RFC 8017 A.1.1: RSAPublicKey. */
static int rsa_decode(Bytes der, EVP_PKEY **ret)
{
    _cleanup_(asn_sequence_freep) AsnSequence *numbers = sequence_decode(der, 2);

    for (int i = 0; numbers && i < 2; i++) {
        if (!is_positive(sk_ASN1_TYPE_value(numbers, i)))
            return -EBADMSG;
    }
    return numbers ? rsa_key_new(string_bytes(sk_ASN1_TYPE_value(numbers, 0)->value.integer),
                                 string_bytes(sk_ASN1_TYPE_value(numbers, 1)->value.integer), ret)
                   : -EBADMSG;
}

/* By the AlgorithmIdentifier: RFC 5480 2.1.1, RFC 3279 2.3.1. */
static int key_decode(const X509_ALGOR *algorithm, Bytes key, EVP_PKEY **ret)
{
    const ASN1_OBJECT *kind = NULL;
    const void *parameter = NULL;
    int type = V_ASN1_UNDEF;

    X509_ALGOR_get0(&kind, &type, &parameter, algorithm);
    if (OBJ_obj2nid(kind) == NID_rsaEncryption)
        return type == V_ASN1_NULL ? rsa_decode(key, ret) : -EBADMSG;
    if (OBJ_obj2nid(kind) != NID_X9_62_id_ecPublicKey || type != V_ASN1_OBJECT)
        return -EOPNOTSUPP;
    for (size_t i = 0; i < SPKI_CURVES; i++) {
        if (OBJ_obj2nid(parameter) == spki_curves[i].nid)
            return ec_key_new(spki_curves[i].group, key, ret);
    }
    return -EOPNOTSUPP;
}

int spki_decode(Bytes der, EVP_PKEY **ret)
{
    _cleanup_(asn_sequence_freep) AsnSequence *info = sequence_decode(der, 2);
    _cleanup_(X509_ALGOR_freep) X509_ALGOR *algorithm = NULL;
    int r = -EBADMSG;

    if (info && sk_ASN1_TYPE_value(info, 0)->type == V_ASN1_SEQUENCE &&
        sk_ASN1_TYPE_value(info, 1)->type == V_ASN1_BIT_STRING) {
        const Bytes identifier = string_bytes(sk_ASN1_TYPE_value(info, 0)->value.sequence);
        const unsigned char *cursor = identifier.data;

        algorithm = d2i_X509_ALGOR(NULL, &cursor, (long)identifier.size);
        if (algorithm) {
            r = key_decode(algorithm, string_bytes(sk_ASN1_TYPE_value(info, 1)->value.bit_string),
                           ret);
        }
    }
    ERR_clear_error();
    return r;
}
