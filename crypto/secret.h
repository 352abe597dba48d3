/* The one type for key material: octets in OpenSSL's secure heap (locked, guarded, never dumped),
 * wiped when released. It is handled by pointer, so `=` can't copy what is in it; nothing prints
 * it. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Secret {
    size_t size;
    uint8_t *data;
} Secret;

/* The secure heap is cut into blocks whose sizes are powers of two, as its own is. Pages are locked
 * as they are first touched, so that unused room costs no memory but two bits for each block that
 * there could be, in two tables: tred has a larger one than who holds a few keys (tred/users.h). */
enum {
    SECRETS_SIZE = 1024 * 1024,
    SECRET_BLOCK_MIN = 64,
    SECRET_BLOCK_MAX = 512, /* that SECRET_BLOCK() knows */
};

/* How much of it a secret of `size` octets takes, as a constant. */
#define SECRET_BLOCK(size)                                                                         \
    ((int)(size) <= 64    ? SECRET_BLOCK_MIN                                                       \
     : (int)(size) <= 128 ? 128                                                                    \
     : (int)(size) <= 256 ? 256                                                                    \
                          : SECRET_BLOCK_MAX)

/* Sets the secure heap up; once, before any other call. Returns 0, or -ENOMEM if it can't be had,
 * or -EPERM if it can't be locked (RLIMIT_MEMLOCK: LimitMEMLOCK= of the unit, or CAP_IPC_LOCK). */
int secrets_init(void);

/* The same with a heap of `size` octets, a power of two. Not of a process without OpenSSL, where
 * each secret has pages of its own. */
int secrets_init_sized(size_t size);

/* `size` zero octets (size above 0). Returns 0, or -ENOMEM if the secure heap is used up. */
int secret_new(size_t size, Secret **ret);

/* A new secret of `size` octets of `from` at `offset`. Returns 0, -ERANGE or -ENOMEM. */
int secret_new_slice(const Secret *from, size_t offset, size_t size, Secret **ret);

/* Wipes and releases; NULL is fine. */
void secret_free(Secret *secret);
DEFINE_POINTER_CLEANUP(Secret, secret_free);

/* A view for a library call; it must not outlive the secret, nor be copied elsewhere. */
Bytes secret_bytes(const Secret *secret);
