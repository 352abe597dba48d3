/* The configuration file that is shipped: all of its keys are commented out, as "#key = value". */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/file.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SHIPPED_SIZE_MAX = 65536 };

/* What the file at `path` is with each key put in force; the caller's to free(). Fails the test
 * where one is in force already: only blank lines, comments and sections are shipped. */
static inline char *shipped_in_force(const char *path)
{
    uint8_t *octets = NULL;
    size_t size = 0;
    char *text;

    assert_int_equal(file_read(path, SHIPPED_SIZE_MAX, &octets, &size), 0);
    text = (char *)octets;
    for (char *line = text; *line != 0; line++) {
        if (!strchr("#[\n", *line))
            fail_msg("%s: this is in force: %s", path, line);
        if (line[0] == '#' && islower((unsigned char)line[1]))
            line[0] = ' ';
        line = strchr(line, '\n');
        assert_non_null(line);
    }
    return text;
}
