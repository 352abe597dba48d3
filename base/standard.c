/* Opens standard streams that are closed, and says whether what was printed has arrived. */
#include "base/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
