/* SPIs of 0, 4 or 8 octets, as proposals and notifies carry them. Internal to ikewire. */
#pragma once

#include "base/bytes.h"

#include <stdint.h>

/* Reads `size` octets (0, 4 or 8) as a number; none are 0. Returns 0 or IKEWIRE_E_LENGTH. */
int spi_decode(Reader *reader, uint8_t size, uint64_t *ret);
void spi_encode(Writer *writer, uint8_t size, uint64_t spi);
