/* Can a file that lies among the CRLs make its reader misbehave, or who tells of what was read: the
 * last list of each issuer, and which lists a later one replaces? */
#include "verify/crls.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LATEST = 1900000000 };

/* Of all lists there is one at least that none replaces. */
static void tell(const CrlStore *store)
{
    static CrlsFacts facts;
    static PeerSeen nobody;
    AnchorStore anchors = {.certificates = sk_X509_new_null()};
    const CrlSigners signers = {&anchors, store, &nobody};
    const int count = sk_X509_CRL_num(store->crls);
    bool all_replaced = count > 0;

    if (!anchors.certificates)
        return;
    crl_facts_find(&signers, &facts);
    if (facts.n_issuers > (size_t)count)
        abort();
    for (int i = 0; i < count; i++)
        all_replaced = crl_lists_are_obsolete(&signers, i, 1, LATEST) && all_replaced;
    if (all_replaced)
        abort();
    sk_X509_free(anchors.certificates);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Reason reason = {0};
    CrlStore store;
    int r;

    if (crl_store_init(&store) < 0)
        return 0;
    r = crl_store_decode(&store, (Bytes){data, size}, "x", &reason);
    if (r == -EINVAL ? reason.text[0] == '\0' : r != 0 && r != -ENOMEM)
        abort();
    if (r == 0 && sk_X509_CRL_num(store.crls) + sk_X509_num(store.issuers) == 0)
        abort();
    for (int i = 0; i < sk_X509_CRL_num(store.crls); i++) {
        if (!X509_CRL_get0_nextUpdate(sk_X509_CRL_value(store.crls, i)))
            abort();
    }
    tell(&store);
    crl_store_deinit(&store);
    return 0;
}
