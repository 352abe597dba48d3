/* Doing something as another user, to meet what that user would meet: root is never refused. */
#pragma once

/* Runs `function(userdata)` in a child process with the user id, group and supplementary groups of
 * `user`, and returns what it returned (0 to 100); or -ENOENT if there is no such user, -EPERM if
 * this process is neither root nor that user, or another -errno. What the function prints is
 * flushed before this returns. */
int as_user_run(const char *user, int (*function)(void *userdata), void *userdata);

/* The same with the rights of tred's and tred-net's units, CAP_NET_ADMIN and CAP_IPC_LOCK, but in a
 * network of the process's own, which ends with it: whatever the function does there changes
 * nothing on this machine. -EPERM for anybody but root. */
int as_service_run(const char *user, int (*function)(void *userdata), void *userdata);
