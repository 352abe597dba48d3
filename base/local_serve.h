/* The serving end of a local socket (base/local.h): where it listens, and for whom. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Listens at `path`, in the place of a socket there that nobody listens at. Everybody may connect
 * to it: who may go on is asked at each connection, where there is no systemd to give the socket
 * away. Returns 0, -EADDRINUSE if somebody listens there, -ENAMETOOLONG or another -errno. */
int local_listen(const char *path, int *ret);

/* Whether `user` made the connection, as the kernel noted it (SO_PEERCRED). Another is logged. */
bool local_is_from(int connection, uid_t user);

/* Accepts a connection of `user`'s; anybody else's is closed. *ret is not waited for. Returns 0,
 * -EACCES for somebody else, or another -errno. */
int local_accept(int listener, uid_t user, int *ret);

/* The id of the user `name`, of an option --user. 0, or -EINVAL, which is logged. */
int local_user_find(const char *name, uid_t *ret);
