/* Colours, where they help: on a terminal, and not where NO_COLOR is set (https://no-color.org) or
 * the terminal is "dumb". */
#pragma once

#include <stdbool.h>
#include <stdio.h>

typedef enum Colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_CARE, COLOUR_BAD, COLOUR_STRONG } Colour;

/* Where text is written to, and whether in colours. */
typedef struct Paper {
    FILE *stream;
    bool colours;
} Paper;

/* Whether standard output is to have colours. */
bool terminal_has_colours(void);

/* Writes in that colour. */
void paper_print(const Paper *paper, Colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
