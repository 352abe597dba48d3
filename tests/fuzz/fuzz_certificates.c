/* Can any file of certificates, PEM or DER, make its reader misbehave? */
#include "verify/certificates.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Reason reason = {0};
    STACK_OF(X509) *certificates = NULL;

    int r = certificates_decode((Bytes){data, size}, "x", &certificates, &reason);
    if (r == -EINVAL ? reason.text[0] == 0 : r != 0)
        abort();
    if (r != 0)
        return 0;

    for (int i = 0; i < sk_X509_num(certificates); i++) {
        char fqdn[FQDN_SIZE_MAX];
        const X509 *certificate = sk_X509_value(certificates, i);
        if (certificate_fqdn(certificate, fqdn) == 0 && !certificate_has_fqdn(certificate, fqdn))
            abort();
    }
    sk_X509_pop_free(certificates, X509_free);
    return 0;
}
