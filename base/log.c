/* Writes a line to the person who looks after this machine: on standard error, or with its fields
 * to the journal. */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINE_SIZE = 2048 }; /* of the text, without what says that it was cut */

/* A process logs at one level; handing it through every call would only obscure them. */
static int log_level = LOG_INFO;

void log_set_level(int level)
{
    log_level = level;
}

int log_level_from_name(const char *name)
{
    static const struct {
        const char *name;
        int level;
    } levels[] = {
        {"error", LOG_ERR}, {"warning", LOG_WARNING}, {"notice", LOG_NOTICE},
        {"info", LOG_INFO}, {"debug", LOG_DEBUG},
    };

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(name, levels[i].name) == 0)
            return levels[i].level;
    }
    return -EINVAL;
}

/* Text from the network may hold line ends or terminal escapes; it must not be able to forge a
 * line. */
static void replace_controls(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == '\x7f')
            *text = '?';
    }
}

/* $JOURNAL_STREAM is inherited by whoever redirects standard error elsewhere, so it names the
 * stream: DEVICE:INODE, in decimal (systemd.exec(5)). */
static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char *end;

    if (!stream || fstat(fd, &status) < 0 || strtoull(stream, &end, 10) != status.st_dev ||
        *end != ':')
        return false;
    stream = end + 1;
    return strtoull(stream, &end, 10) == status.st_ino && end > stream && *end == '\0';
}

bool log_is_on(int level)
{
    return level <= log_level;
}

/* ---- the journal ---- */

/* libsystemd's sd_journal_send() would wait where the journal does not read, and whoever serves
 * others must not: the datagram is sent without waiting. */

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

enum { ENTRY_SIZE = 8192, NUMBER_SIZE = 24 }; /* MESSAGE and TRE_ERROR are 2 KiB at most, each */

typedef struct Entry {
    char text[ENTRY_SIZE];
    size_t size;
} Entry;

/* One for the process, as with the level; opened with the first line. */
static int journal_fd = -1;

/* "NAME=value\n" (systemd.journal-fields(7)), unless the value is empty. A control character could
 * begin another field. */
static void field_add(Entry *entry, const char *name, const char *value)
{
    const size_t room = sizeof(entry->text) - entry->size;
    const int size = snprintf(entry->text + entry->size, room, "%s=%s", name, value);

    if (value[0] == '\0' || size < 0 || (size_t)size + 1 >= room)
        return; /* without it */
    for (char *c = entry->text + entry->size; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == '\x7f')
            *c = '?';
    }
    entry->size += (size_t)size;
    entry->text[entry->size++] = '\n';
}

static void fields_add(Entry *entry, const LogFields *fields)
{
    char spi[NUMBER_SIZE] = "", step[NUMBER_SIZE] = "";

    if (fields->spi != 0)
        (void)snprintf(spi, sizeof(spi), "%016" PRIx64, fields->spi);
    if (fields->step != 0)
        (void)snprintf(step, sizeof(step), "%u", fields->step);
    field_add(entry, "MESSAGE_ID", fields->message_id ? fields->message_id : "");
    field_add(entry, "TRE_PEER", fields->peer ? fields->peer : "");
    field_add(entry, "TRE_SPI", spi);
    field_add(entry, "TRE_STEP", step);
    field_add(entry, "TRE_ERROR", fields->error ? fields->error : "");
}

static int entry_send(const Entry *entry)
{
    static const struct sockaddr_un address = {AF_UNIX, JOURNAL_SOCKET};

    if (journal_fd < 0) {
        journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (journal_fd < 0)
            return -errno;
    }
    return sendto(journal_fd, entry->text, entry->size, MSG_NOSIGNAL,
                  (const struct sockaddr *)&address, sizeof(address)) < 0
               ? -errno
               : 0;
}

/* 0, or -errno where the journal does not take the line at once. */
static int journal_send(int level, const char *text, const LogFields *fields)
{
    char priority[NUMBER_SIZE];
    Entry entry;

    entry.size = 0;
    (void)snprintf(priority, sizeof(priority), "%d", level & LOG_PRIMASK);
    field_add(&entry, "MESSAGE", text);
    field_add(&entry, "PRIORITY", priority);
    field_add(&entry, "SYSLOG_IDENTIFIER", program_invocation_short_name);
    if (fields)
        fields_add(&entry, fields);
    return entry_send(&entry);
}

/* As with the level. */
static bool journal_wanted;

void log_to_journal(void)
{
    journal_wanted = true;
}

/* ---- a line ---- */

/* One write(), so that lines of several threads do not mix. */
static void line_write(int level, const char *text, const LogFields *fields)
{
    char line[LINE_SIZE + sizeof("<7>...\n")];
    char priority[sizeof("<7>")] = "";

    if (is_journal(STDERR_FILENO)) {
        if (journal_wanted && journal_send(level, text, fields) == 0)
            return;
        (void)snprintf(priority, sizeof(priority), "<%d>", level & LOG_PRIMASK);
    }
    int size = snprintf(line, sizeof(line), "%s%s\n", priority, text);
    if (size > 0 && write(STDERR_FILENO, line, (size_t)size) < 0)
        return; /* nobody is left to be told */
}

static void line_make(int level, const LogFields *fields, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void line_make(int level, const LogFields *fields, const char *format, va_list arguments)
{
    static const char cut[] = "...";
    int saved_errno = errno; /* a caller may log before it looks at errno */
    char text[LINE_SIZE + sizeof(cut)];

    int size = vsnprintf(text, LINE_SIZE, format, arguments);
    if (size >= 0) {
        replace_controls(text);
        if (size >= LINE_SIZE)
            memcpy(text + LINE_SIZE - 1, cut, sizeof(cut));
        line_write(level, text, fields);
    }
    errno = saved_errno;
}

void log_line(int level, const char *format, ...)
{
    va_list arguments;

    if (!log_is_on(level))
        return;
    va_start(arguments, format);
    line_make(level, NULL, format, arguments);
    va_end(arguments);
}

void log_fields(int level, const LogFields *fields, const char *format, ...)
{
    va_list arguments;

    if (!log_is_on(level))
        return;
    va_start(arguments, format);
    line_make(level, fields, format, arguments);
    va_end(arguments);
}
