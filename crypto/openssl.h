/* Scope-bound release of OpenSSL's objects, for _cleanup_(). */
#pragma once

#include "base/cleanup.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

DEFINE_POINTER_CLEANUP(ASN1_BIT_STRING, ASN1_BIT_STRING_free);
DEFINE_POINTER_CLEANUP(BIGNUM, BN_free);
DEFINE_POINTER_CLEANUP(BIO, BIO_free_all);
DEFINE_POINTER_CLEANUP(ECDSA_SIG, ECDSA_SIG_free);
DEFINE_POINTER_CLEANUP(EVP_CIPHER, EVP_CIPHER_free);
DEFINE_POINTER_CLEANUP(EVP_MAC, EVP_MAC_free);
DEFINE_POINTER_CLEANUP(EVP_MAC_CTX, EVP_MAC_CTX_free);
DEFINE_POINTER_CLEANUP(EVP_MD_CTX, EVP_MD_CTX_free);
DEFINE_POINTER_CLEANUP(EVP_PKEY, EVP_PKEY_free);
DEFINE_POINTER_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
DEFINE_POINTER_CLEANUP(GENERAL_NAMES, GENERAL_NAMES_free);
DEFINE_POINTER_CLEANUP(OSSL_PARAM, OSSL_PARAM_free);
DEFINE_POINTER_CLEANUP(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free);
DEFINE_POINTER_CLEANUP(RSA_PSS_PARAMS, RSA_PSS_PARAMS_free);
DEFINE_POINTER_CLEANUP(X509_ALGOR, X509_ALGOR_free);
DEFINE_POINTER_CLEANUP(X509_REQ, X509_REQ_free);
DEFINE_POINTER_CLEANUP(X509_STORE, X509_STORE_free);
DEFINE_POINTER_CLEANUP(X509_STORE_CTX, X509_STORE_CTX_free);

typedef STACK_OF(ASN1_TYPE) AsnSequence;

static inline void asn_sequence_free(AsnSequence *sequence)
{
    sk_ASN1_TYPE_pop_free(sequence, ASN1_TYPE_free);
}
DEFINE_POINTER_CLEANUP(AsnSequence, asn_sequence_free);

static inline void openssl_free_bytesp(unsigned char **memory)
{
    OPENSSL_free(*memory);
}

static inline void openssl_free_textp(char **memory)
{
    OPENSSL_free(*memory);
}
