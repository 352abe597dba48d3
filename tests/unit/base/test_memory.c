/* What a process gives back once it has started, and what of it is locked. */
#include "base/program.h"

#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { PAGE = 4096, KIB = 1024 };

/* A line of /proc/self/NAME that begins with `word`, in KiB. */
static long kib_of(const char *file, const char *word)
{
    FILE *stream = fopen(file, "re");
    char line[256];
    long found = -1;

    assert_non_null(stream);
    while (found < 0 && fgets(line, sizeof(line), stream)) {
        if (strncmp(line, word, strlen(word)) == 0)
            found = strtol(line + strlen(word), NULL, 10);
    }
    (void)fclose(stream);
    assert_true(found >= 0);
    return found;
}

/* Octets of code and constants that are loaded; `touch` has them all in memory. */
typedef struct Code {
    bool touch;
    size_t size;
    unsigned sum;
} Code;

static int code_look(struct dl_phdr_info *object, size_t size, void *userdata)
{
    Code *code = userdata;

    (void)size;
    if (object->dlpi_addr == 0 || strstr(object->dlpi_name, "vdso"))
        return 0;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        const volatile uint8_t *octets =
            (const volatile uint8_t *)object->dlpi_addr + segment->p_vaddr; // NOLINT

        if (segment->p_type != PT_LOAD || (segment->p_flags & (PF_W | PF_R)) != PF_R)
            continue;
        code->size += segment->p_memsz;
        for (size_t at = 0; code->touch && at < segment->p_memsz; at += PAGE)
            code->sum += octets[at];
    }
    return 0;
}

static void code_that_was_in_memory_leaves_it_and_comes_back_as_it_was(void **state)
{
    Code before = {.touch = true}, after = {.touch = true};
    long full, less;

    (void)state;
    (void)dl_iterate_phdr(code_look, &before);
    full = kib_of("/proc/self/smaps_rollup", "Rss:");
    memory_give_back();
    less = kib_of("/proc/self/smaps_rollup", "Rss:");
    assert_true(full - less > (long)(before.size / KIB) / 2);
    (void)dl_iterate_phdr(code_look, &after);
    assert_int_equal(after.sum, before.sum);
}

static void what_was_written_to_stays(void **state)
{
    static uint8_t data[4 * PAGE];
    char *heap = strdup("still there");

    (void)state;
    memset(data, 0x5a, sizeof(data));
    memory_give_back();
    assert_string_equal(heap, "still there");
    for (size_t i = 0; i < sizeof(data); i++)
        assert_int_equal(data[i], 0x5a);
    free(heap);
}

static void code_is_unlocked_and_what_is_written_to_stays_locked(void **state)
{
    static uint8_t secret[8 * PAGE];
    Code code = {0};
    long locked, left;

    (void)state;
    (void)dl_iterate_phdr(code_look, &code);
    memset(secret, 1, sizeof(secret));
    if (mlockall(MCL_CURRENT | MCL_ONFAULT) < 0)
        skip(); /* not permitted */
    locked = kib_of("/proc/self/status", "VmLck:");
    if (locked == 0)
        skip(); /* a sanitizer makes mlockall() do nothing */
    memory_unlock_code();
    left = kib_of("/proc/self/status", "VmLck:");
    assert_true(locked - left >= (long)(code.size / KIB));
    assert_true(left >= (long)(sizeof(secret) / KIB));
    (void)munlockall();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_that_was_in_memory_leaves_it_and_comes_back_as_it_was),
        cmocka_unit_test(what_was_written_to_stays),
        cmocka_unit_test(code_is_unlocked_and_what_is_written_to_stays_locked),
    };

    return cmocka_run_group_tests_name("base memory", tests, NULL, NULL);
}
