/* INI configuration, read by a table: each key has a parser and a place in the caller's struct.
 * An unknown section or key, a key given twice, or a value its parser refuses is an error whose
 * text names file, line and key, what was found and what is allowed. Comments start with '#' or ';'
 * at a line's start, or with ';' after a blank. A section is judged by its keys: an empty one is
 * passed over, unless it has a name. A line has at most 198 octets (inih's limit). */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ConfigItem ConfigItem;

/* Parses `value` into `target`. Returns 0, or -EINVAL with `allowed` saying what would have been
 * good ("a number from 1 to 1024"), or -ENOMEM. */
typedef int (*ConfigParser)(const ConfigItem *item, const char *value, void *target,
                            Reason *allowed);

struct ConfigItem {
    const char *section;
    const char *key;
    ConfigParser parse;
    size_t offset;    /* of the target in the struct handed to config_read() */
    uint64_t minimum; /* for config_parse_number */
    uint64_t maximum;
    const char *const *choices; /* for config_parse_choice: NULL-terminated names */
};

/* The text itself, not empty. Target: char *, owned by the struct (freed here when replaced). */
int config_parse_string(const ConfigItem *item, const char *value, void *target, Reason *allowed);

/* An absolute path. Target: char *, owned by the struct. */
int config_parse_path(const ConfigItem *item, const char *value, void *target, Reason *allowed);

/* A domain name in A-label form. Target: char *, owned by the struct. */
int config_parse_fqdn(const ConfigItem *item, const char *value, void *target, Reason *allowed);

/* A decimal number within item->minimum and item->maximum. Target: uint64_t. */
int config_parse_number(const ConfigItem *item, const char *value, void *target, Reason *allowed);

/* "yes" or "no". Target: bool. */
int config_parse_boolean(const ConfigItem *item, const char *value, void *target, Reason *allowed);

/* One of item->choices. Target: unsigned, the index of the one found. */
int config_parse_choice(const ConfigItem *item, const char *value, void *target, Reason *allowed);

/* Sections with a name, such as "[connection core]": each has a struct of its own. */
typedef struct ConfigNamed {
    const char *section;     /* "connection" */
    const ConfigItem *items; /* `section` in them does not count */
    size_t count;            /* at most 64 */
    /* Makes the struct that the section `name` (of a-z, 0-9 and '-', 1 to 32 of them) is read into,
     * with its defaults; `target` is the file's. Called for each such section in the order of the
     * file, an empty one among them, once all sections without a name have been read. Returns 0,
     * -ENOMEM, -EEXIST (there is one of that name), or -EINVAL with `reason` saying why there can't
     * be one. What was made is the caller's, after an error, too. */
    int (*begin)(void *target, const char *name, void **ret, Reason *reason);
} ConfigNamed;

enum { CONFIG_NAME_SIZE = 33 };

/* Whether that can be the name of a section. */
bool config_name_is_valid(const char *name);

/* Reads `path` (at most 1 MiB) into `target` by the table of `count` items (at most 64; those of
 * one section stand together). Keys that the file leaves out keep what `target` held before, so
 * defaults go there first; a default of a char * is NULL or from malloc(). Returns 0, -ENOMEM,
 * -ENOENT or another errno of reading the file, or -EINVAL; `reason` then
 * holds the sentence for the person, without a newline (for -ENOMEM it may be untouched). After an
 * error `target` may be half filled; it is the caller's to release all the same. */
int config_read(const char *path, const ConfigItem *items, size_t count, void *target,
                Reason *reason);

/* The same for a file that may have sections with names, too. */
int config_read_named(const char *path, const ConfigItem *items, size_t count,
                      const ConfigNamed *named, size_t n_named, void *target, Reason *reason);

/* The same from memory; `name` stands for the path in `reason`. */
int config_parse(const char *name, Bytes text, const ConfigItem *items, size_t count, void *target,
                 Reason *reason);
int config_parse_named(const char *name, Bytes text, const ConfigItem *items, size_t count,
                       const ConfigNamed *named, size_t n_named, void *target, Reason *reason);
