/* Numbers and octets drawn at random, the same ones in each run. */
#pragma once

#include "base/bytes.h"

uint64_t random_number(void);

/* From `minimum` to `maximum`, both included. */
size_t random_from(size_t minimum, size_t maximum);

/* A view of `minimum` to `maximum` octets (at most 4096), good until the process ends. */
Bytes random_bytes(size_t minimum, size_t maximum);
