/* Files read whole within a limit, and replaced atomically. */
#pragma once

#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads a regular file of at most `limit` octets. *ret is the caller's to free() and has a zero
 * octet after its end, so that text can be used as a string. Returns 0, -EFBIG, -EISDIR, -EINVAL (a
 * device, FIFO or socket), -ENOMEM, or open's or read's errno. */
int file_read(const char *path, size_t limit, uint8_t **ret, size_t *ret_size);

/* The same for what a person names at a terminal, where it may be a pipe: waits for its writers,
 * and reads to the end. Returns 0, -EFBIG, -EISDIR, -ENOMEM, or open's or read's errno. */
int file_read_stream(const char *path, size_t limit, uint8_t **ret, size_t *ret_size);

/* Replaces `path` with `bytes` so that a reader, or a power cut, meets the old file or the new one
 * and nothing between: written beside it, synced, renamed, directory synced. Returns 0 or -errno.
 */
int file_write_atomic(const char *path, Bytes bytes, mode_t mode);

/* The whole content of an open file, wherever its offset is, and by no other call than pread(): for
 * who was handed a descriptor and may do little else. Returns 0, -EFBIG, -ENOMEM or pread's errno.
 */
int file_read_descriptor(int fd, size_t limit, uint8_t **ret, size_t *ret_size);

/* Octets as a file of their own, in memory that nobody changes any more. *ret is the caller's to
 * close. `name` is shown in /proc. Returns 0 or -errno. */
int file_seal(Bytes octets, const char *name, int *ret);

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
