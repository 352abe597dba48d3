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
    FILE_LIMIT = 65536,
    ITEMS_MAX = 64,
};

/* One reading of one file: what inih's two callbacks share. */
typedef struct Parse {
    const char *name; /* of the file */
    Reader lines;
    unsigned line; /* the one that inih has last been given */
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

static void refuse_unknown(Parse *parse, const char *section, const char *key)
{
    Reason sections = {0}, keys = {0};

    for (size_t i = 0; i < parse->count; i++) {
        const ConfigItem *item = &parse->items[i];
        if (i == 0 || strcmp(item->section, parse->items[i - 1].section) != 0)
            append(&sections, ", ", item->section);
        if (strcmp(item->section, section) == 0)
            append(&keys, ", ", item->key);
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
               item->section);
        return;
    }
    parse->seen[index] = true;

    int r = item->parse(item, value, (char *)parse->target + item->offset, &allowed);
    if (r == -EINVAL) {
        refuse(parse, parse->line, "\"%s = %s\" in [%s] can't be used; write %s", item->key, value,
               item->section, allowed.text);
    } else if (r < 0) {
        parse->result = r;
    }
}

/* inih's handler: 1 to go on, 0 to count the line as wrong. */
static int on_value(void *user, const char *section, const char *key, const char *value)
{
    Parse *parse = user;

    if (parse->result < 0)
        return 0;
    for (size_t i = 0; i < parse->count; i++) {
        if (strcmp(section, parse->items[i].section) == 0 &&
            strcmp(key, parse->items[i].key) == 0) {
            take_value(parse, i, value);
            return parse->result == 0;
        }
    }
    refuse_unknown(parse, section, key);
    return 0;
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
        if (octet == 0 || length + 1 >= (size_t)size) {
            refuse(parse, parse->line,
                   octet == 0 ? "a zero octet; this is not a text file"
                              : "the line is longer than 198 octets; shorten it");
            return NULL;
        }
        if (length > 0 || (octet != ' ' && octet != '\t'))
            line[length++] = (char)octet;
    }
    line[length] = 0;
    return line;
}

int config_parse(const char *name, Bytes text, const ConfigItem *items, size_t count, void *target,
                 Reason *reason)
{
    assert(count <= ITEMS_MAX);
    Parse parse = {
        .name = name, .items = items, .count = count, .target = target, .reason = reason};
    reader_init(&parse.lines, text);

    int r = ini_parse_stream(on_line, &parse, on_value, &parse);
    if (r < 0)
        return -ENOMEM;
    /* r is the first line that inih, or the handler, found wrong. */
    if (r > 0 && (parse.result == 0 || (unsigned)r < parse.error_line)) {
        parse.result = 0;
        refuse(&parse, (unsigned)r, "this is neither \"[section]\" nor \"key = value\"");
    }
    return parse.result;
}

int config_read(const char *path, const ConfigItem *items, size_t count, void *target,
                Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    size_t size = 0;

    int r = file_read(path, FILE_LIMIT, &text, &size);
    if (r < 0)
        return reason_set(reason, r, "%s: can't be read: %s", path, strerror(-r));
    return config_parse(path, (Bytes){text, size}, items, count, target, reason);
}
