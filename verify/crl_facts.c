/* Finds the last list of each issuer, and those that a later one has replaced. */
#include "verify/crl_facts.h"

#include "verify/certificates.h"
#include "verify/dates.h"

#include <openssl/x509v3.h>
#include <string.h>

bool crl_is_delta(const X509_CRL *crl)
{
    return X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0;
}

bool crl_has_scope_of(const X509_CRL *a, const X509_CRL *b)
{
    const int at_a = X509_CRL_get_ext_by_NID(a, NID_issuing_distribution_point, -1);
    const int at_b = X509_CRL_get_ext_by_NID(b, NID_issuing_distribution_point, -1);

    if (at_a < 0 || at_b < 0)
        return at_a < 0 && at_b < 0;
    return ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(X509_CRL_get_ext(a, at_a)),
                                 X509_EXTENSION_get_data(X509_CRL_get_ext(b, at_b))) == 0;
}

/* The nth certificate that could have signed something; NULL after the last. */
static X509 *signer_at(const CrlSigners *signers, int n)
{
    const STACK_OF(X509) *anchors = signers->anchors->certificates;

    if (n < sk_X509_num(anchors))
        return sk_X509_value(anchors, n);
    n -= sk_X509_num(anchors);
    if (n < sk_X509_num(signers->crls->issuers))
        return sk_X509_value(signers->crls->issuers, n);
    n -= sk_X509_num(signers->crls->issuers);
    for (size_t i = 0; i < PEER_SEEN_MAX; i++) {
        if (signers->seen->places[i].certificate && n-- == 0)
            return signers->seen->places[i].certificate;
    }
    return NULL;
}

static bool is_issuer(const X509 *signer, const X509_CRL *crl)
{
    return X509_NAME_cmp(X509_get_subject_name(signer), X509_CRL_get_issuer(crl)) == 0;
}

/* Who has signed it; NULL: nobody known. */
static X509 *signer_find(const CrlSigners *signers, X509_CRL *crl, bool *ret_is_known)
{
    X509 *signer;

    *ret_is_known = false;
    for (int i = 0; (signer = signer_at(signers, i)); i++) {
        EVP_PKEY *key = is_issuer(signer, crl) ? X509_get0_pubkey(signer) : NULL;

        *ret_is_known = *ret_is_known || key;
        if (key && X509_CRL_verify(crl, key) == 1)
            return signer;
    }
    return NULL;
}

static bool is_later(const X509_CRL *crl, const X509_CRL *than)
{
    time_t date, earlier;

    return date_read(X509_CRL_get0_lastUpdate(crl), &date) &&
           date_read(X509_CRL_get0_lastUpdate(than), &earlier) && date > earlier;
}

/* All that needs no signature. */
static bool could_replace(const X509_CRL *crl, const X509_CRL *old, time_t latest)
{
    return crl != old && !crl_is_delta(crl) && is_later(crl, old) &&
           date_is_by(X509_CRL_get0_lastUpdate(crl), latest) &&
           X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_CRL_get_issuer(old)) == 0 &&
           crl_has_scope_of(crl, old);
}

static bool list_is_obsolete(const CrlSigners *signers, X509_CRL *old, time_t latest)
{
    const STACK_OF(X509_CRL) *all = signers->crls->crls;
    X509 *signer = NULL;
    bool is_known;

    for (int i = 0; i < sk_X509_CRL_num(all); i++) {
        X509_CRL *crl = sk_X509_CRL_value(all, i);

        if (!could_replace(crl, old, latest))
            continue;
        if (!signer)
            signer = signer_find(signers, old, &is_known);
        if (!signer)
            return false;
        if (X509_CRL_verify(crl, X509_get0_pubkey(signer)) == 1)
            return true;
    }
    return false;
}

bool crl_lists_are_obsolete(const CrlSigners *signers, int first, int count, time_t latest)
{
    for (int i = first; i < first + count; i++) {
        if (!list_is_obsolete(signers, sk_X509_CRL_value(signers->crls->crls, i), latest))
            return false;
    }
    return count > 0;
}

/* The place of an issuer's list; NULL: there is no more room. */
static CrlFacts *place_find(CrlsFacts *facts, const char *issuer)
{
    for (size_t i = 0; i < facts->n_issuers; i++) {
        if (strcmp(facts->issuers[i].issuer, issuer) == 0)
            return &facts->issuers[i];
    }
    return facts->n_issuers < FRAME_CRL_ISSUERS_MAX ? &facts->issuers[facts->n_issuers++] : NULL;
}

void crl_facts_find(const CrlSigners *signers, CrlsFacts *ret)
{
    const STACK_OF(X509_CRL) *all = signers->crls->crls;

    *ret = (CrlsFacts){0};
    for (int i = 0; i < sk_X509_CRL_num(all); i++) {
        X509_CRL *crl = sk_X509_CRL_value(all, i);
        char issuer[FRAME_ISSUER_SIZE];
        time_t this_update, next_update;
        bool is_known;

        if (!signer_find(signers, crl, &is_known) && is_known)
            continue;
        if (!date_read(X509_CRL_get0_lastUpdate(crl), &this_update) ||
            !date_read(X509_CRL_get0_nextUpdate(crl), &next_update))
            continue;
        certificate_name_print(X509_CRL_get_issuer(crl), issuer, sizeof(issuer));
        CrlFacts *place = place_find(ret, issuer);
        if (!place || (place->issuer[0] != '\0' && place->this_update >= this_update))
            continue;
        memcpy(place->issuer, issuer, sizeof(issuer));
        place->this_update = this_update;
        place->next_update = next_update;
    }
}
