/* Text for a person: numbers in words, lines that fit, and colours. */
#include "trectl/words.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MINUTE = 60,
    TWO_MINUTES = 2 * MINUTE,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR,
    TWO_DAYS = 2 * DAY
};

const char *words_duration(uint64_t seconds, char *ret)
{
    if (seconds < TWO_MINUTES) {
        (void)snprintf(ret, WORDS_SIZE, "%" PRIu64 " s", seconds);
    } else if (seconds < HOUR) {
        (void)snprintf(ret, WORDS_SIZE, "%" PRIu64 " min", seconds / MINUTE);
    } else if (seconds < TWO_DAYS) {
        (void)snprintf(ret, WORDS_SIZE, "%" PRIu64 " h %" PRIu64 " min", seconds / HOUR,
                       seconds % HOUR / MINUTE);
    } else {
        (void)snprintf(ret, WORDS_SIZE, "%" PRIu64 " days", seconds / DAY);
    }
    return ret;
}

const char *words_time(time_t when, char *ret)
{
    struct tm tm;

    if (!gmtime_r(&when, &tm) || strftime(ret, WORDS_SIZE, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        (void)snprintf(ret, WORDS_SIZE, "%jd s after 1970", (intmax_t)when);
    return ret;
}

const char *words_octets(uint64_t octets, char *ret)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)octets;
    size_t unit = 0;

    if (octets < 1000) {
        (void)snprintf(ret, WORDS_SIZE, "%" PRIu64 " B", octets);
        return ret;
    }
    value /= 1000;
    while (value >= 999.95) {
        value /= 1000;
        unit++;
    }
    (void)snprintf(ret, WORDS_SIZE, "%.1f %s", value, units[unit]);
    return ret;
}

size_t words_line_break(const char *text, size_t width, const char **ret_next)
{
    const size_t length = strlen(text);
    size_t end = width;

    if (length <= width) {
        *ret_next = text + length;
        return length;
    }
    while (end > 0 && text[end] != ' ')
        end--;
    if (end == 0)
        end = width;
    *ret_next = text + end + (text[end] == ' ');
    return end;
}

void words_overwrite(FILE *stream, const char *text, unsigned rows, unsigned columns)
{
    unsigned row = 0, column = 0;
    bool escape = false;

    (void)fputs("\033[H\033[K", stream);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\n') {
            column = 0;
            if (++row == rows)
                return;
            (void)fputs("\n\033[K", stream);
            continue;
        }
        escape = escape || *c == '\033';
        if (!escape && ((unsigned char)*c & 0xc0) != 0x80) /* no more octets of a character */
            column++;
        if (escape || columns == 0 || column <= columns)
            (void)fputc(*c, stream);
        escape = escape && *c != 'm';
    }
    (void)fputs("\033[J", stream);
}

bool terminal_has_colours(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(STDOUT_FILENO) == 1 && (!no || no[0] == '\0') && term &&
           strcmp(term, "dumb") != 0;
}

void paper_print(const Paper *paper, Colour colour, const char *format, ...)
{
    static const char *const begins[] = {
        [COLOUR_NONE] = "",        [COLOUR_GOOD] = "\033[32m",  [COLOUR_CARE] = "\033[33m",
        [COLOUR_BAD] = "\033[31m", [COLOUR_STRONG] = "\033[1m",
    };
    const bool painted = paper->colours && colour != COLOUR_NONE;
    va_list arguments;

    if (painted)
        (void)fputs(begins[colour], paper->stream);
    va_start(arguments, format);
    (void)vfprintf(paper->stream, format, arguments);
    va_end(arguments);
    if (painted)
        (void)fputs("\033[0m", paper->stream);
}
