/* Finds every path from the SeGW's certificate to an anchor, within limits. OpenSSL follows one,
 * the first that the order of the certificates suggests; where two issuers vouch for one CA,
 * another may be the one that is fit. */
#include "verify/peer_internal.h"

#include <errno.h>
#include <openssl/x509v3.h>

/* Checked for one peer beside those of OpenSSL's own path, each once: a CA with a cross-certificate
 * at each of three depths takes fewer. */
enum { SIGNATURES_MAX = 16 };

/* A signature that was checked. */
typedef struct Edge {
    const X509 *issuer, *subject;
    bool is_good;
} Edge;

typedef struct Search {
    const PeerCase *peer;
    PeerPaths *paths;
    STACK_OF(X509) *path; /* from the SeGW's certificate to the one whose issuer is looked for */
    size_t n_edges;
    Edge edges[SIGNATURES_MAX];
} Search;

static X509 *last_of(const Search *search)
{
    return sk_X509_value(search->path, sk_X509_num(search->path) - 1);
}

static bool holds(const STACK_OF(X509) *certificates, const X509 *certificate)
{
    for (int i = 0; i < sk_X509_num(certificates); i++) {
        if (X509_cmp(sk_X509_value(certificates, i), certificate) == 0)
            return true;
    }
    return false;
}

/* By name and identifiers, which cost nothing, and then by signature. */
static bool has_issued(Search *search, X509 *issuer, X509 *subject)
{
    EVP_PKEY *key = X509_get0_pubkey(issuer);

    if (!key || X509_check_issued(issuer, subject) != X509_V_OK)
        return false;
    for (size_t i = 0; i < search->n_edges; i++) {
        if (search->edges[i].issuer == issuer && search->edges[i].subject == subject)
            return search->edges[i].is_good;
    }
    if (search->n_edges == SIGNATURES_MAX)
        return false;
    const bool is_good = X509_verify(subject, key) == 1;
    search->edges[search->n_edges++] = (Edge){issuer, subject, is_good};
    return is_good;
}

static bool is_full(const Search *search)
{
    return search->paths->count == PEER_PATHS_MAX;
}

/* 0 or -ENOMEM. */
static int path_keep(Search *search)
{
    STACK_OF(X509) *path = sk_X509_dup(search->path);

    if (!path)
        return -ENOMEM;
    search->paths->paths[search->paths->count++] = path;
    return 0;
}

static int issuers_look(Search *search);

/* The path with one more, and what leads on from there: each is on it once, so that it ends, and no
 * more are on it than peer_check_count() lets there be, with an anchor. */
static int issuer_try(Search *search, X509 *issuer, bool is_anchor)
{
    int r;

    if (is_full(search) || holds(search->path, issuer) ||
        !has_issued(search, issuer, last_of(search)))
        return 0;
    if (sk_X509_push(search->path, issuer) == 0)
        return -ENOMEM;
    r = is_anchor ? path_keep(search) : issuers_look(search);
    (void)sk_X509_pop(search->path);
    return r;
}

/* The anchors first: short paths before long ones. */
static int issuers_look(Search *search)
{
    const STACK_OF(X509) *anchors = search->peer->policy->anchors->certificates;
    const STACK_OF(X509) *sent = search->peer->sent;
    int r = 0;

    for (int i = 0; r == 0 && i < sk_X509_num(anchors); i++)
        r = issuer_try(search, sk_X509_value(anchors, i), true);
    for (int i = 1; r == 0 && i < sk_X509_num(sent); i++) {
        if (!holds(anchors, sk_X509_value(sent, i)))
            r = issuer_try(search, sk_X509_value(sent, i), false);
    }
    return r;
}

int peer_paths_find(const PeerCase *peer, PeerPaths *ret)
{
    Search search = {
        .peer = peer,
        .paths = ret,
        .path = sk_X509_new_null(),
    };
    int r = -ENOMEM;

    *ret = (PeerPaths){0};
    if (search.path && sk_X509_push(search.path, sk_X509_value(peer->sent, 0)) > 0)
        r = issuers_look(&search);
    sk_X509_free(search.path);
    return r;
}

static int path_digest(const STACK_OF(X509) *path, EVP_MD_CTX *ctx, VerifyPath *ret)
{
    uint8_t fingerprint[VERIFY_FINGERPRINT_SIZE];

    if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        return -EIO;
    for (int i = 0; i < sk_X509_num(path); i++) {
        if (X509_digest(sk_X509_value(path, i), EVP_sha256(), fingerprint, NULL) != 1 ||
            EVP_DigestUpdate(ctx, fingerprint, sizeof(fingerprint)) != 1)
            return -EIO;
    }
    return EVP_DigestFinal_ex(ctx, ret->digest, NULL) == 1 ? 0 : -EIO;
}

int peer_path_name(const STACK_OF(X509) *path, VerifyPath *ret)
{
    *ret = (VerifyPath){0};
    if (!path)
        return 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const int r = ctx ? path_digest(path, ctx, ret) : -ENOMEM;

    EVP_MD_CTX_free(ctx);
    return r;
}

void peer_paths_deinit(PeerPaths *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        sk_X509_free(paths->paths[i]);
    paths->count = 0;
}
