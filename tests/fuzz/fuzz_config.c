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
    return 0;
}
