/* Which storage root key was the device provisioned with? */
#include "policy/srkname.h"

#include "base/bytes.h"
#include "base/file.h"
#include "policy/encoding.h"

#include <errno.h>
#include <string.h>

enum { NAME_SIZE = 2 + 32 }; /* hash algorithm and SHA-256 (TPM 2.0 Part 1, 16) */

int srk_name_read(const char *path, TPM2B_NAME *ret, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    size_t size = 0;
    int r;

    r = file_read(path, SRK_NAME_TEXT_SIZE, &text, &size);
    if (r < 0)
        return reason_set(reason, r, "%.200s can't be read: %s", path, strerror(-r));
    text[strcspn((char *)text, "\n")] = '\0';
    if (hex_decode((const char *)text, ret->name, NAME_SIZE) < 0) {
        return reason_set(
            reason, -EINVAL,
            "%.200s does not hold a TPM Name of %d octets in hexadecimal; provision the "
            "device again",
            path, NAME_SIZE);
    }
    ret->size = NAME_SIZE;
    return 0;
}

void srk_name_print(const TPM2B_NAME *name, char *ret)
{
    hex_encode((Bytes){name->name, name->size}, ret);
    memcpy(ret + strlen(ret), "\n", 2);
}
