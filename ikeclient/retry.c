/* The count of failed attempts, the wait that follows from it, and the file that outlives us: three
 * numbers with their names. Nobody has to have left it whole. */
#include "ikeclient/retry.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/file_write.h"
#include "ikeclient/pacing.h"
#include "ikeclient/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    USEC_PER_MS = 1000,
    USEC_PER_SEC = 1000000,
    MS_PER_SEC = 1000,
    FILE_MODE = 0600,
    DIGITS_MAX = 19,
    DECIMAL = 10
};

static uint64_t now_usec(const Retry *retry)
{
    uint64_t now = 0;

    (void)sd_event_now(retry->event, CLOCK_MONOTONIC, &now);
    return now;
}

static uint64_t longest_ms(const Retry *retry)
{
    return retry->config->retry_max * MS_PER_SEC;
}

void retry_init(Retry *retry, sd_event *event, const Config *config)
{
    *retry = (Retry){.event = event, .config = config};
}

void retry_deinit(Retry *retry)
{
    free(retry->path);
    retry->path = NULL;
}

int retry_remember(Retry *retry, const char *folder)
{
    BackoffRecord record;

    free(retry->path);
    const char *name = retry->config->name;
    const bool is_default = strcmp(name, CONNECTION_DEFAULT) == 0;
    if (asprintf(&retry->path, "%s/failures%s%s", folder, is_default ? "" : "-",
                 is_default ? "" : name) < 0) {
        retry->path = NULL;
        return -ENOMEM;
    }
    int r = backoff_load(retry->path, &record);
    if (r < 0) {
        report_line(retry->config, LOG_WARNING,
                    "what %s said of failed attempts can't be used (%s): beginning anew",
                    retry->path, r == -EBADMSG ? "it is damaged" : strerror(-r));
        retry->changed = true;
        return 0;
    }
    uint64_t left = backoff_left_ms(&record, (uint64_t)time(NULL), longest_ms(retry));
    retry->failures = record.failures;
    retry->not_before = left > 0 ? now_usec(retry) + left * USEC_PER_MS : 0;
    return 0;
}

/* Where the kernel has no random number to spare, the wait is the longest. */
void retry_failed(Retry *retry)
{
    uint32_t random = 0;

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        random = UINT32_MAX;
    uint64_t wait = backoff_ms(retry->failures, longest_ms(retry), random);
    if (retry->failures < BACKOFF_FAILURES_MAX)
        retry->failures++;
    retry->not_before = now_usec(retry) + wait * USEC_PER_MS;
    retry->changed = true;
}

void retry_succeeded(Retry *retry)
{
    retry->changed = retry->changed || retry->failures > 0;
    retry->failures = 0;
    retry->not_before = 0; /* the operator may have had it not waited for */
}

void retry_save(Retry *retry)
{
    uint64_t now = now_usec(retry);
    uint64_t left = retry->not_before > now ? retry->not_before - now : 0;
    BackoffRecord record = {.failures = retry->failures, .saved = (uint64_t)time(NULL)};

    if (!retry->changed || !retry->path)
        return;
    retry->changed = false;
    record.until = record.saved;
    if (record.failures > 0) /* rounded up */
        record.until += (left + USEC_PER_SEC - 1) / USEC_PER_SEC;
    int r = backoff_save(retry->path, &record);
    if (r < 0 && !retry->complained) {
        report_line(retry->config, LOG_WARNING,
                    "failed attempts can't be written to %s (%s), and are forgotten with this "
                    "process: check the disk and StateDirectory of the unit",
                    retry->path, strerror(-r));
        retry->complained = true;
    }
}

/* ---- the file ---- */

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
