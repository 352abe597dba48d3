/* Are the standard streams there, and has what was printed arrived? */
#include "base/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* open() takes the lowest number that is free, so the three are taken in turn. */
void standard_open(void)
{
    static const int modes[] = {
        [STDIN_FILENO] = O_WRONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_RDONLY};

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd)
            exit(EX_OSERR);
    }
}

int standard_finish(const char *program, int status)
{
    const int before = ferror(stdout);

    errno = 0;
    if (fflush(stdout) == 0 && before == 0)
        return status;
    (void)fprintf(stderr, "%s: standard output can't be written%s%s\n", program,
                  errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
    return EX_IOERR;
}

static int say(const char *program, const char *text)
{
    (void)fputs(text, stdout);
    return standard_finish(program, EX_OK);
}

int standard_helper_arguments(int argc, char **argv, const char *program, const char *usage,
                              int channel)
{
    struct stat status;

    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return say(program, usage);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("%s " TRED_VERSION "\n", program);
        return standard_finish(program, EX_OK);
    }
    if (argc > 1) {
        (void)fprintf(stderr, "%s: unexpected argument \"%s\"; see %s --help\n", program, argv[1],
                      program);
        return EX_USAGE;
    }
    if (fstat(channel, &status) < 0 || !S_ISSOCK(status.st_mode)) {
        (void)fprintf(stderr, "%s: descriptor %d is no socket; tred starts this program\n", program,
                      channel);
        return EX_USAGE;
    }
    return STANDARD_CONTINUE;
}
