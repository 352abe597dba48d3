/* Sees whether memory that is freed still holds a secret, and how often one was wiped. For a
 * program that is linked with -Wl,--wrap=free and -Wl,--wrap=OPENSSL_cleanse, which have its own
 * objects' calls go here (not those of shared libraries). */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

/* From now on every block that is freed is searched for `secret`, which must live until
 * free_watch_end(); that one returns true if it stood in any. */
void free_watch_begin(Bytes secret);
bool free_watch_end(void);

/* How many blocks with `secret` in them OPENSSL_cleanse() has wiped since free_watch_begin(): for
 * what is on the stack, and never freed. */
unsigned free_watch_wiped(void);
