/* Text for a person: numbers in words, lines that fit, and colours where they help: on a terminal,
 * and not where NO_COLOR is set (https://no-color.org) or the terminal is "dumb". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { WORDS_SIZE = 64 };

/* "45 s", "12 min", "2 h 3 min", "5 days": the two largest units that matter. Returns `ret`
 * (WORDS_SIZE octets), as all of these do. */
const char *words_duration(uint64_t seconds, char *ret);

/* "2026-11-26 17:31:02 UTC" */
const char *words_time(time_t when, char *ret);

/* "512 B", "1.2 kB", "3.4 MB" */
const char *words_octets(uint64_t octets, char *ret);

/* Where to break a text that is longer than `width` characters: how many of them go on the first
 * line; *ret_next is where the next one begins. At a blank, if there is one. */
size_t words_line_break(const char *text, size_t width, const char **ret_next);

/* Writes a text, whose colours are escape sequences, over a terminal's screen of so many rows and
 * columns (0: without end). What goes beyond is left out, so that nothing scrolls. */
void words_overwrite(FILE *stream, const char *text, unsigned rows, unsigned columns);

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
