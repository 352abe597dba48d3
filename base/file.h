/* Files read whole within a limit, and octets as a file. base/file_write.h replaces one. */
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

/* The whole content of an open file, wherever its offset is, and by no other call than pread(): for
 * who was handed a descriptor and may do little else. Returns 0, -EFBIG, -ENOMEM or pread's errno.
 */
int file_read_descriptor(int fd, size_t limit, uint8_t **ret, size_t *ret_size);

/* Writes all of it, however often that takes. Returns 0 or write's -errno. */
int file_write_all(int fd, Bytes bytes);

/* Octets as a file of their own, in memory that nobody changes any more. *ret is the caller's to
 * close. `name` is shown in /proc. Returns 0 or -errno. */
int file_seal(Bytes octets, const char *name, int *ret);
