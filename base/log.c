/* Writes a line to the person who looks after this machine. */
#include "base/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* As with the level. */
static LogSink log_sink;

void log_set_sink(LogSink sink)
{
    log_sink = sink;
}

/* One write(), so that lines of several threads do not mix. */
static void line_write(int level, const char *text, const LogFields *fields)
{
    char line[LINE_SIZE + sizeof("<7>...\n")];
    char priority[sizeof("<7>")] = "";

    if (is_journal(STDERR_FILENO)) {
        if (log_sink && log_sink(level, text, fields) == 0)
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
