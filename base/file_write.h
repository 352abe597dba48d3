/* Files written for good: atomically, and on disk. */
#pragma once

#include "base/bytes.h"

#include <sys/types.h>

/* Replaces `path` with `bytes` so that a reader, or a power cut, meets the old file or the new one
 * and nothing between: written beside it, synced, renamed, directory synced. Returns 0 or -errno.
 */
int file_write_atomic(const char *path, Bytes bytes, mode_t mode);

/* Who gets a file; (uid_t)-1 and (gid_t)-1 leave it to whoever writes. */
typedef struct FileOwner {
    uid_t user;
    gid_t group;
} FileOwner;

/* Writes a new file, in place of whatever had that name, and has it on disk; where it is to be
 * renamed, file_sync_folder() is still to come. A link that was laid there is removed and not
 * followed. After an error, what is there is not whole. Returns 0 or -errno. */
int file_lay(const char *path, Bytes bytes, FileOwner owner, mode_t mode);

/* Makes what was made, renamed or removed in the folder of `path` survive a power cut. Returns 0 or
 * -errno. */
int file_sync_folder(const char *path);
