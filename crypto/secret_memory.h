/* Locked memory behind a secret: secret_heap.c's or, in a process without OpenSSL,
 * secret_pages.c's. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* `size` zero octets (size above 0) that are never swapped out or dumped. 0 or -ENOMEM. */
int secret_memory_take(size_t size, uint8_t **ret);

/* Wipes and gives back. */
void secret_memory_release(uint8_t *data, size_t size);
