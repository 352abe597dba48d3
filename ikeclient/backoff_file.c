/* The file of failed attempts: three numbers with their names. Nobody has to have left it whole. */
#include "ikeclient/backoff_file.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "ikeclient/backoff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MS_PER_SEC = 1000, FILE_MODE = 0600, DIGITS_MAX = 19, DECIMAL = 10 };

/* "NAME NUMBER\n". */
static int read_line(Reader *reader, const char *name, uint64_t *ret)
{
    Bytes word;
    uint8_t octet = 0;
    unsigned digits = 0;
    uint64_t value = 0;

    if (reader_take(reader, strlen(name), &word) < 0 || memcmp(word.data, name, word.size) != 0 ||
        reader_u8(reader, &octet) < 0 || octet != ' ')
        return -EBADMSG;
    while (reader_u8(reader, &octet) == 0 && octet >= '0' && octet <= '9' && digits++ < DIGITS_MAX)
        value = value * DECIMAL + (octet - '0');
    if (octet != '\n' || digits == 0)
        return -EBADMSG;
    *ret = value;
    return 0;
}

int backoff_parse(Bytes text, BackoffRecord *ret)
{
    uint64_t failures = 0, saved = 0, until = 0;
    char own[BACKOFF_TEXT_SIZE];
    Reader reader;

    *ret = (BackoffRecord){0};
    reader_init(&reader, text);
    if (read_line(&reader, "failures", &failures) < 0 || read_line(&reader, "saved", &saved) < 0 ||
        read_line(&reader, "until", &until) < 0 || reader_left(&reader) > 0 ||
        failures > BACKOFF_FAILURES_MAX || until < saved)
        return -EBADMSG;
    const BackoffRecord record = {(unsigned)failures, saved, until};
    /* Zeros in front are none of ours. */
    if (!bytes_equal(text, (Bytes){(const uint8_t *)own, backoff_format(&record, own)}))
        return -EBADMSG;
    *ret = record;
    return 0;
}

size_t backoff_format(const BackoffRecord *record, char *text)
{
    return (size_t)snprintf(text, BACKOFF_TEXT_SIZE,
                            "failures %u\nsaved %" PRIu64 "\nuntil %" PRIu64 "\n", record->failures,
                            record->saved, record->until);
}

uint64_t backoff_left_ms(const BackoffRecord *record, uint64_t now, uint64_t most_ms)
{
    uint64_t begun = now > record->saved ? now : record->saved;
    uint64_t most = most_ms / MS_PER_SEC, left = 0;

    if (record->failures > 0 && record->until > begun)
        left = record->until - begun;
    return (left < most ? left : most) * MS_PER_SEC;
}

int backoff_load(const char *path, BackoffRecord *ret)
{
    _cleanup_(free_bytesp) uint8_t *octets = NULL;
    size_t size = 0;

    *ret = (BackoffRecord){0};
    int r = file_read(path, BACKOFF_TEXT_SIZE, &octets, &size);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : backoff_parse((Bytes){octets, size}, ret);
}

int backoff_save(const char *path, const BackoffRecord *record)
{
    char text[BACKOFF_TEXT_SIZE];
    size_t size = backoff_format(record, text);

    return file_write_atomic(path, (Bytes){(const uint8_t *)text, size}, FILE_MODE);
}
