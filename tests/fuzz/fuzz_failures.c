/* Can any text of the file of failed attempts make its reader misbehave, or make a HeNB wait for
 * longer than was configured? What is taken is written again as the same text. */
#include "ikeclient/pacing.h"
#include "ikeclient/retry.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_MS = 300000 };

static void check(bool right)
{
    if (!right)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const Bytes text = {data, size};
    char again[BACKOFF_TEXT_SIZE];
    BackoffRecord record;

    int r = backoff_parse(text, &record);
    check(r == 0 || r == -EBADMSG);
    check(record.failures <= BACKOFF_FAILURES_MAX);
    check(backoff_left_ms(&record, size, MOST_MS) <= MOST_MS);
    if (r == 0)
        check(bytes_equal(text, (Bytes){(uint8_t *)again, backoff_format(&record, again)}));
    return 0;
}
