/* The operator's CRLs as files of a directory: which there are, whether they have changed, and each
 * opened to be handed on. What is in them is for tred-verify to read. */
#pragma once

#include "base/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CRL_FILES_MAX = 256 };

typedef struct CrlFiles {
    uint64_t mark; /* differs when a file has come, gone or changed; 0: there is none */
    size_t count;
    char *paths[CRL_FILES_MAX];
} CrlFiles;

/* Lists the regular files of `directory`, but for those that begin with a dot. None where there is
 * no such directory. 0, or -errno with `reason` naming what can't be used; *ret is for
 * crl_files_deinit() either way. */
int crl_files_list(const char *directory, CrlFiles *ret, Reason *reason);
void crl_files_deinit(CrlFiles *files);

/* Opens one of them for reading. The descriptor, or -errno. */
int crl_file_open(const char *path);
