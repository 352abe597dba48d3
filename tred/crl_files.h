/* The operator's CRLs, as files of a directory. tred holds a copy of each that it could read: what
 * was in force stays so whatever becomes of the file, until a later list of the same issuer is
 * there. What is in them is for tred-verify to read. */
#pragma once

#include "base/reason.h"
#include "verify/frames.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum {
    CRL_FILES_MAX = 256, /* of a directory */
    CRL_COPIES_MAX = FRAME_CRL_FILES_MAX,
    CRL_FILE_OCTETS_MAX = 8 * 1024 * 1024,
    CRL_COPIES_OCTETS_MAX = 64 * 1024 * 1024, /* of all together: they are in locked memory */
};

/* What tells two states of a file apart. */
typedef struct CrlMark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
    bool is_settled; /* false: it changed so lately that its times need not tell the next change */
} CrlMark;

typedef struct CrlFile {
    unsigned n_references;
    char *path;
    CrlMark mark;
    uint8_t *data;
    size_t size;
    bool is_kept;        /* its file is gone, is another by now, or can't be read */
    Reason flaw;         /* why it is not used; empty: nothing is known against it */
    uint64_t flaw_until; /* microseconds of CLOCK_MONOTONIC; 0: until it changes */
} CrlFile;

typedef struct CrlFiles {
    size_t count;
    CrlFile *files[CRL_COPIES_MAX];
} CrlFiles;

/* The CRLs that SeGWs are judged by; one for the process, whatever verifiers come and go. */
typedef struct CrlsInForce {
    bool is_complete; /* they could all be read once: what fails since leaves the rest in force */
    CrlFiles files;   /* with those that have a flaw, so that it is known */
    uint64_t version; /* counts up when other ones come into force */
    size_t n_issuers;
    CrlFacts issuers[FRAME_CRL_ISSUERS_MAX]; /* the last good list of each */
    Reason problem;                          /* the first file that can't be used; empty: none */
    void (*on_changed)(void *userdata);      /* issuers or problem; may be NULL */
    void *userdata;
} CrlsInForce;

void crls_in_force_deinit(CrlsInForce *crls);

/* Sets what is wrong, empty for nothing, and logs it where it is new. */
void crls_in_force_set_problem(CrlsInForce *crls, const Reason *problem);

/* Reads the regular files of `directory`, but for those that begin with a dot: of those that are as
 * `held` has them, its copies, and all of them anew where `again` is set. Copies that no file
 * stands for any more come after them. What can't be read is named in `problem`
 * (empty: nothing), and its copy is kept; where there are too many,
 * *ret is what is held. `now` is a time of CLOCK_MONOTONIC in microseconds. 0, or -ENOMEM; *ret is
 * for crl_files_deinit() either way. */
int crl_files_read(const char *directory, const CrlFiles *held, bool again, uint64_t now,
                   CrlFiles *ret, Reason *problem);
void crl_files_deinit(CrlFiles *files);

/* The same copies in whatever order, those apart that have a flaw. */
bool crl_files_equal(const CrlFiles *a, const CrlFiles *b);

/* Takes over a reference of each; *ret is what it held before no more. */
void crl_files_replace(CrlFiles *ret, const CrlFiles *files);

/* One more, which is referenced; false if there are too many. */
bool crl_files_add(CrlFiles *files, CrlFile *file);
void crl_files_remove(CrlFiles *files, const CrlFile *file);

/* True if the copy is one of them. */
bool crl_files_has(const CrlFiles *files, const CrlFile *file);

/* The first that has a flaw; NULL: none. */
const CrlFile *crl_files_flawed(const CrlFiles *files);
