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

/* Sets the secure heap up; once, before any other call. Returns 0, or -ENOMEM if it can't be had,
 * or -EPERM if it can't be locked (RLIMIT_MEMLOCK: LimitMEMLOCK= of the unit, or CAP_IPC_LOCK). */
int secrets_init(void);

/* `size` zero octets (size above 0). Returns 0, or -ENOMEM if the secure heap is used up. */
int secret_new(size_t size, Secret **ret);

/* A new secret of `size` octets of `from` at `offset`. Returns 0, -ERANGE or -ENOMEM. */
int secret_new_slice(const Secret *from, size_t offset, size_t size, Secret **ret);

/* Wipes and releases; NULL is fine. */
void secret_free(Secret *secret);
DEFINE_POINTER_CLEANUP(Secret, secret_free);

/* A view for a library call; it must not outlive the secret, nor be copied elsewhere. */
Bytes secret_bytes(const Secret *secret);
