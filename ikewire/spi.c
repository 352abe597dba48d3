/* How is an SPI of 0, 4 or 8 octets read and written? */
#include "ikewire/spi.h"

#include "ikewire/fault.h"

#include <assert.h>

int spi_decode(Reader *reader, uint8_t size, uint64_t *ret)
{
    uint32_t short_spi = 0;
    int r = 0;

    assert(size == 0 || size == 4 || size == 8);
    *ret = 0;
    if (size == 8)
        r = reader_u64(reader, ret);
    if (size == 4) {
        r = reader_u32(reader, &short_spi);
        *ret = short_spi;
    }
    return r < 0 ? IKEWIRE_E_LENGTH : 0;
}

void spi_encode(Writer *writer, uint8_t size, uint64_t spi)
{
    if (size == 8)
        writer_u64(writer, spi);
    if (size == 4)
        writer_u32(writer, (uint32_t)spi);
}
