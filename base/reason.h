/* Why something did not work, in words for a person: the culprit, what was found and what to do. */
#pragma once

#include <stdarg.h>

enum { REASON_SIZE = 1024 };

/* A sentence without its full stop, always terminated; empty: nothing was said. Its text ends in
 * "..." where it was longer. */
typedef struct Reason {
    char text[REASON_SIZE];
} Reason;

/* Writes the reason and returns `r`, for `return reason_set(reason, -EINVAL, …)`. The arguments may
 * point into `reason` itself, as in "%s: %s" with where it was found and what it said before.
 * `reason` may be NULL: nobody wants to know. */
int reason_set(Reason *reason, int r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a function that takes a format itself. */
int reason_set_v(Reason *reason, int r, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
