/* Can any REDIRECT lead to a name that is none? */
#include "base/fqdn.h"
#include "ikeclient/targets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NONCE_SIZE = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t octets[NONCE_SIZE] = {1, 2, 3, 4};
    const Bytes nonce = {octets, size % 2 == 0 ? NONCE_SIZE : 0};
    Redirect redirect;
    Endpoint endpoint;

    int r = redirect_read((Bytes){data, size}, nonce, &redirect);
    if (r != 0 && (r != -EBADMSG || redirect.name[0] != 0))
        abort();
    if (r == 0 && endpoint_from_literal(redirect.name, 0, &endpoint) != 0 &&
        !fqdn_is_valid(redirect.name, strlen(redirect.name)))
        abort();
    return 0;
}
