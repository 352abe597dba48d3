/* Scope-bound cleanup: every owned thing is released on every path out of its scope. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(release) __attribute__((cleanup(release)))

/* Defines TYPE's `release##p`, for _cleanup_(release##p) on a `type *` variable. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type takes none */
#define DEFINE_POINTER_CLEANUP(type, release)                                                      \
    static inline void release##p(type **pointer)                                                  \
    {                                                                                              \
        if (*pointer)                                                                              \
            release(*pointer);                                                                     \
    }                                                                                              \
    struct release##_needs_semicolon
/* NOLINTEND(bugprone-macro-parentheses) */

/* Hands an owned pointer over: yields its value and forgets it, so that cleanup does nothing. */
#define steal_pointer(pointer)                                                                     \
    ({                                                                                             \
        __typeof__(pointer) stolen_ = (pointer);                                                   \
        (pointer) = NULL;                                                                          \
        stolen_;                                                                                   \
    })

/* The same for a file descriptor. */
static inline int steal_fd(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static inline void free_charp(char **pointer)
{
    free(*pointer);
}

static inline void free_bytesp(unsigned char **pointer)
{
    free(*pointer);
}

/* The number is another's from then on, and so is forgotten. */
static inline void close_fdp(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static inline void close_filep(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}
