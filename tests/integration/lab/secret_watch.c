/* Preloaded into one of the project's programs: which secrets does it draw and derive? Each goes to
 * a file as a line, its kind and its octets in hexadecimal, so that a test knows what to search
 * that program's memory for. SECRET_WATCH names the file, SECRET_WATCH_PROGRAM the program; in
 * others, which inherit both, nothing is done. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/kdf.h>
#include <openssl/rand.h>

enum { SECRET_MAX = 256, LINE_MAX_SIZE = 32 + 2 * SECRET_MAX };

static void record(const char *kind, const unsigned char *octets, size_t size)
{
    const char *path = getenv("SECRET_WATCH"), *program = getenv("SECRET_WATCH_PROGRAM");
    char line[LINE_MAX_SIZE];
    int at;

    if (!path || !program || strcmp(program, program_invocation_short_name) != 0 ||
        size > SECRET_MAX)
        return;
    at = snprintf(line, sizeof(line), "%.16s ", kind);
    for (size_t i = 0; i < size; i++)
        at += snprintf(line + at, sizeof(line) - (size_t)at, "%02x", octets[i]);
    line[at++] = '\n';
    const int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, line, (size_t)at) != at)
        abort(); /* a test that knows of no secret would find none */
    (void)close(fd);
    explicit_bzero(line, sizeof(line));
}

int EVP_KDF_derive(EVP_KDF_CTX *context, unsigned char *key, size_t size, const OSSL_PARAM params[])
{
    int (*derive)(EVP_KDF_CTX *, unsigned char *, size_t, const OSSL_PARAM[]) = NULL;

    *(void **)&derive = dlsym(RTLD_NEXT, "EVP_KDF_derive");
    const int r = derive(context, key, size, params);
    if (r > 0)
        record(EVP_KDF_get0_name(EVP_KDF_CTX_kdf(context)), key, size);
    return r;
}

int RAND_priv_bytes(unsigned char *octets, int size)
{
    int (*draw)(unsigned char *, int) = NULL;

    *(void **)&draw = dlsym(RTLD_NEXT, "RAND_priv_bytes");
    const int r = draw(octets, size);
    if (r == 1)
        record("RAND", octets, (size_t)size);
    return r;
}
