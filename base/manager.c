/* Speaks with the service manager by environment and datagram. */
#include "base/manager.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTENERS_MAX = 16 };

/* A variable that is a decimal number and nothing else; 0 where it is not. */
static uint64_t number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end = NULL;

    if (!text || text[0] < '0' || text[0] > '9')
        return 0;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' ? number : 0;
}

/* sd_notify(3): a variable names the process that is meant; without one, anybody is. */
static bool is_for_us(const char *variable)
{
    return !getenv(variable) || number_of(variable) == (uint64_t)getpid();
}

int manager_listeners(void)
{
    const uint64_t count = number_of("LISTEN_FDS");

    if (!getenv("LISTEN_PID") || !is_for_us("LISTEN_PID") || count > LISTENERS_MAX)
        return 0;
    for (int i = 0; i < (int)count; i++)
        (void)fcntl(MANAGER_LISTEN_FIRST + i, F_SETFD, FD_CLOEXEC);
    return (int)count;
}

void manager_notify(const char *state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    const size_t size = path ? strlen(path) : 0;

    if (size < 2 || size >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, size);
    if (path[0] == '@') /* unix(7): the abstract namespace */
        address.sun_path[0] = '\0';
    _cleanup_(close_fdp) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
}

uint64_t manager_watchdog_usec(void)
{
    return is_for_us("WATCHDOG_PID") ? number_of("WATCHDOG_USEC") : 0;
}
