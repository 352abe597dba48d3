/* The fuzzer's seeds of a parser, which a change of its format leaves behind unread. */
#pragma once

#include "base/bytes.h"
#include "base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

/* The folder of them, the program's one argument. */
static inline const char *seeds_folder(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s SEEDS\n", argv[0]);
        exit(2);
    }
    return argv[1];
}

/* `decode`: 0, or none of what it takes. Each file of `folder` is one, or the test fails and names
 * it; so does a folder without any. */
static inline void assert_seeds_decode(const char *folder, int (*decode)(Bytes octets))
{
    DIR *entries = opendir(folder);
    size_t n = 0;

    if (!entries)
        fail_msg("%s can't be opened", folder);
    for (const struct dirent *entry; (entry = readdir(entries));) {
        char path[1024];
        uint8_t *octets = NULL;
        size_t size;

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (file_read(path, 1U << 20, &octets, &size) < 0)
            fail_msg("%s can't be read", path);
        if (decode((Bytes){octets, size}) != 0)
            fail_msg("%s is not what the parser reads: write it anew", path);
        free(octets);
        n++;
    }
    (void)closedir(entries);
    assert_true(n > 0);
}
