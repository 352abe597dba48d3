/* Puts files into the state folder, so that tred finds them whole and can read them, and a process
 * killed on the way leaves nothing that stays; and asks a tred that runs to take them up. */
#include "provisioning/command.h"

#include "base/cleanup.h"
#include "base/file_write.h"
#include "base/signals.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { STATE_DIR_MODE = 0770 };

/* A terminal obeys control characters, C1 in UTF-8 (0xc2 0x80 to 0xc2 0x9f) among them, and files
 * from elsewhere are quoted. */
static void controls_replace(char *text)
{
    for (uint8_t *octet = (uint8_t *)text; *octet != 0; octet++) {
        if (*octet == 0xc2 && octet[1] >= 0x80 && octet[1] < 0xa0) {
            octet[0] = '?';
            octet[1] = '?';
        } else if (*octet < ' ' || *octet == 0x7f) {
            *octet = '?';
        }
    }
}

void complain(const char *format, ...)
{
    char line[2048];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    controls_replace(line);
    /* In one piece: several processes may share standard error. */
    (void)fprintf(stderr, "tre-provision: %s\n", line);
}

int state_path(const ProvisionOptions *options, const char *name, char **ret)
{
    if (asprintf(ret, "%s/%s", options->state_dir, name) < 0) {
        *ret = NULL;
        complain("out of memory");
        return -ENOMEM;
    }
    return 0;
}

/* True if `status` has the owner asked for; what is not asked for fits. */
static bool owner_fits(const ProvisionOptions *options, const struct stat *status)
{
    return (options->owner == (uid_t)-1 || options->owner == status->st_uid) &&
           (options->group == (gid_t)-1 || options->group == status->st_gid);
}

static int complain_owner(const char *path, int error)
{
    complain("%s can't be given to its owner: %s; run as root, or choose an --owner", path,
             strerror(error));
    return -error;
}

/* tred-tpm, in the owner's group, installs anchors there, whatever the umask of who runs this. */
static int state_dir_create(const char *path)
{
    const mode_t before = umask(S_IRWXO);
    const int r = mkdir(path, STATE_DIR_MODE), error = errno;

    (void)umask(before);
    errno = error;
    return r;
}

int state_dir_make(const ProvisionOptions *options)
{
    struct stat status;
    int r;

    if (state_dir_create(options->state_dir) < 0 && errno != EEXIST) {
        const int error = errno;
        complain("%s can't be made: %s; make it, or choose another with --state-dir",
                 options->state_dir, strerror(error));
        return -error;
    }
    /* Who was killed after mkdir() has left it without its owner. */
    if (stat(options->state_dir, &status) < 0)
        return complain_owner(options->state_dir, errno);
    if (owner_fits(options, &status))
        return 0;
    if (chown(options->state_dir, options->owner, options->group) < 0)
        return complain_owner(options->state_dir, errno);
    r = file_sync_folder(options->state_dir);
    if (r < 0)
        complain("%s can't be put on disk: %s", options->state_dir, strerror(-r));
    return r;
}

/* Takes away what stands beside a file of ours under STATE_BESIDE: it never became whole. */
static int leftovers_remove(const ProvisionOptions *options, int folder)
{
    static const char *const names[] = {
        STATE_SRK_NAME,       STATE_KEY,     STATE_CSR,
        STATE_CERTIFICATES,   STATE_ANCHORS, STATE_POLICY_KEY,
        STATE_PCR_SIGNATURES,
    };
    char beside[NAME_MAX + 1];

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        (void)snprintf(beside, sizeof(beside), "%s" STATE_BESIDE, names[i]);
        if (unlinkat(folder, beside, 0) < 0 && errno != ENOENT) {
            const int error = errno;
            complain("%s/%s is left over and can't be removed: %s", options->state_dir, beside,
                     strerror(error));
            return -error;
        }
    }
    return 0;
}

int state_lock(const ProvisionOptions *options, int *ret)
{
    _cleanup_(close_fdp) int fd = open(options->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (fd < 0) {
        r = -errno;
        complain("%s can't be opened: %s", options->state_dir, strerror(-r));
        return r;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        complain("another tre-provision is at work in %s; wait for it, and run this one again",
                 options->state_dir);
        return -EBUSY;
    }
    r = leftovers_remove(options, fd);
    if (r < 0)
        return r;
    *ret = steal_fd(&fd);
    return 0;
}

/* Written beside its place under a name that the next attempt finds again, and given to its owner
 * there, so that tred never meets a file that it can't read. */
int state_write(const ProvisionOptions *options, const char *name, Bytes bytes, mode_t mode)
{
    const FileOwner owner = {.user = options->owner, .group = options->group};
    _cleanup_(free_charp) char *path = NULL;
    _cleanup_(free_charp) char *beside = NULL;
    sigset_t before;
    int r;

    r = state_path(options, name, &path);
    if (r < 0)
        return r;
    if (asprintf(&beside, "%s" STATE_BESIDE, path) < 0) {
        beside = NULL;
        return -ENOMEM;
    }
    signals_hold(&before);
    r = file_lay(beside, bytes, owner, mode);
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r == 0)
        r = file_sync_folder(path);
    if (r < 0) {
        (void)unlink(beside);
        complain("%s can't be written: %s; what was there before is unchanged", path, strerror(-r));
    }
    signals_release(&before);
    return r;
}

int state_give(const ProvisionOptions *options, const char *name)
{
    _cleanup_(free_charp) char *path = NULL;
    struct stat status;
    int r;

    r = state_path(options, name, &path);
    if (r < 0)
        return r;
    if (lstat(path, &status) == 0 && owner_fits(options, &status))
        return 0;
    if (lchown(path, options->owner, options->group) < 0)
        return complain_owner(path, errno);
    return 0;
}

/* ---- tred, while it runs ---- */

#define TRED_NAME "org.tred.TrE1"
#define TRED_PATH "/org/tred/TrE1"
#define TRED_MANAGER "org.tred.TrE1.Manager"

enum { SLOW_TPM_USEC = 120 * 1000 * 1000 };

int tred_find(sd_bus **ret)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;

    if (sd_bus_open_system(&bus) < 0 || sd_bus_get_name_creds(bus, TRED_NAME, 0, NULL) < 0)
        return 0;
    *ret = steal_pointer(bus);
    return 1;
}

/* What tred, or the bus, says of a call that failed. */
static const char *bus_words(const sd_bus_error *error, int r)
{
    return error->message ? error->message : strerror(-r);
}

int tred_install_anchors(sd_bus *bus, Bytes bundle, Bytes approval, uint64_t *ret_version)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    int r = sd_bus_message_new_method_call(bus, &call, TRED_NAME, TRED_PATH, TRED_MANAGER,
                                           "InstallAnchors");

    if (r >= 0)
        r = sd_bus_message_append_array(call, 'y', bundle.data, bundle.size);
    if (r >= 0)
        r = sd_bus_message_append_array(call, 'y', approval.data, approval.size);
    if (r >= 0)
        r = sd_bus_message_set_auto_start(call, false);
    if (r >= 0)
        r = sd_bus_call(bus, call, SLOW_TPM_USEC, &error, &reply);
    if (r >= 0)
        r = sd_bus_message_read_basic(reply, 't', ret_version);
    if (r < 0) {
        complain("tred refuses the anchors: %s", bus_words(&error, r));
        return r;
    }
    return 0;
}

int tred_reload(void)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *state = "", *reason = "";
    int r;

    /* Without a bus, or without tred on it, nobody holds the old files. */
    if (tred_find(&bus) == 0) {
        (void)puts("tred does not run; it reads the files when it starts");
        return 0;
    }
    r = sd_bus_call_method(bus, TRED_NAME, TRED_PATH, TRED_MANAGER, "Reload", &error, &reply, "");
    if (r >= 0)
        r = sd_bus_message_read(reply, "ss", &state, &reason);
    if (r < 0) {
        complain("tred runs and did not read its files again: %s; run 'systemctl reload tred'",
                 bus_words(&error, r));
        return r;
    }
    (void)printf("tred has read its files again and is %s%s%s\n", state,
                 reason[0] != '\0' ? ": " : "", reason);
    return 0;
}
