/* Text in colours. */
#include "trectl/terminal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
