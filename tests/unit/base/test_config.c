/* Does a configuration file do what it says, and is every mistake named by file, line and key? */
#include "base/config.h"

#include "base/cleanup.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

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

static Reason reason;

static void settings_deinit(Settings *settings)
{
    free(settings->text);
    free(settings->path);
    free(settings->name);
}

static int parse_sized(const char *text, size_t size, Settings *settings)
{
    reason.text[0] = 0;
    return config_parse("test.conf", (Bytes){(const uint8_t *)text, size}, items, ELEMENTS(items),
                        settings, &reason);
}

static int parse(const char *text, Settings *settings)
{
    return parse_sized(text, strlen(text), settings);
}

/* The text is refused with this sentence. */
static void assert_refused(const char *text, const char *sentence)
{
    _cleanup_(settings_deinit) Settings settings = {0};

    assert_int_equal(parse(text, &settings), -EINVAL);
    assert_string_equal(reason.text, sentence);
}

static void every_kind_of_value_is_read(void **state)
{
    (void)state;
    _cleanup_(settings_deinit) Settings settings = {0};

    assert_int_equal(parse("# a comment\n"
                           "[a]\n"
                           "text = with blanks = and signs\n"
                           "path=/etc/x\n"
                           "  name = segw-1.operator.example ; of the operator\n"
                           "; another comment\n"
                           "\n"
                           "[b]\r\n"
                           "number = 1024\r\n"
                           "yes = yes\n"
                           "mode = user",
                           &settings),
                     0);
    assert_string_equal(settings.text, "with blanks = and signs");
    assert_string_equal(settings.path, "/etc/x");
    assert_string_equal(settings.name, "segw-1.operator.example");
    assert_int_equal(settings.number, 1024);
    assert_true(settings.yes);
    assert_int_equal(settings.mode, 2);
}

static void what_a_file_leaves_out_keeps_its_default(void **state)
{
    (void)state;
    _cleanup_(settings_deinit)
        Settings settings = {.text = strdup("default"), .number = 16, .yes = true, .mode = 1};

    assert_int_equal(parse("", &settings), 0);
    assert_int_equal(parse("[b]\nyes = no\n", &settings), 0);
    assert_string_equal(settings.text, "default");
    assert_int_equal(settings.number, 16);
    assert_false(settings.yes);
    assert_int_equal(settings.mode, 1);
    assert_int_equal(parse("[a]\ntext = other\n", &settings), 0);
    assert_string_equal(settings.text, "other");
}

static void an_unknown_key_is_named_with_its_line(void **state)
{
    (void)state;
    assert_refused(
        "[b]\nnumber = 1\nnumbr = 2\n",
        "test.conf:3: section [b] has no key \"numbr\"; its keys are: number, yes, mode");
}

static void an_unknown_section_is_named_with_its_line(void **state)
{
    (void)state;
    assert_refused("\n[c]\nnumber = 1\n",
                   "test.conf:3: there is no section [c]; the sections are: a, b");
}

static void a_key_before_any_section_is_refused(void **state)
{
    (void)state;
    assert_refused("number = 1\n",
                   "test.conf:1: \"number\" stands before any [section]; put it into one of: a, b");
}

static void a_key_given_twice_is_refused(void **state)
{
    (void)state;
    assert_refused("[b]\nnumber = 1\n  number = 1\n",
                   "test.conf:3: \"number\" is given twice in [b]; keep one of the two");
}

static void a_line_without_a_value_is_refused(void **state)
{
    (void)state;
    assert_refused("[b]\nnumber\n",
                   "test.conf:2: this is neither \"[section]\" nor \"key = value\"");
    assert_refused("[b\nnumber = 1\n",
                   "test.conf:1: this is neither \"[section]\" nor \"key = value\"");
}

static void the_first_mistake_is_the_one_reported(void **state)
{
    (void)state;
    assert_refused("[b]\nnumber\nyes = maybe\n",
                   "test.conf:2: this is neither \"[section]\" nor \"key = value\"");
    assert_refused("[b]\nyes = maybe\nnumber = 0\n",
                   "test.conf:2: \"yes = maybe\" in [b] can't be used; write yes or no");
}

static void a_bad_value_comes_with_what_is_allowed(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "0", "1025", "-1", "+1", "0x10", "1 2", "x", "", "18446744073709551617"};

    for (size_t i = 0; i < ELEMENTS(numbers); i++) {
        char text[64], sentence[128];
        (void)snprintf(text, sizeof(text), "[b]\nnumber = %s\n", numbers[i]);
        (void)snprintf(
            sentence, sizeof(sentence),
            "test.conf:2: \"number = %s\" in [b] can't be used; write a number from 1 to 1024",
            numbers[i]);
        assert_refused(text, sentence);
    }
    assert_refused("[b]\nyes = true\n",
                   "test.conf:2: \"yes = true\" in [b] can't be used; write yes or no");
    assert_refused(
        "[b]\nmode = ker\n",
        "test.conf:2: \"mode = ker\" in [b] can't be used; write none or kernel or user");
    assert_refused("[a]\npath = etc/x\n", "test.conf:2: \"path = etc/x\" in [a] can't be used; "
                                          "write an absolute path, which begins with '/'");
    assert_refused("[a]\ntext =\n",
                   "test.conf:2: \"text = \" in [a] can't be used; write a text that is not empty");
}

static void a_name_that_is_no_fqdn_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        ".",    "a..b",
        "a.",   "-a.b",
        "a-.b", "*.b",
        "a_b",  "a b",
        "",     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b"};

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        char text[128];
        _cleanup_(settings_deinit) Settings settings = {0};
        (void)snprintf(text, sizeof(text), "[a]\nname = %s\n", names[i]);
        assert_int_equal(parse(text, &settings), -EINVAL);
        assert_null(settings.name);
    }
}

static void a_line_beyond_the_limit_is_refused_whole(void **state)
{
    (void)state;
    char text[256];
    _cleanup_(settings_deinit) Settings settings = {0};

    (void)snprintf(text, sizeof(text), "[a]\ntext = %0191d\n", 7);
    assert_int_equal(parse(text, &settings), 0);
    assert_int_equal(strlen(settings.text), 191);
    (void)snprintf(text, sizeof(text), "[a]\ntext = %0192d\n", 7);
    assert_refused(text, "test.conf:2: the line is longer than 198 octets; shorten it");
}

static void a_file_with_a_zero_octet_is_refused(void **state)
{
    (void)state;
    static const char text[] = "[b]\nnumber = 1\0 0\n";
    _cleanup_(settings_deinit) Settings settings = {0};

    assert_int_equal(parse_sized(text, sizeof(text) - 1, &settings), -EINVAL);
    assert_string_equal(reason.text, "test.conf:2: a zero octet; this is not a text file");
}

/* Whose lines end in CR alone would be one comment, and all else keep its default. */
static void a_carriage_return_ends_no_line_by_itself(void **state)
{
    (void)state;
    _cleanup_(settings_deinit) Settings settings = {0};

    assert_refused(
        "# ours\r[b]\rnumber = 1\r",
        "test.conf:1: a carriage return within the line; have lines end in LF, or CR LF");
    assert_refused(
        "[b]\r\nnumber = 1\r7\r\n",
        "test.conf:2: a carriage return within the line; have lines end in LF, or CR LF");
    assert_int_equal(parse("# ours\r\n[b]\r\nnumber = 1\r", &settings), 0);
    assert_int_equal(settings.number, 1);
}

/* A sentence that does not fit is cut, and never written beyond its place. */
static void a_long_file_name_cuts_the_sentence(void **state)
{
    (void)state;
    static const char text[] = "[b]\nnumbr = 1\n";

    for (size_t size = REASON_SIZE - 100; size < REASON_SIZE + 100; size++) {
        char name[2 * REASON_SIZE] = "";
        _cleanup_(settings_deinit) Settings settings = {0};

        memset(name, 'x', size);
        assert_int_equal(config_parse(name, (Bytes){(const uint8_t *)text, sizeof(text) - 1}, items,
                                      ELEMENTS(items), &settings, &reason),
                         -EINVAL);
        assert_true(strnlen(reason.text, sizeof(reason.text)) < sizeof(reason.text));
        assert_memory_equal(reason.text, name, REASON_SIZE - 110);
    }
}

static void a_file_that_is_not_there_is_named(void **state)
{
    (void)state;
    _cleanup_(settings_deinit) Settings settings = {0};

    assert_int_equal(config_read("/nonexistent/x.conf", items, ELEMENTS(items), &settings, &reason),
                     -ENOENT);
    assert_string_equal(reason.text,
                        "/nonexistent/x.conf: can't be read: No such file or directory");
}

static void a_file_is_read_from_disk(void **state)
{
    (void)state;
    char path[TEMPORARY_PATH_SIZE];
    _cleanup_(settings_deinit) Settings settings = {0};
    _cleanup_(close_fdp) int fd = -1;

    temporary_path("test_config", path);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "[b]\nnumber=7\n", 13), 13);
    int r = config_read(path, items, ELEMENTS(items), &settings, &reason);
    (void)unlink(path);
    assert_int_equal(r, 0);
    assert_int_equal(settings.number, 7);
}

static void a_file_has_a_largest_size(void **state)
{
    enum { LARGEST = 1024 * 1024 };
    static char blank[LARGEST];
    char path[TEMPORARY_PATH_SIZE];
    _cleanup_(settings_deinit) Settings settings = {0};
    _cleanup_(close_fdp) int fd = -1;

    (void)state;
    memset(blank, '\n', sizeof(blank));
    temporary_path("test_config", path);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, blank, LARGEST), LARGEST);
    const int largest = config_read(path, items, ELEMENTS(items), &settings, &reason);
    assert_int_equal(write(fd, "\n", 1), 1);
    const int larger = config_read(path, items, ELEMENTS(items), &settings, &reason);
    (void)unlink(path);
    assert_int_equal(largest, 0);
    assert_int_equal(larger, -EFBIG);
    assert_non_null(strstr(reason.text, "can't be read"));
}

/* ---- sections with names ---- */

enum { NAMED_MAX = 4 };

typedef struct Named {
    char name[CONFIG_NAME_SIZE];
    uint64_t number, limit;
} Named;

typedef struct Whole {
    uint64_t number; /* the default of those that have a name */
    size_t count;
    Named list[NAMED_MAX];
} Whole;

static const ConfigItem whole_items[] = {
    {"child", "number", config_parse_number, offsetof(Whole, number), 1, 1024},
};

static const ConfigItem named_items[] = {
    {"child", "number", config_parse_number, offsetof(Named, number), 1, 1024},
    {"child", "limit", config_parse_number, offsetof(Named, limit), 1, 1024},
};

static int begin_section(void *target, const char *name, void **ret, Reason *why)
{
    Whole *whole = target;

    for (size_t i = 0; i < whole->count; i++) {
        if (strcmp(whole->list[i].name, name) == 0)
            return -EEXIST;
    }
    if (whole->count == NAMED_MAX)
        return reason_set(why, -EINVAL, "there are %d already", NAMED_MAX);
    Named *named = &whole->list[whole->count++];
    *named = (Named){.number = whole->number};
    (void)snprintf(named->name, sizeof(named->name), "%s", name);
    *ret = named;
    return 0;
}

static const ConfigNamed named_sections[] = {
    {"child", named_items, ELEMENTS(named_items), begin_section},
};

static int parse_named(const char *text, Whole *whole)
{
    reason.text[0] = 0;
    *whole = (Whole){.number = 1};
    return config_parse_named("test.conf", (Bytes){(const uint8_t *)text, strlen(text)},
                              whole_items, ELEMENTS(whole_items), named_sections,
                              ELEMENTS(named_sections), whole, &reason);
}

static void assert_named_refused(const char *text, const char *sentence)
{
    Whole whole;

    assert_int_equal(parse_named(text, &whole), -EINVAL);
    assert_string_equal(reason.text, sentence);
}

static void each_section_with_a_name_is_read_into_its_own(void **state)
{
    (void)state;
    Whole whole;

    assert_int_equal(parse_named("[child voice]\nlimit = 5\n"
                                 "  [child  best-effort-2] ; the rest\nnumber = 9\nlimit = 6\n"
                                 "[child]\nnumber = 7\n",
                                 &whole),
                     0);
    assert_int_equal(whole.number, 7);
    assert_int_equal(whole.count, 2);
    assert_string_equal(whole.list[0].name, "voice");
    assert_int_equal(whole.list[0].number, 7); /* the plain section's, which stands behind it */
    assert_int_equal(whole.list[0].limit, 5);
    assert_string_equal(whole.list[1].name, "best-effort-2");
    assert_int_equal(whole.list[1].number, 9);
    assert_int_equal(whole.list[1].limit, 6);
}

static void an_empty_section_with_a_name_is_there(void **state)
{
    (void)state;
    Whole whole;

    assert_int_equal(parse_named("[child a]\n# nothing\n[child b]", &whole), 0);
    assert_int_equal(whole.count, 2);
    assert_string_equal(whole.list[1].name, "b");
    assert_int_equal(whole.list[1].number, 1);
}

static void mistakes_in_sections_with_names_are_named(void **state)
{
    (void)state;
    assert_named_refused("[child a]\nlimit = 1\nlimit = 2\n",
                         "test.conf:3: \"limit\" is given twice in [child a]; keep one of the two");
    assert_named_refused("[child a]\nlimit = 0\n",
                         "test.conf:2: \"limit = 0\" in [child a] can't be used; write a number "
                         "from 1 to 1024");
    assert_named_refused("[child a]\nsize = 0\n",
                         "test.conf:2: section [child a] has no key \"size\"; its keys are: "
                         "number, limit");
    assert_named_refused("[child]\nlimit = 1\n",
                         "test.conf:2: section [child] has no key \"limit\"; its keys are: number");
    assert_named_refused("[parent a]\nlimit = 1\n",
                         "test.conf:2: there is no section [parent a]; the sections are: child, "
                         "child NAME");
    /* One as long, and the beginning of one. */
    assert_named_refused("[chill a]\nlimit = 1\n",
                         "test.conf:2: there is no section [chill a]; the sections are: child, "
                         "child NAME");
    assert_named_refused("[chi a]\nlimit = 1\n",
                         "test.conf:2: there is no section [chi a]; the sections are: child, "
                         "child NAME");
    assert_named_refused("[child a]\n[child b]\n[child a]\nlimit = 1\n",
                         "test.conf:3: there are two sections [child a]; make one of the two");
    assert_named_refused("[child a]\n[child b]\n[child c]\n[child d]\n[child e]\n",
                         "test.conf:5: there can't be a section [child e]: there are 4 already");
    assert_named_refused("[child a]\nno value\n",
                         "test.conf:2: this is neither \"[section]\" nor \"key = value\"");
}

static void a_name_is_short_and_plain(void **state)
{
    (void)state;
    Whole whole;

    assert_named_refused("[child Voice]\n",
                         "test.conf:1: \"Voice\" in [child Voice] can't be a name; write 1 to 32 "
                         "of a to z, 0 to 9 and '-'");
    assert_named_refused("\n[child a b]\n",
                         "test.conf:2: \"a b\" in [child a b] can't be a name; write 1 to 32 of a "
                         "to z, 0 to 9 and '-'");
    assert_named_refused("[child ]\n",
                         "test.conf:1: \"\" in [child ] can't be a name; write 1 to 32 of a to z, "
                         "0 to 9 and '-'");
    assert_int_equal(parse_named("[child 0123456789-123456789-123456789-1]\n", &whole), 0);
    assert_int_equal(parse_named("[child 0123456789-123456789-123456789-12]\n", &whole), -EINVAL);
    assert_int_equal(
        parse_named("[child 0123456789-123456789-123456789-12345678901234567890]\n", &whole),
        -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_read),
        cmocka_unit_test(what_a_file_leaves_out_keeps_its_default),
        cmocka_unit_test(an_unknown_key_is_named_with_its_line),
        cmocka_unit_test(an_unknown_section_is_named_with_its_line),
        cmocka_unit_test(a_key_before_any_section_is_refused),
        cmocka_unit_test(a_key_given_twice_is_refused),
        cmocka_unit_test(a_line_without_a_value_is_refused),
        cmocka_unit_test(the_first_mistake_is_the_one_reported),
        cmocka_unit_test(a_bad_value_comes_with_what_is_allowed),
        cmocka_unit_test(a_name_that_is_no_fqdn_is_refused),
        cmocka_unit_test(a_line_beyond_the_limit_is_refused_whole),
        cmocka_unit_test(a_file_with_a_zero_octet_is_refused),
        cmocka_unit_test(a_carriage_return_ends_no_line_by_itself),
        cmocka_unit_test(a_long_file_name_cuts_the_sentence),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(a_file_is_read_from_disk),
        cmocka_unit_test(a_file_has_a_largest_size),
        cmocka_unit_test(each_section_with_a_name_is_read_into_its_own),
        cmocka_unit_test(an_empty_section_with_a_name_is_there),
        cmocka_unit_test(mistakes_in_sections_with_names_are_named),
        cmocka_unit_test(a_name_is_short_and_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
