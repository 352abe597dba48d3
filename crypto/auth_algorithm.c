/* Reads and writes the AlgorithmIdentifiers of signatures (RFC 7427 appendix A, RFC 4055 3.1). */
#include "crypto/auth_algorithm.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/objects.h>
#include <string.h>

typedef struct Digest {
    const char *name;
    int nid;
    int ecdsa_nid;
    int rsa_nid;
    int size;
} Digest;

static const Digest DIGESTS[] = {
    {"SHA256", NID_sha256, NID_ecdsa_with_SHA256, NID_sha256WithRSAEncryption, 32},
    {"SHA384", NID_sha384, NID_ecdsa_with_SHA384, NID_sha384WithRSAEncryption, 48},
    {"SHA512", NID_sha512, NID_ecdsa_with_SHA512, NID_sha512WithRSAEncryption, 64},
};

enum { PSS_TRAILER_BC = 1, PSS_SALT_MAX = 512 };

static int algor_decode(const uint8_t *der, size_t size, X509_ALGOR **ret)
{
    _cleanup_(X509_ALGOR_freep) X509_ALGOR *algor = NULL;
    unsigned char *again = NULL;
    const unsigned char *cursor = der;
    int again_size;
    bool same;

    algor = d2i_X509_ALGOR(NULL, &cursor, (long)size);
    if (!algor)
        return AUTH_ALGORITHM_E_ENCODING;
    /* The library reads BER, too; in DER there is one way only to write it. */
    again_size = i2d_X509_ALGOR(algor, &again);
    same = again_size > 0 && (size_t)again_size == size && memcmp(again, der, size) == 0;
    OPENSSL_free(again);
    if (!same)
        return AUTH_ALGORITHM_E_ENCODING;
    *ret = steal_pointer(algor);
    return 0;
}

/* The hash that an AlgorithmIdentifier names, NULL if the profile lacks it. RFC 4055 2.1: its
 * parameters are NULL, and a reader must take them left out as well. */
static const Digest *algor_digest(const X509_ALGOR *algor)
{
    const ASN1_OBJECT *object;
    int type;

    X509_ALGOR_get0(&object, &type, NULL, algor);
    if (type != V_ASN1_NULL && type != V_ASN1_UNDEF)
        return NULL;
    for (size_t i = 0; i < ELEMENTS(DIGESTS); i++) {
        if (DIGESTS[i].nid == OBJ_obj2nid(object))
            return &DIGESTS[i];
    }
    return NULL;
}

/* The hash of an MGF1, NULL for any other mask generation. */
static const Digest *mask_digest(const X509_ALGOR *mask)
{
    _cleanup_(X509_ALGOR_freep) X509_ALGOR *hash = NULL;
    const ASN1_OBJECT *object;
    const void *value;
    int type;

    X509_ALGOR_get0(&object, &type, &value, mask);
    if (OBJ_obj2nid(object) != NID_mgf1 || type != V_ASN1_SEQUENCE)
        return NULL;
    if (algor_decode(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value), &hash) != 0)
        return NULL;
    return algor_digest(hash);
}

/* RFC 4055 3.1. What is left out means SHA-1 or a salt of 20 octets there, so nothing may be, but
 * the trailer. */
static int pss_decode(const ASN1_STRING *der, AuthAlgorithm *ret)
{
    _cleanup_(RSA_PSS_PARAMS_freep) RSA_PSS_PARAMS *params = NULL;
    const unsigned char *cursor = ASN1_STRING_get0_data(der);
    const Digest *digest;
    int64_t salt, trailer = PSS_TRAILER_BC;

    /* Nothing follows: algor_decode() took exactly one TLV, and `der` is that of its parameters. */
    params = d2i_RSA_PSS_PARAMS(NULL, &cursor, ASN1_STRING_length(der));
    if (!params)
        return AUTH_ALGORITHM_E_ENCODING;
    if (!params->hashAlgorithm || !params->maskGenAlgorithm || !params->saltLength)
        return AUTH_ALGORITHM_E_NOT_ALLOWED;
    digest = algor_digest(params->hashAlgorithm);
    if (!digest || mask_digest(params->maskGenAlgorithm) != digest)
        return AUTH_ALGORITHM_E_NOT_ALLOWED;
    if (!ASN1_INTEGER_get_int64(&salt, params->saltLength) ||
        (params->trailerField && !ASN1_INTEGER_get_int64(&trailer, params->trailerField)))
        return AUTH_ALGORITHM_E_NOT_ALLOWED;
    if (salt < digest->size || salt > PSS_SALT_MAX || trailer != PSS_TRAILER_BC)
        return AUTH_ALGORITHM_E_NOT_ALLOWED;
    *ret = (AuthAlgorithm){.pss = true, .digest = digest->name, .salt = (int)salt};
    return 0;
}

int auth_algorithm_decode(Bytes der, AuthAlgorithm *ret)
{
    _cleanup_(X509_ALGOR_freep) X509_ALGOR *algor = NULL;
    const ASN1_OBJECT *object;
    const void *value;
    int nid, type, r;

    r = algor_decode(der.data, der.size, &algor);
    if (r != 0)
        return r;
    X509_ALGOR_get0(&object, &type, &value, algor);
    nid = OBJ_obj2nid(object);
    if (nid == NID_rsassaPss)
        return type == V_ASN1_SEQUENCE ? pss_decode(value, ret) : AUTH_ALGORITHM_E_NOT_ALLOWED;

    for (size_t i = 0; i < ELEMENTS(DIGESTS); i++) {
        const Digest *digest = &DIGESTS[i];
        /* RFC 5758 3.2: ECDSA has no parameters. RFC 4055 5: RSA has NULL, but some leave it out.
         */
        bool ecdsa = nid == digest->ecdsa_nid && type == V_ASN1_UNDEF;
        bool rsa = nid == digest->rsa_nid && (type == V_ASN1_NULL || type == V_ASN1_UNDEF);

        if (ecdsa || rsa) {
            *ret = (AuthAlgorithm){.ecdsa = ecdsa, .digest = digest->name};
            return 0;
        }
    }
    return AUTH_ALGORITHM_E_NOT_ALLOWED;
}

static const Digest *digest_find(const char *name)
{
    for (size_t i = 0; i < ELEMENTS(DIGESTS); i++) {
        if (strcmp(DIGESTS[i].name, name) == 0)
            return &DIGESTS[i];
    }
    return NULL;
}

/* Packs `value` as the SEQUENCE that is the parameters of `algor`. */
static int algor_set_sequence(X509_ALGOR *algor, int nid, void *value, const ASN1_ITEM *item)
{
    ASN1_STRING *packed = ASN1_item_pack(value, item, NULL);

    if (!packed)
        return -ENOMEM;
    if (!X509_ALGOR_set0(algor, OBJ_nid2obj(nid), V_ASN1_SEQUENCE, packed)) {
        ASN1_STRING_free(packed);
        return -ENOMEM;
    }
    return 0;
}

static int pss_encode(const Digest *digest, int salt, X509_ALGOR *algor)
{
    _cleanup_(RSA_PSS_PARAMS_freep) RSA_PSS_PARAMS *params = RSA_PSS_PARAMS_new();
    int r;

    if (!params)
        return -ENOMEM;
    params->hashAlgorithm = X509_ALGOR_new();
    params->maskGenAlgorithm = X509_ALGOR_new();
    params->saltLength = ASN1_INTEGER_new();
    if (!params->hashAlgorithm || !params->maskGenAlgorithm || !params->saltLength ||
        !ASN1_INTEGER_set(params->saltLength, salt) ||
        !X509_ALGOR_set0(params->hashAlgorithm, OBJ_nid2obj(digest->nid), V_ASN1_NULL, NULL))
        return -ENOMEM;
    r = algor_set_sequence(params->maskGenAlgorithm, NID_mgf1, params->hashAlgorithm,
                           ASN1_ITEM_rptr(X509_ALGOR));
    if (r < 0)
        return r;
    return algor_set_sequence(algor, NID_rsassaPss, params, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
}

int auth_algorithm_encode(const AuthAlgorithm *algorithm, uint8_t *ret, size_t capacity,
                          size_t *ret_size)
{
    _cleanup_(X509_ALGOR_freep) X509_ALGOR *algor = X509_ALGOR_new();
    const Digest *digest = digest_find(algorithm->digest);
    unsigned char *cursor = ret;
    int r = 0, size;

    if (!digest)
        return -EINVAL;
    if (!algor)
        return -ENOMEM;
    if (algorithm->pss) {
        r = pss_encode(digest, algorithm->salt, algor);
    } else if (algorithm->ecdsa) {
        r = X509_ALGOR_set0(algor, OBJ_nid2obj(digest->ecdsa_nid), V_ASN1_UNDEF, NULL) ? 0
                                                                                       : -ENOMEM;
    } else {
        r = X509_ALGOR_set0(algor, OBJ_nid2obj(digest->rsa_nid), V_ASN1_NULL, NULL) ? 0 : -ENOMEM;
    }
    if (r < 0)
        return r;
    size = i2d_X509_ALGOR(algor, NULL);
    if (size <= 0)
        return -ENOMEM;
    if ((size_t)size > capacity)
        return -ENOBUFS;
    *ret_size = (size_t)i2d_X509_ALGOR(algor, &cursor);
    return 0;
}
