/* Is a frame that was read written as the very same octets? */
#pragma once

#include "base/bytes.h"

#include <stdlib.h>

static inline void check_written(const Writer *writer, Bytes frame)
{
    Bytes written = {0};

    if (writer_finish(writer, &written) < 0 || !bytes_equal(written, frame))
        abort();
}
