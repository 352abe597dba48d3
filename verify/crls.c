/* Reads revocation lists from files, and from directories of them; finds the last list of each
 * issuer, and those that a later one has replaced. */
#include "verify/crls.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "crypto/openssl.h"
#include "verify/certificates.h"
#include "verify/profile.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char PEM_MARK[] = "-----BEGIN ";

static int refuse(Reason *reason, const char *name, const char *what)
{
    reason_set(reason, 0, "%.300s: %s. Put X.509 CRLs there, PEM or DER, and nothing else", name,
               what);
    ERR_clear_error();
    return -EINVAL;
}

int crl_store_init(CrlStore *store)
{
    *store = (CrlStore){.crls = sk_X509_CRL_new_null(), .issuers = sk_X509_new_null()};
    if (store->crls && store->issuers)
        return 0;
    crl_store_deinit(store);
    return -ENOMEM;
}

void crl_store_deinit(CrlStore *store)
{
    sk_X509_CRL_pop_free(store->crls, X509_CRL_free);
    sk_X509_pop_free(store->issuers, X509_free);
    *store = (CrlStore){0};
}

/* Takes out what was added after there were so many lists and issuers. */
static void store_cut(CrlStore *store, int n_crls, int n_issuers)
{
    while (sk_X509_CRL_num(store->crls) > n_crls)
        X509_CRL_free(sk_X509_CRL_pop(store->crls));
    while (sk_X509_num(store->issuers) > n_issuers)
        X509_free(sk_X509_pop(store->issuers));
}

/* Keeps a reference. */
static int crl_add(CrlStore *store, X509_CRL *crl, const char *name, Reason *reason)
{
    if (!X509_CRL_get0_nextUpdate(crl))
        return refuse(reason, name, "a CRL has no nextUpdate (RFC 5280 5.1.2.5)");
    if (sk_X509_CRL_num(store->crls) >= CRLS_MAX)
        return refuse(reason, name, "there are more CRLs than are looked at");
    if (sk_X509_CRL_push(store->crls, crl) == 0)
        return -ENOMEM;
    (void)X509_CRL_up_ref(crl);
    return 0;
}

static int issuer_add(CrlStore *store, X509 *issuer, const char *name, Reason *reason)
{
    if (sk_X509_num(store->issuers) >= CRL_ISSUERS_MAX)
        return refuse(reason, name, "there are more certificates than are looked at");
    if (sk_X509_push(store->issuers, issuer) == 0)
        return -ENOMEM;
    (void)X509_up_ref(issuer);
    return 0;
}

static int der_decode(CrlStore *store, Bytes bytes, const char *name, Reason *reason);

static int block_add(CrlStore *store, const PemBlock *block, const char *name, Reason *reason)
{
    if (strcmp(block->label, PEM_STRING_X509_CRL) != 0 &&
        strcmp(block->label, PEM_STRING_X509) != 0 &&
        strcmp(block->label, PEM_STRING_X509_OLD) != 0)
        return refuse(reason, name, "a PEM block is neither CRL nor certificate");
    return der_decode(store, (Bytes){block->der, block->size}, name, reason);
}

static int pem_decode(CrlStore *store, Bytes bytes, const char *name, Reason *reason)
{
    _cleanup_(pem_reader_deinit) PemReader reader = {0};
    PemBlock block = {0};
    int r = pem_reader_init(&reader, bytes);

    while (r == 0) {
        r = pem_reader_next(&reader, &block);
        if (r == 0)
            break;
        r = r == -EBADMSG ? refuse(reason, name, "a PEM block is damaged")
                          : block_add(store, &block, name, reason);
        pem_block_deinit(&block);
    }
    if (r == 0 && reader.n_blocks == 0)
        r = refuse(reason, name, "no PEM block in it is a CRL");
    return r;
}

static int der_decode(CrlStore *store, Bytes bytes, const char *name, Reason *reason)
{
    const unsigned char *const end = bytes.data + bytes.size;
    const unsigned char *cursor = bytes.data;
    X509_CRL *crl = d2i_X509_CRL(NULL, &cursor, (long)bytes.size);
    X509 *issuer = NULL;
    int r;

    if (!crl) {
        cursor = bytes.data;
        issuer = d2i_X509(NULL, &cursor, (long)bytes.size);
    }
    if (cursor != end || (!crl && !issuer)) {
        r = refuse(reason, name, "it is no CRL, or has something after it");
    } else {
        r = crl ? crl_add(store, crl, name, reason) : issuer_add(store, issuer, name, reason);
    }
    X509_CRL_free(crl);
    X509_free(issuer);
    return r;
}

int crl_store_decode(CrlStore *store, Bytes bytes, const char *name, Reason *reason)
{
    const int n_crls = sk_X509_CRL_num(store->crls), n_issuers = sk_X509_num(store->issuers);
    const bool is_pem =
        bytes.size > 0 && memmem(bytes.data, bytes.size, PEM_MARK, sizeof(PEM_MARK) - 1);
    int r;

    if (bytes.size == 0 || bytes.size > CRL_FILE_SIZE_MAX)
        return refuse(reason, name, "it is empty, or larger than 8 MiB");
    r = (is_pem ? pem_decode : der_decode)(store, bytes, name, reason);
    if (r < 0) /* what it holds beyond the flaw can't be known */
        store_cut(store, n_crls, n_issuers);
    ERR_clear_error();
    return r;
}

static int file_add(CrlStore *store, const char *path, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *data = NULL;
    size_t size = 0;
    int r;

    r = file_read(path, CRL_FILE_SIZE_MAX, &data, &size);
    if (r < 0)
        return reason_set(reason, r, "%.300s: can't be read: %s", path, strerror(-r));
    return crl_store_decode(store, (Bytes){data, size}, path, reason);
}

static void close_dirp(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

static int directory_add(CrlStore *store, const char *path, Reason *reason)
{
    _cleanup_(close_dirp) DIR *directory = opendir(path);
    const struct dirent *entry;

    if (!directory) {
        const int r = -errno;

        return reason_set(reason, r, "%.300s: can't be read: %s", path, strerror(-r));
    }
    while ((entry = readdir(directory))) {
        _cleanup_(free_charp) char *file = NULL;
        Reason flaw = {0};
        int r;

        if (entry->d_name[0] == '.')
            continue;
        if (asprintf(&file, "%s/%s", path, entry->d_name) < 0)
            return -ENOMEM;
        r = file_add(store, file, &flaw);
        if (r == -ENOMEM)
            return r;
        if (r < 0 && reason->text[0] == '\0')
            memcpy(reason->text, flaw.text, sizeof(flaw.text));
    }
    return 0;
}

int crl_store_read(CrlStore *store, const char *path, Reason *reason)
{
    int r;

    reason->text[0] = '\0';
    r = file_add(store, path, reason);
    if (r != -EISDIR)
        return r;
    reason->text[0] = '\0';
    return directory_add(store, path, reason);
}

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

static bool extension_is_known(X509_EXTENSION *extension)
{
    switch (OBJ_obj2nid(X509_EXTENSION_get_object(extension))) {
    case NID_issuing_distribution_point:
    case NID_delta_crl:
    case NID_crl_number:
    case NID_authority_key_identifier:
    case NID_certificate_issuer:
    case NID_crl_reason:
    case NID_invalidity_date:
        return true;
    default:
        return false;
    }
}

static bool entry_is_understood(const X509_REVOKED *entry)
{
    for (int at = -1; (at = X509_REVOKED_get_ext_by_critical(entry, 1, at)) >= 0;) {
        if (!extension_is_known(X509_REVOKED_get_ext(entry, at)))
            return false;
    }
    return true;
}

bool crl_criticals_are_known(const X509_CRL *crl, const X509_REVOKED *entry)
{
    for (int at = -1; (at = X509_CRL_get_ext_by_critical(crl, 1, at)) >= 0;) {
        if (!extension_is_known(X509_CRL_get_ext(crl, at)))
            return false;
    }
    return !entry || entry_is_understood(entry);
}

bool crl_is_understood(X509_CRL *crl)
{
    const STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl);

    for (int i = 0; i < sk_X509_REVOKED_num(entries); i++) {
        if (!entry_is_understood(sk_X509_REVOKED_value(entries, i)))
            return false;
    }
    return crl_criticals_are_known(crl, NULL);
}

bool crl_algorithm_is_fit(const X509_CRL *crl)
{
    const X509_ALGOR *algorithm = NULL;

    X509_CRL_get0_signature(crl, NULL, &algorithm);
    return profile_signature_is_fit(algorithm);
}

bool crl_is_signed_by(X509_CRL *crl, X509 *signer)
{
    EVP_PKEY *key = X509_get0_pubkey(signer);

    return key && X509_get_key_usage(signer) & KU_CRL_SIGN && X509_CRL_verify(crl, key) == 1;
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
        if (crl_algorithm_is_fit(crl) && crl_is_signed_by(crl, signer) && crl_is_understood(crl))
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
