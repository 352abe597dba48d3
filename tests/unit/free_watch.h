/* Sees whether memory that is freed still holds a secret. For a program that is linked with
 * -Wl,--wrap=free, which has its own objects' calls go here (not those of shared libraries). */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

/* From now on every block that is freed is searched for `secret`, which must live until
 * free_watch_end(); that one returns true if it stood in any. */
void free_watch_begin(Bytes secret);
bool free_watch_end(void);
