/* Reads the operator's CRLs, and holds them. */
#include "tred/crl_files.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/messages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Coarser than any file system's clock: a change within it may leave a file's times as they are. */
enum { SETTLED_SECONDS = 2 };

static void close_dirp(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

/* The first is told. */
static void problem_note(Reason *problem, const char *path, const char *what)
{
    if (problem->text[0] == '\0') {
        reason_set(problem, 0, "%.300s: %s. Put X.509 CRLs there, PEM or DER, and nothing else",
                   path, what);
    }
}

static void crl_file_unref(CrlFile *file)
{
    if (!file || --file->n_references > 0)
        return;
    free(file->path);
    free(file->data);
    free(file);
}
DEFINE_POINTER_CLEANUP(CrlFile, crl_file_unref);

void crl_files_deinit(CrlFiles *files)
{
    for (size_t i = 0; i < files->count; i++)
        crl_file_unref(files->files[i]);
    files->count = 0;
}

bool crl_files_has(const CrlFiles *files, const CrlFile *file)
{
    for (size_t i = 0; i < files->count; i++) {
        if (files->files[i] == file)
            return true;
    }
    return false;
}

bool crl_files_add(CrlFiles *files, CrlFile *file)
{
    if (crl_files_has(files, file))
        return true;
    if (files->count == CRL_COPIES_MAX)
        return false;
    file->n_references++;
    files->files[files->count++] = file;
    return true;
}

void crl_files_remove(CrlFiles *files, const CrlFile *file)
{
    for (size_t i = 0; i < files->count; i++) {
        if (files->files[i] != file)
            continue;
        crl_file_unref(files->files[i]);
        files->count--;
        memmove(&files->files[i], &files->files[i + 1],
                (files->count - i) * sizeof(CrlFile *)); /* in order: see is_newest() */
        return;
    }
}

void crl_files_replace(CrlFiles *ret, const CrlFiles *files)
{
    CrlFiles before = *ret;

    ret->count = 0;
    for (size_t i = 0; i < files->count; i++)
        (void)crl_files_add(ret, files->files[i]);
    crl_files_deinit(&before);
}

static bool has_all(const CrlFiles *files, const CrlFiles *others)
{
    for (size_t i = 0; i < others->count; i++) {
        if (others->files[i]->flaw.text[0] == '\0' && !crl_files_has(files, others->files[i]))
            return false;
    }
    return true;
}

bool crl_files_equal(const CrlFiles *a, const CrlFiles *b)
{
    return has_all(a, b) && has_all(b, a);
}

const CrlFile *crl_files_flawed(const CrlFiles *files)
{
    for (size_t i = 0; i < files->count; i++) {
        if (files->files[i]->flaw.text[0] != '\0')
            return files->files[i];
    }
    return NULL;
}

static CrlMark mark_of(const struct stat *status)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_REALTIME, &now); /* 1970, should it fail: then nothing is settled */
    return (CrlMark){
        .device = status->st_dev,
        .inode = status->st_ino,
        .size = status->st_size,
        .modified = status->st_mtim,
        .changed = status->st_ctim,
        .is_settled = status->st_ctim.tv_sec < now.tv_sec - SETTLED_SECONDS,
    };
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same_mark(const CrlMark *a, const CrlMark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           is_same_time(a->modified, b->modified) && is_same_time(a->changed, b->changed);
}

/* Files are read by one look at them after another. */
typedef struct Look {
    const CrlFiles *held;
    bool again;
    uint64_t now;
    CrlFiles *found;
    Reason *problem;
} Look;

static bool flaw_is_over(const CrlFile *file, const Look *look)
{
    return file->flaw.text[0] != '\0' &&
           (look->again || (file->flaw_until != 0 && look->now >= file->flaw_until));
}

/* The copy of a file that has not changed; NULL: it must be read. */
static CrlFile *find_unchanged(const Look *look, const char *path, const CrlMark *mark)
{
    for (size_t i = 0; !look->again && i < look->held->count; i++) {
        CrlFile *file = look->held->files[i];

        if (strcmp(file->path, path) == 0 && file->mark.is_settled &&
            is_same_mark(&file->mark, mark) && !flaw_is_over(file, look))
            return file;
    }
    return NULL;
}

/* The copy with the same octets; NULL: there is none. */
static CrlFile *find_octets(const Look *look, const char *path, Bytes octets)
{
    for (size_t i = 0; i < look->held->count; i++) {
        CrlFile *file = look->held->files[i];

        if (strcmp(file->path, path) == 0 && !flaw_is_over(file, look) &&
            bytes_equal((Bytes){file->data, file->size}, octets))
            return file;
    }
    return NULL;
}

/* 0, -E2BIG or -ENOMEM. */
static int found_add(const Look *look, CrlFile *file, const CrlMark *mark)
{
    file->mark = *mark;
    file->is_kept = false;
    return crl_files_add(look->found, file) ? 0 : -E2BIG;
}

static int octets_add(const Look *look, const char *path, const CrlMark *mark, uint8_t **data,
                      size_t size)
{
    _cleanup_(crl_file_unrefp) CrlFile *file = find_octets(look, path, (Bytes){*data, size});

    if (file) {
        file->n_references++;
    } else {
        file = calloc(1, sizeof(*file));
        if (!file)
            return -ENOMEM;
        file->n_references = 1;
        file->data = steal_pointer(*data);
        file->size = size;
        file->path = strdup(path);
        if (!file->path)
            return -ENOMEM;
    }
    return found_add(look, file, mark);
}

static int descriptor_add(const Look *look, const char *path, int fd, const struct stat *before)
{
    _cleanup_(free_bytesp) uint8_t *data = NULL;
    CrlMark mark = mark_of(before), after_mark;
    struct stat after = {0};
    size_t size = 0;
    int r = file_read_descriptor(fd, CRL_FILE_OCTETS_MAX, &data, &size);

    if (r == -ENOMEM)
        return r;
    if (r == 0 && fstat(fd, &after) < 0)
        r = -errno;
    if (r < 0) {
        problem_note(look->problem, path, r == -EFBIG ? "is larger than 8 MiB" : strerror(-r));
        return 0;
    }
    after_mark = mark_of(&after);
    mark.is_settled = mark.is_settled && is_same_mark(&mark, &after_mark);
    return octets_add(look, path, &mark, &data, size);
}

/* A file that went since it was listed is gone; a link to nothing is there. */
static bool is_gone(const char *path)
{
    struct stat status;

    return lstat(path, &status) < 0 && errno == ENOENT;
}

/* 1 if it was read, 0 with errno if it can't be, or -errno. */
static int path_try(const Look *look, const char *path)
{
    /* O_NONBLOCK: a FIFO in the file's place must not hold us. */
    _cleanup_(close_fdp) int fd = -1;
    struct stat status;

    if (stat(path, &status) < 0)
        return 0;
    const CrlMark mark = mark_of(&status);
    CrlFile *file = find_unchanged(look, path, &mark);
    if (!file)
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (!file && (fd < 0 || fstat(fd, &status) < 0))
        return 0;
    if (!S_ISREG(status.st_mode)) {
        errno = EINVAL;
        return 0;
    }
    int r = file ? found_add(look, file, &mark) : descriptor_add(look, path, fd, &status);
    return r < 0 ? r : 1;
}

static int path_add(const Look *look, const char *path)
{
    int r = path_try(look, path);

    if (r == 0) {
        const int error = errno;

        if (!is_gone(path)) {
            problem_note(look->problem, path,
                         error == EINVAL ? "is no regular file" : strerror(error));
        }
    }
    return r < 0 ? r : 0;
}

static int directory_add(const Look *look, const char *path)
{
    _cleanup_(close_dirp) DIR *stream = opendir(path);
    const struct dirent *entry;
    int r = 0;

    if (!stream) {
        if (errno != ENOENT)
            problem_note(look->problem, path, strerror(errno));
        return 0;
    }
    while (r == 0 && (errno = 0, entry = readdir(stream))) {
        _cleanup_(free_charp) char *file = NULL;

        if (entry->d_name[0] == '.')
            continue;
        if (look->found->count == CRL_FILES_MAX)
            return -E2BIG;
        r = asprintf(&file, "%s/%s", path, entry->d_name) < 0 ? -ENOMEM : path_add(look, file);
    }
    if (r == 0 && errno != 0)
        problem_note(look->problem, path, strerror(errno));
    return r;
}

/* True if nothing good that was read of the same path came after it. Copies of a path are in order,
 * the last that was read first. */
static bool is_newest(const CrlFiles *held, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (held->files[i]->flaw.text[0] == '\0' &&
            strcmp(held->files[i]->path, held->files[at]->path) == 0)
            return false;
    }
    return true;
}

/* What was good and has no file any more: first the newest of each path, without which a list might
 * be missed, then what these have replaced. Of that the oldest is let go if there is no room: it
 * may be that nobody can tell that it is obsolete, and what comes next must be read all the same.
 */
static int kept_add(const Look *look)
{
    size_t octets = 0;

    for (size_t i = 0; i < look->found->count; i++)
        octets += look->found->files[i]->size;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < look->held->count; i++) {
            CrlFile *file = look->held->files[i];
            const bool is_needed = is_newest(look->held, i);

            if (file->flaw.text[0] != '\0' || is_needed != (pass == 0) ||
                crl_files_has(look->found, file))
                continue;
            if (octets + file->size <= CRL_COPIES_OCTETS_MAX && crl_files_add(look->found, file)) {
                octets += file->size;
                file->is_kept = true;
            } else if (is_needed) {
                return -E2BIG;
            } else {
                log_warning("What %s held long ago is let go: there is no room for more of what it "
                            "held since",
                            file->path);
            }
        }
    }
    return octets > CRL_COPIES_OCTETS_MAX ? -E2BIG : 0;
}

int crl_files_read(const char *directory, const CrlFiles *held, bool again, uint64_t now,
                   CrlFiles *ret, Reason *problem)
{
    const Look look = {held, again, now, ret, problem};

    *ret = (CrlFiles){0};
    *problem = (Reason){0};
    int r = directory_add(&look, directory);
    if (r == 0)
        r = kept_add(&look);
    if (r != -E2BIG)
        return r;
    crl_files_replace(ret, held);
    reason_set(problem, 0,
               "%.300s: more CRLs than are looked at (%d files, %d MiB). Leave there those of "
               "the SeGWs' CAs alone",
               directory, CRL_FILES_MAX, CRL_COPIES_OCTETS_MAX / (1024 * 1024));
    return 0;
}

void crls_in_force_set_problem(CrlsInForce *crls, const Reason *problem)
{
    const LogFields usable = {.message_id = MESSAGE_CRL_USABLE},
                    unusable = {.message_id = MESSAGE_CRL_UNUSABLE, .error = problem->text};

    if (strcmp(crls->problem.text, problem->text) == 0)
        return;
    crls->problem = *problem;
    if (problem->text[0] == '\0') {
        log_fields(LOG_INFO, &usable, "All CRLs can be read again");
    } else if (crls->is_complete) {
        log_fields(LOG_ERR, &unusable, "%s. SeGWs are judged by what was in force before",
                   problem->text);
    } else {
        log_fields(LOG_ERR, &unusable, "%s. No SeGW is taken until that is mended", problem->text);
    }
    if (crls->on_changed)
        crls->on_changed(crls->userdata);
}

void crls_in_force_deinit(CrlsInForce *crls)
{
    crl_files_deinit(&crls->files);
}
