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

enum { LINE_SIZE = 2048 };

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

/* One write(), so that lines of several threads do not mix. */
static void line_write(int level, const char *text, const char *end)
{
    char line[LINE_SIZE + sizeof("<7>...\n")];
    char priority[sizeof("<7>")] = "";

    if (is_journal(STDERR_FILENO))
        (void)snprintf(priority, sizeof(priority), "<%d>", level & LOG_PRIMASK);
    int size = snprintf(line, sizeof(line), "%s%s%s\n", priority, text, end);
    if (size > 0 && write(STDERR_FILENO, line, (size_t)size) < 0)
        return; /* nobody is left to be told */
}

void log_line(int level, const char *format, ...)
{
    if (!log_is_on(level))
        return;

    int saved_errno = errno; /* a caller may log before it looks at errno */
    char text[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);

    if (size >= 0) {
        replace_controls(text);
        const char *cut = size >= LINE_SIZE ? "..." : "";
        line_write(level, text, cut);
    }
    errno = saved_errno;
}
