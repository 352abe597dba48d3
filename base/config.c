/* Reads an INI file by a table, and says where it is wrong and what is allowed there. */
#include "base/config.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/fqdn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_LIMIT = 1024 * 1024, /* a thousand sections with names */
    ITEMS_MAX = 64,
    SECTION_SIZE = 50, /* inih's, which cuts off what is longer */
};

/* One reading of one file: what inih's two callbacks share. */
typedef struct Parse {
    const char *name; /* of the file */
    Reader lines;
    unsigned line;             /* the one that inih has last been given */
    const ConfigItem *unnamed; /* of the sections without a name */
    size_t n_unnamed;
    const ConfigNamed *named;
    size_t n_named;
    void *whole;      /* what all of the file is read into */
    bool reads_named; /* the second reading */

    /* the section that it is in */
    char section[SECTION_SIZE];
    bool skipped; /* it is the other reading's */
    const ConfigItem *items;
    size_t count;
    bool seen[ITEMS_MAX];
    void *target;

    int result;
    unsigned error_line;
    Reason *reason; /* what was found in error_line */
} Parse;

static int replace_string(void *target, const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return -ENOMEM;

    char **place = target;
    free(*place);
    *place = copy;
    return 0;
}

int config_parse_string(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    (void)item;
    if (value[0] == 0)
        return reason_set(allowed, -EINVAL, "a text that is not empty");
    return replace_string(target, value);
}

int config_parse_path(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    (void)item;
    if (value[0] != '/')
        return reason_set(allowed, -EINVAL, "an absolute path, which begins with '/'");
    return replace_string(target, value);
}

static bool is_address(const char *value)
{
    struct in6_addr octets;

    return inet_pton(AF_INET, value, &octets) == 1 || inet_pton(AF_INET6, value, &octets) == 1;
}

int config_parse_fqdn(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    (void)item;
    if (is_address(value)) {
        return reason_set(allowed, -EINVAL,
                          "the name that stands in the certificate, such as segw.operator.example, "
                          "and no address");
    }
    if (!fqdn_is_valid(value, strlen(value))) {
        return reason_set(
            allowed, -EINVAL,
            "a domain name of letters, digits, hyphens and dots, such as segw.operator.example");
    }
    return replace_string(target, value);
}

int config_parse_number(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    char *end = NULL;

    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    /* strtoull() would take signs and blanks in front, too. */
    if (!isdigit((unsigned char)value[0]) || *end || errno || number < item->minimum ||
        number > item->maximum) {
        return reason_set(allowed, -EINVAL, "a number from %llu to %llu",
                          (unsigned long long)item->minimum, (unsigned long long)item->maximum);
    }
    *(uint64_t *)target = number;
    return 0;
}

int config_parse_boolean(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    (void)item;
    bool yes = strcmp(value, "yes") == 0;
    if (!yes && strcmp(value, "no") != 0)
        return reason_set(allowed, -EINVAL, "yes or no");
    *(bool *)target = yes;
    return 0;
}

/* Appends a word to a list; what does not fit is cut off. */
static void append(Reason *list, const char *separator, const char *word)
{
    reason_set(list, 0, "%s%s%s", list->text, list->text[0] != '\0' ? separator : "", word);
}

int config_parse_choice(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    allowed->text[0] = 0;
    for (unsigned i = 0; item->choices[i]; i++) {
        if (strcmp(value, item->choices[i]) == 0) {
            *(unsigned *)target = i;
            return 0;
        }
        append(allowed, " or ", item->choices[i]);
    }
    return -EINVAL;
}

__attribute__((format(printf, 3, 4))) static void refuse(Parse *parse, unsigned line,
                                                         const char *format, ...)
{
    if (parse->result < 0)
        return; /* the first thing wrong is what the person should look at */

    parse->result = -EINVAL;
    parse->error_line = line;
    Reason what;
    va_list arguments;
    va_start(arguments, format);
    reason_set_v(&what, 0, format, arguments);
    va_end(arguments);
    reason_set(parse->reason, 0, "%s:%u: %s", parse->name, line, what.text);
}

static void list_sections(const Parse *parse, Reason *ret)
{
    for (size_t i = 0; i < parse->n_unnamed; i++) {
        if (i == 0 || strcmp(parse->unnamed[i].section, parse->unnamed[i - 1].section) != 0)
            append(ret, ", ", parse->unnamed[i].section);
    }
    for (size_t i = 0; i < parse->n_named; i++) {
        append(ret, ", ", parse->named[i].section);
        append(ret, " ", "NAME");
    }
}

/* With a name, all items of the table are the section's. */
static bool is_of(const Parse *parse, const ConfigItem *item, const char *section)
{
    return parse->reads_named || strcmp(item->section, section) == 0;
}

static void refuse_unknown(Parse *parse, const char *section, const char *key)
{
    Reason sections = {0}, keys = {0};

    list_sections(parse, &sections);
    for (size_t i = 0; i < parse->count; i++) {
        if (is_of(parse, &parse->items[i], section))
            append(&keys, ", ", parse->items[i].key);
    }
    if (section[0] == 0) {
        refuse(parse, parse->line, "\"%s\" stands before any [section]; put it into one of: %s",
               key, sections.text);
    } else if (keys.text[0] == 0) {
        refuse(parse, parse->line, "there is no section [%s]; the sections are: %s", section,
               sections.text);
    } else {
        refuse(parse, parse->line, "section [%s] has no key \"%s\"; its keys are: %s", section, key,
               keys.text);
    }
}

static void take_value(Parse *parse, size_t index, const char *value)
{
    const ConfigItem *item = &parse->items[index];
    Reason allowed = {0};

    if (parse->seen[index]) {
        refuse(parse, parse->line, "\"%s\" is given twice in [%s]; keep one of the two", item->key,
               parse->section);
        return;
    }
    parse->seen[index] = true;

    int r = item->parse(item, value, (char *)parse->target + item->offset, &allowed);
    if (r == -EINVAL) {
        refuse(parse, parse->line, "\"%s = %s\" in [%s] can't be used; write %s", item->key, value,
               parse->section, allowed.text);
    } else if (r < 0) {
        parse->result = r;
    }
}

/* ---- sections ---- */

bool config_name_is_valid(const char *name)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return size > 0 && size < CONFIG_NAME_SIZE && name[size] == 0;
}

/* The table for "[connection core]", and "core"; NULL for a section without a name. */
static const ConfigNamed *named_of(const Parse *parse, const char *section, const char **ret_name)
{
    const size_t size = strcspn(section, " \t");

    for (size_t i = 0; i < parse->n_named && section[size] != 0; i++) {
        const ConfigNamed *named = &parse->named[i];
        if (strlen(named->section) == size && strncmp(named->section, section, size) == 0) {
            *ret_name = section + size + strspn(section + size, " \t");
            return named;
        }
    }
    return NULL;
}

static void begin_named(Parse *parse, const ConfigNamed *named, const char *name)
{
    Reason why = {0};

    parse->items = named->items;
    parse->count = named->count;
    parse->target = NULL;
    memset(parse->seen, 0, sizeof(parse->seen));
    int r = named->begin(parse->whole, name, &parse->target, &why);
    if (r == -EEXIST) {
        refuse(parse, parse->line, "there are two sections [%s]; make one of the two",
               parse->section);
    } else if (r == -EINVAL) {
        refuse(parse, parse->line, "there can't be a section [%s]: %s", parse->section, why.text);
    } else if (r < 0) {
        parse->result = r;
    }
}

/* Goes on in another section. */
static void enter(Parse *parse, const char *section)
{
    const char *name = "";

    (void)snprintf(parse->section, sizeof(parse->section), "%s", section);
    const ConfigNamed *named = named_of(parse, parse->section, &name);
    parse->skipped = (named != NULL) != parse->reads_named;
    if (!named || parse->result < 0)
        return;
    if (!config_name_is_valid(name)) {
        refuse(parse, parse->line,
               "\"%s\" in [%s] can't be a name; write 1 to %d of a to z, 0 to 9 and '-'", name,
               parse->section, CONFIG_NAME_SIZE - 1);
    } else if (!parse->skipped) {
        begin_named(parse, named, name);
    }
}

/* inih tells of a section with its first key only. */
static void look_for_section(Parse *parse, const char *line)
{
    char section[SECTION_SIZE];
    const char *end = line[0] == '[' ? strchr(line, ']') : NULL;

    if (end) {
        (void)snprintf(section, sizeof(section), "%.*s", (int)(end - line - 1), line + 1);
        enter(parse, section);
    }
}

/* inih's handler: 1 to go on, 0 to count the line as wrong. */
static int on_value(void *user, const char *section, const char *key, const char *value)
{
    Parse *parse = user;

    if (strcmp(section, parse->section) != 0)
        enter(parse, section);
    if (parse->result < 0)
        return 0;
    if (parse->skipped)
        return 1;
    for (size_t i = 0; i < parse->count; i++) {
        if (is_of(parse, &parse->items[i], section) && strcmp(key, parse->items[i].key) == 0) {
            take_value(parse, i, value);
            return parse->result == 0;
        }
    }
    refuse_unknown(parse, section, key);
    return 0;
}

/* Why this octet of a line, with what is left after it, can't stand in a file like ours; NULL: it
 * can. After a CR alone, which some editors end a line with, the rest would be part of a comment.
 */
static const char *octet_flaw(uint8_t octet, Reader left)
{
    uint8_t next;

    if (octet == 0)
        return "a zero octet; this is not a text file";
    if (octet == '\r' && reader_u8(&left, &next) == 0 && next != '\n')
        return "a carriage return within the line; have lines end in LF, or CR LF";
    return NULL;
}

/* inih's reader, as fgets(): counts the lines, which inih's handler is not told, and takes off the
 * blanks in front, which inih would read as "the line before goes on". */
static char *on_line(char *line, int size, void *stream)
{
    Parse *parse = stream;
    size_t length = 0;
    uint8_t octet = 0;

    if (reader_left(&parse->lines) == 0 || parse->result < 0)
        return NULL;
    parse->line++;
    while (octet != '\n' && reader_u8(&parse->lines, &octet) == 0) {
        const char *flaw = octet_flaw(octet, parse->lines);
        if (!flaw && length + 1 >= (size_t)size)
            flaw = "the line is longer than 198 octets; shorten it";
        if (flaw) {
            refuse(parse, parse->line, "%s", flaw);
            return NULL;
        }
        if (length > 0 || (octet != ' ' && octet != '\t'))
            line[length++] = (char)octet;
    }
    line[length] = 0;
    look_for_section(parse, line);
    return line;
}

static int read_once(Parse *parse, Bytes text)
{
    reader_init(&parse->lines, text);
    parse->line = 0;
    parse->section[0] = 0;
    parse->skipped = parse->reads_named;

    int r = ini_parse_stream(on_line, parse, on_value, parse);
    if (r < 0)
        return -ENOMEM;
    /* r is the first line that inih, or the handler, found wrong. */
    if (r > 0 && (parse->result == 0 || (unsigned)r < parse->error_line)) {
        parse->result = 0;
        refuse(parse, (unsigned)r, "this is neither \"[section]\" nor \"key = value\"");
    }
    return parse->result;
}

int config_parse_named(const char *name, Bytes text, const ConfigItem *items, size_t count,
                       const ConfigNamed *named, size_t n_named, void *target, Reason *reason)
{
    assert(count <= ITEMS_MAX);
    Parse parse = {.name = name,
                   .unnamed = items,
                   .n_unnamed = count,
                   .named = named,
                   .n_named = n_named,
                   .whole = target,
                   .items = items,
                   .count = count,
                   .target = target,
                   .reason = reason};

    for (size_t i = 0; i < n_named; i++)
        assert(named[i].count <= ITEMS_MAX);
    int r = read_once(&parse, text);
    if (r < 0 || n_named == 0)
        return r;
    parse.reads_named = true;
    return read_once(&parse, text);
}

int config_parse(const char *name, Bytes text, const ConfigItem *items, size_t count, void *target,
                 Reason *reason)
{
    return config_parse_named(name, text, items, count, NULL, 0, target, reason);
}

int config_read_named(const char *path, const ConfigItem *items, size_t count,
                      const ConfigNamed *named, size_t n_named, void *target, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    size_t size = 0;

    int r = file_read(path, FILE_LIMIT, &text, &size);
    if (r < 0)
        return reason_set(reason, r, "%s: can't be read: %s", path, strerror(-r));
    return config_parse_named(path, (Bytes){text, size}, items, count, named, n_named, target,
                              reason);
}

int config_read(const char *path, const ConfigItem *items, size_t count, void *target,
                Reason *reason)
{
    return config_read_named(path, items, count, NULL, 0, target, reason);
}
