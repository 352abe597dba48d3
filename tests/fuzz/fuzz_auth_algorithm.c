/* Can any AlgorithmIdentifier make its reader misbehave, and is one that it takes written as the
 * same? */
#include "crypto/auth_algorithm.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
    if (!right)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t der[256];
    size_t der_size = 0;
    AuthAlgorithm algorithm, again;

    int r = auth_algorithm_decode((Bytes){data, size}, &algorithm);
    check(r == 0 || r == AUTH_ALGORITHM_E_ENCODING || r == AUTH_ALGORITHM_E_NOT_ALLOWED);
    if (r != 0)
        return 0;

    check(auth_algorithm_encode(&algorithm, der, sizeof(der), &der_size) == 0);
    check(auth_algorithm_decode((Bytes){der, der_size}, &again) == 0);
    check(again.ecdsa == algorithm.ecdsa && again.pss == algorithm.pss &&
          again.salt == algorithm.salt && strcmp(again.digest, algorithm.digest) == 0);
    return 0;
}
