/* One sealed payload: SK (RFC 7296 3.14, RFC 5282) or SKF (RFC 7383 2.5), encrypted and
 * authenticated. */
#pragma once

#include "base/bytes.h"
#include "crypto/suite.h"
#include "ikewire/message.h"
#include "tred/keyschedule.h"

/* One direction's protection. Owned by the caller; the keys are borrowed and must outlive it. */
typedef struct Seal Seal;

/* `encr` holds key and salt; `integ` and its key are NULL with AEAD. Returns 0, -EINVAL if
 * they do not fit each other, -ENOMEM or -EIO. */
int seal_new(const Cipher *cipher, const Integ *integ, const Secret *encr, const Secret *integ_key,
             Seal **ret);
void seal_free(Seal *seal);
DEFINE_POINTER_CLEANUP(Seal, seal_free);

/* The size of what `plain_size` octets of payloads become: IV, payloads, padding, Pad Length, ICV.
 */
size_t seal_size(const Seal *seal, size_t plain_size);

/* The other way: the most payload octets whose seal_size() is at most `size`; 0 if there are none.
 */
size_t seal_capacity(const Seal *seal, size_t size);

/* Makes a whole message into `writer` (empty): header, SK payload (fragment NULL) or SKF payload
 * (*fragment gives number and total). `first` is the first inner payload's type. IVs are this
 * object's: a counter for AEAD, never used twice; random for CBC. Returns 0, -ENOBUFS, -EIO, or
 * -EOVERFLOW when the counter is used up. */
int seal_message(Seal *seal, const IkeHeader *header, uint8_t first, const IkeFragment *fragment,
                 Bytes plain, Writer *writer);

/* Opens the SK or SKF payload that ends `message`, which was decoded from `datagram`: checks the
 * ICV before anything else, takes the padding off, and writes the payloads to `plain`, which has
 * room for as many octets as the datagram has. Returns 0 with *ret_size set, -EBADMSG if it is not
 * authentic or the padding is wrong (nothing of it is left in `plain` then), or -EIO. */
int seal_open(Seal *seal, Bytes datagram, const IkeMessage *message, uint8_t *plain,
              size_t *ret_size);
