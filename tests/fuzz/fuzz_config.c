/* Can any text make the configuration reader misbehave, or be refused without a sentence that says
 * why? */
#include "base/cleanup.h"
#include "base/config.h"
#include "base/reason.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Settings {
    char *text;
    char *path;
    char *name;
    uint64_t number;
    bool yes;
    unsigned mode;
} Settings;

static const char *const modes[] = {"none", "kernel", "user", NULL};

static const ConfigItem items[] = {
    {"a", "text", config_parse_string, offsetof(Settings, text)},
    {"a", "path", config_parse_path, offsetof(Settings, path)},
    {"a", "name", config_parse_fqdn, offsetof(Settings, name)},
    {"b", "number", config_parse_number, offsetof(Settings, number), 1, 1024},
    {"b", "yes", config_parse_boolean, offsetof(Settings, yes)},
    {"b", "mode", config_parse_choice, offsetof(Settings, mode), .choices = modes},
};

enum { NAMED_MAX = 3 };

typedef struct Named {
    char name[CONFIG_NAME_SIZE];
    uint64_t number;
} Named;

typedef struct Whole {
    Settings settings; /* first: items are within it */
    size_t count;
    Named list[NAMED_MAX];
} Whole;

static const ConfigItem named_items[] = {
    {"b", "number", config_parse_number, offsetof(Named, number), 1, 1024},
};

static void settings_deinit(Settings *settings)
{
    free(settings->text);
    free(settings->path);
    free(settings->name);
}

static void check(bool right)
{
    if (!right)
        abort();
}

static int begin_section(void *target, const char *name, void **ret, Reason *why)
{
    Whole *whole = target;

    check(config_name_is_valid(name));
    for (size_t i = 0; i < whole->count; i++) {
        if (strcmp(whole->list[i].name, name) == 0)
            return -EEXIST;
    }
    if (whole->count == NAMED_MAX)
        return reason_set(why, -EINVAL, "too many");
    Named *named = &whole->list[whole->count++];
    named->number = whole->settings.number;
    memcpy(named->name, name, strlen(name) + 1);
    *ret = named;
    return 0;
}

static const ConfigNamed named_sections[] = {
    {"b", named_items, ELEMENTS(named_items), begin_section},
};

/* A file without names is read alike by both. */
static void try_named(Bytes text, int plain)
{
    Reason reason = {0};
    Whole whole = {.settings.number = 1};

    int r = config_parse_named("x", text, items, ELEMENTS(items), named_sections,
                               ELEMENTS(named_sections), &whole, &reason);
    check(r == 0 || r == -EINVAL);
    check((r == 0) == (reason.text[0] == 0));
    check(plain != 0 || r == 0 || whole.count > 0 || strstr(reason.text, "can't be a name"));
    for (size_t i = 0; i < whole.count; i++)
        check(whole.list[i].number >= 1 && whole.list[i].number <= 1024);
    settings_deinit(&whole.settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Reason reason = {0};
    _cleanup_(settings_deinit) Settings settings = {.number = 1};

    int r = config_parse("x", (Bytes){data, size}, items, ELEMENTS(items), &settings, &reason);
    check(r == 0 || r == -EINVAL);
    check((r == 0) == (reason.text[0] == 0));
    check(settings.number >= 1 && settings.number <= 1024 && settings.mode < 3);
    check(!settings.path || settings.path[0] == '/');
    check(!settings.name || strlen(settings.name) <= 253);
    try_named((Bytes){data, size}, r);
    return 0;
}
