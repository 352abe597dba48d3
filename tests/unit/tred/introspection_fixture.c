/* What does a piece of introspection XML say, whatever its layout and order? */
#include "introspection_fixture.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { LINES_MAX = 128, LINE_SIZE = 1024, VALUE_SIZE = 128, MEMBER_SIZE = 2 * VALUE_SIZE + 2 };

typedef struct Scan {
    const char *interface;
    bool inside;
    char member[MEMBER_SIZE];
    bool is_method;
    unsigned n_args;
    size_t n_lines;
    char lines[LINES_MAX][LINE_SIZE];
} Scan;

/* The value of `name` in a tag's text, or `otherwise`. */
static void attribute(const char *tag, const char *name, const char *otherwise, char *ret)
{
    char pattern[VALUE_SIZE];
    const char *found;

    (void)snprintf(pattern, sizeof(pattern), " %s=\"", name);
    found = strstr(tag, pattern);
    if (found)
        found += strlen(pattern);
    (void)snprintf(ret, VALUE_SIZE, "%.*s", (int)(found ? strcspn(found, "\"") : strlen(otherwise)),
                   found ? found : otherwise);
}

static char *line_new(Scan *scan)
{
    assert_in_range(scan->n_lines, 0, LINES_MAX - 1);
    return scan->lines[scan->n_lines++];
}

static bool tag_is(const char *tag, const char *name)
{
    size_t size = strlen(name);

    return strncmp(tag, name, size) == 0 && strchr(" />", tag[size]) != NULL;
}

static void member_take(Scan *scan, const char *tag)
{
    char kind[VALUE_SIZE], name[VALUE_SIZE], type[VALUE_SIZE], access[VALUE_SIZE];

    (void)snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(tag, " "), tag);
    attribute(tag, "name", "", name);
    attribute(tag, "type", "", type);
    attribute(tag, "access", "", access);
    (void)snprintf(scan->member, sizeof(scan->member), "%s %s", kind, name);
    scan->is_method = strcmp(kind, "method") == 0;
    scan->n_args = 0;
    (void)snprintf(line_new(scan), LINE_SIZE, "%s %s %s", scan->member, type, access);
}

static void tag_take(Scan *scan, const char *tag)
{
    char name[VALUE_SIZE], type[VALUE_SIZE], direction[VALUE_SIZE];

    attribute(tag, "name", "", name);
    if (tag_is(tag, "interface"))
        scan->inside = strcmp(name, scan->interface) == 0;
    if (!scan->inside)
        return;
    if (tag_is(tag, "method") || tag_is(tag, "signal") || tag_is(tag, "property")) {
        member_take(scan, tag);
    } else if (tag_is(tag, "arg")) {
        attribute(tag, "type", "", type);
        attribute(tag, "direction", scan->is_method ? "in" : "out", direction);
        (void)snprintf(line_new(scan), LINE_SIZE, "%s arg %u %s %s %s", scan->member,
                       scan->n_args++, type, name, direction);
    } else if (tag_is(tag, "annotation")) {
        attribute(tag, "value", "", type);
        (void)snprintf(line_new(scan), LINE_SIZE, "%s annotation %s=%s", scan->member, name, type);
    }
}

static int line_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

void interface_describe(const char *xml, const char *interface, char *ret)
{
    static Scan scan;
    size_t size = 0;

    scan = (Scan){.interface = interface};
    for (const char *tag = strchr(xml, '<'); tag; tag = strchr(tag, '<')) {
        char text[LINE_SIZE];

        if (strncmp(tag, "<!--", 4) == 0) {
            tag = strstr(tag, "-->");
            assert_non_null(tag);
            continue;
        }
        tag++;
        (void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(tag, ">") + 1, tag);
        tag_take(&scan, text);
    }
    qsort(scan.lines, scan.n_lines, LINE_SIZE, line_compare);
    ret[0] = '\0';
    for (size_t i = 0; i < scan.n_lines; i++) {
        size += (size_t)snprintf(ret + size, INTROSPECTION_TEXT_MAX - size, "%s\n", scan.lines[i]);
        assert_in_range(size, 1, INTROSPECTION_TEXT_MAX - 1);
    }
}
