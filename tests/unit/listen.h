/* What does code say on standard error? After cmocka's headers. */
#pragma once

#include "base/cleanup.h"

#include <unistd.h>

enum { LISTEN_SIZE = 8192 };

/* Runs `say`, and puts what it writes to standard error into `ret` (LISTEN_SIZE octets). Less than
 * a pipe holds. */
static inline void listen_to(void (*say)(void), char *ret)
{
    int pipe_ends[2];
    _cleanup_(close_fdp) int kept = dup(STDERR_FILENO);

    assert_int_equal(pipe(pipe_ends), 0);
    assert_true(dup2(pipe_ends[1], STDERR_FILENO) >= 0);
    (void)close(pipe_ends[1]);
    say();
    assert_true(dup2(kept, STDERR_FILENO) >= 0); /* closes the last writing end */

    size_t size = 0;
    ssize_t n;
    while ((n = read(pipe_ends[0], ret + size, LISTEN_SIZE - 1 - size)) > 0)
        size += (size_t)n;
    ret[size] = 0;
    (void)close(pipe_ends[0]);
}
