/* Where does a test put its files? In $TMPDIR, which scripts/test makes and removes. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

enum { TEMPORARY_PATH_SIZE = 64 };

/* A template for mkstemp() and mkdtemp() into `ret` (TEMPORARY_PATH_SIZE octets). */
static inline void temporary_path(const char *name, char *ret)
{
    const char *folder = getenv("TMPDIR");

    (void)snprintf(ret, TEMPORARY_PATH_SIZE, "%s/%s.XXXXXX", folder ? folder : "/tmp", name);
}
