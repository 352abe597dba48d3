/* Can an OCSP response make its reader misbehave, or be believed without a signature? The issuer is
 * made for this run, so that nothing in the input can have its signature. */
#include "tred/ocsp.h"

#include <stdlib.h>

enum { NOW = 1795480000, SIGNATURES = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static X509 *authority_new(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_NAME *name;

    if (!key || !certificate)
        abort();
    name = X509_get_subject_name(certificate);
    if (X509_set_version(certificate, X509_VERSION_3) != 1 ||
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"CA", -1, -1,
                                   0) != 1 ||
        X509_set_issuer_name(certificate, name) != 1 ||
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) != 1 ||
        !ASN1_TIME_set(X509_getm_notBefore(certificate), 0) ||
        !ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)2 * NOW) ||
        X509_set_pubkey(certificate, key) != 1 || X509_sign(certificate, key, EVP_sha256()) <= 0)
        abort();
    EVP_PKEY_free(key);
    return certificate;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static X509 *authority;
    const PeerProfile profile = peer_profile_3gpp();
    char detail[OCSP_DETAIL_SIZE] = "";
    unsigned signatures = SIGNATURES;
    OCSP_BASICRESP *response;
    OcspWord word;

    if (!authority)
        authority = authority_new();
    response = ocsp_decode((Bytes){data, size}, detail);
    if (!response) {
        if (detail[0] == '\0')
            abort();
        return 0;
    }
    word = ocsp_answer(response,
                       &(OcspQuestion){.certificate = authority,
                                       .issuer = authority,
                                       .profile = &profile,
                                       .now = NOW,
                                       .signatures_left = &signatures},
                       detail);
    if (word == OCSP_GOOD || word == OCSP_REVOKED || signatures > SIGNATURES)
        abort();
    OCSP_BASICRESP_free(response);
    return 0;
}
