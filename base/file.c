/* Reads a file within a limit, and has octets stand as one. */
#include "base/file.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Fills `data`, stopping at the file's end. Returns the octets read, or -errno, and then leaves
 * none of them: they may be a private key's. */
static ssize_t read_all(int fd, uint8_t *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = read(fd, data + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            const int r = -errno;

            explicit_bzero(data, done);
            return r;
        }
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* No st_size tells (/proc, a pipe, a file that grows): one octet above the limit does. */
static int read_whole(int fd, size_t limit, uint8_t **ret, size_t *ret_size)
{
    _cleanup_(free_bytesp) uint8_t *data = malloc(limit + 1);
    if (!data)
        return -ENOMEM;
    ssize_t size = read_all(fd, data, limit + 1);
    if (size < 0)
        return (int)size;
    if ((size_t)size > limit) {
        explicit_bzero(data, (size_t)size);
        return -EFBIG;
    }

    data[size] = 0;
    *ret = steal_pointer(data);
    *ret_size = (size_t)size;
    return 0;
}

int file_read(const char *path, size_t limit, uint8_t **ret, size_t *ret_size)
{
    /* O_NONBLOCK: a FIFO in the file's place must not hold us. */
    _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;

    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    return read_whole(fd, limit, ret, ret_size);
}

int file_read_descriptor(int fd, size_t limit, uint8_t **ret, size_t *ret_size)
{
    enum { FIRST_SIZE = 16 * 1024 };
    _cleanup_(free_bytesp) uint8_t *data = NULL;
    size_t capacity = 0, size = 0;

    for (;;) {
        if (size == capacity) {
            capacity = capacity == 0 ? FIRST_SIZE : 2 * capacity;
            uint8_t *grown = realloc(data, capacity);
            if (!grown)
                return -ENOMEM;
            data = grown;
        }
        ssize_t n = pread(fd, data + size, capacity - size, (off_t)size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        size += (size_t)n;
        if (size > limit)
            return -EFBIG;
    }
    *ret = steal_pointer(data);
    *ret_size = size;
    return 0;
}

int file_read_stream(const char *path, size_t limit, uint8_t **ret, size_t *ret_size)
{
    _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    return fd < 0 ? -errno : read_whole(fd, limit, ret, ret_size);
}

int file_write_all(int fd, Bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t n = write(fd, bytes.data, bytes.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes = bytes_slice(bytes, (size_t)n, bytes.size);
    }
    return 0;
}

int file_seal(Bytes octets, const char *name, int *ret)
{
    _cleanup_(close_fdp) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -errno;
    int r = file_write_all(fd, octets);
    if (r < 0)
        return r;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return -errno;
    *ret = steal_fd(&fd);
    return 0;
}
