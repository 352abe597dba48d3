/* Can a file that lies among the CRLs make its reader misbehave? */
#include "verify/crls.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    crl_store_deinit(&store);
    return 0;
}
