/* Reads bundles of anchors, and hashes them as CERTREQ names them. */
#include "verify/anchors.h"

#include "base/file.h"
#include "verify/certificates.h"
#include "verify/profile.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

enum { SUBJECT_SIZE = 128 };

int anchors_decode(Bytes bundle, const char *name, STACK_OF(X509) **ret, Reason *reason)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *certificates = NULL;
    int r;

    r = certificates_decode(bundle, name, &certificates, reason);
    if (r < 0)
        return r;
    for (int i = 0; i < sk_X509_num(certificates); i++) {
        X509 *certificate = sk_X509_value(certificates, i);
        const char *flaw = profile_anchor_flaw(certificate);
        char subject[SUBJECT_SIZE] = "";

        if (!flaw)
            continue;
        certificate_subject(certificate, subject, sizeof(subject));
        ERR_clear_error();
        return reason_set(reason, -EINVAL,
                          "%.200s: certificate %d (%s) %s, so it can't be an anchor; take it out",
                          name, i + 1, subject, flaw);
    }
    *ret = steal_pointer(certificates);
    return 0;
}

/* RFC 7296 3.7: SHA-1 over the whole SubjectPublicKeyInfo element, its DER header included. */
static int spki_hash(const X509 *certificate, uint8_t *ret)
{
    unsigned char *spki = NULL;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &spki);
    int good;

    if (size <= 0)
        return -EIO;
    good = EVP_Digest(spki, (size_t)size, ret, NULL, EVP_sha1(), NULL);
    OPENSSL_free(spki);
    return good == 1 ? 0 : -EIO;
}

/* Its place among the hashes, which is the next free one if it is new. */
static size_t hash_place(const AnchorStore *anchors, const uint8_t *hash)
{
    size_t i = 0;

    while (i < anchors->count && memcmp(anchors->hashes[i], hash, ANCHOR_HASH_SIZE) != 0)
        i++;
    return i;
}

static bool certificate_is_known(const AnchorStore *anchors, const X509 *certificate)
{
    for (int i = 0; i < sk_X509_num(anchors->certificates); i++) {
        if (X509_cmp(sk_X509_value(anchors->certificates, i), certificate) == 0)
            return true;
    }
    return false;
}

static int anchor_add(AnchorStore *anchors, X509 *certificate)
{
    uint8_t hash[ANCHOR_HASH_SIZE];

    if (certificate_is_known(anchors, certificate))
        return 0;
    if (spki_hash(certificate, hash) < 0)
        return -EIO;
    if (X509_up_ref(certificate) != 1)
        return -ENOMEM;
    if (sk_X509_push(anchors->certificates, certificate) == 0) {
        X509_free(certificate);
        return -ENOMEM;
    }
    const size_t place = hash_place(anchors, hash);
    memcpy(anchors->hashes[place], hash, sizeof(hash));
    anchors->count += place == anchors->count;
    anchors->hash_of[sk_X509_num(anchors->certificates) - 1] = (uint8_t)place;
    return 0;
}

static AnchorStore *anchor_store_new(void)
{
    AnchorStore *anchors = calloc(1, sizeof(*anchors));

    if (!anchors)
        return NULL;
    anchors->n_references = 1;
    anchors->certificates = sk_X509_new_null();
    if (!anchors->certificates) {
        free(anchors);
        return NULL;
    }
    return anchors;
}

int anchor_store_decode(Bytes bundle, const char *name, AnchorStore **ret, Reason *reason)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *certificates = NULL;
    _cleanup_(anchor_store_unrefp) AnchorStore *anchors = anchor_store_new();
    int r;

    _Static_assert((int)ANCHORS_MAX >= (int)CERTIFICATES_MAX,
                   "every certificate of a file has its place");
    if (!anchors)
        return -ENOMEM;
    r = anchors_decode(bundle, name, &certificates, reason);
    for (int i = 0; r == 0 && i < sk_X509_num(certificates); i++)
        r = anchor_add(anchors, sk_X509_value(certificates, i));
    if (r < 0)
        return r;
    *ret = steal_pointer(anchors);
    return 0;
}

int anchor_store_read(const char *path, AnchorStore **ret, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *bundle = NULL;
    size_t size = 0;
    int r = file_read(path, ANCHORS_FILE_SIZE_MAX, &bundle, &size);

    if (r < 0)
        return reason_set(reason, r, "%.200s can't be read: %s", path, strerror(-r));
    return anchor_store_decode((Bytes){bundle, size}, path, ret, reason);
}

static int is_chosen(const X509 *certificate, const uint8_t fingerprints[][ANCHOR_FINGERPRINT_SIZE],
                     size_t count)
{
    uint8_t own[ANCHOR_FINGERPRINT_SIZE];

    if (X509_digest(certificate, EVP_sha256(), own, NULL) != 1)
        return -EIO;
    for (size_t i = 0; i < count; i++) {
        if (memcmp(fingerprints[i], own, sizeof(own)) == 0)
            return 1;
    }
    return 0;
}

int anchor_store_choose(AnchorStore *anchors, const uint8_t fingerprints[][ANCHOR_FINGERPRINT_SIZE],
                        size_t count, AnchorStore **ret)
{
    _cleanup_(anchor_store_unrefp) AnchorStore *chosen = count == 0 ? NULL : anchor_store_new();

    if (count == 0) {
        *ret = anchor_store_ref(anchors);
        return 0;
    }
    if (!chosen)
        return -ENOMEM;
    for (int i = 0; i < sk_X509_num(anchors->certificates); i++) {
        X509 *certificate = sk_X509_value(anchors->certificates, i);
        int r = is_chosen(certificate, fingerprints, count);

        if (r > 0)
            r = anchor_add(chosen, certificate);
        if (r < 0)
            return r;
    }
    *ret = steal_pointer(chosen);
    return 0;
}

AnchorStore *anchor_store_ref(AnchorStore *anchors)
{
    anchors->n_references++;
    return anchors;
}

void anchor_store_unref(AnchorStore *anchors)
{
    if (!anchors || --anchors->n_references > 0)
        return;
    certificates_freep(&anchors->certificates);
    free(anchors);
}
