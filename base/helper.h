/* Helper processes: programs that do one duty with no more rights than their starter leaves them,
 * and the messages to and from them. A helper is started with one end of a socket pair
 * (SOCK_SEQPACKET) as descriptor HELPER_FD, /dev/null as standard input and output, its starter's
 * standard error, and nothing else: no environment, no other descriptor. */
#pragma once

#include "base/bytes.h"

#include <sys/types.h>

enum { HELPER_FD = 3 };

typedef struct HelperProcess {
    pid_t pid;   /* 0: none */
    int channel; /* our end */
} HelperProcess;

/* Starts the program `path`, with `argument` unless it is NULL. 0, with *ret for
 * helper_process_end(), or -errno. */
int helper_process_start(const char *path, const char *argument, HelperProcess *ret);

/* Ends the helper, if there is one, and waits until it is gone; nothing that it has is worth
 * waiting for. */
void helper_process_end(HelperProcess *process);

/* Sends one message, with `fd` beside it unless it is -1; the descriptor stays the caller's. 0 or
 * -errno. */
int helper_send(int channel, Bytes message, int fd);

/* Receives one message into `buffer`. Returns its size, 0 when the other end is closed, or -errno:
 * -EMSGSIZE if it is larger than `size`. *ret_fd is the descriptor that came along, the caller's to
 * close, or -1. */
int helper_receive(int channel, uint8_t *buffer, size_t size, int *ret_fd);

/* Waits until there is a message or the other end is closed: 0, -ETIMEDOUT after `milliseconds`, or
 * another -errno. */
int helper_wait(int channel, int milliseconds);

/* Receives what comes and drops it, until the other end is closed: 0, -ETIMEDOUT after
 * `milliseconds` in all, or another -errno. */
int helper_drain(int channel, int milliseconds);
