/* The socket that tred-net makes where no systemd does, and who connects to it. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Listens at `path`, in the place of a socket there that nobody listens at. Everybody may connect
 * to it: who may go on is asked at each connection, where there is no systemd to give the socket
 * away. Returns 0, -EADDRINUSE if somebody listens there, -ENAMETOOLONG or another -errno. */
int listener_open(const char *path, int *ret);

/* Whether `user` made the connection, as the kernel noted it (SO_PEERCRED). Another is logged. */
bool listener_is_for(int connection, uid_t user);
