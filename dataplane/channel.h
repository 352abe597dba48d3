/* The socket pair between tred and tred-esp: whole messages, each with at most one descriptor. */
#pragma once

#include "base/bytes.h"

/* Sends `message`, and `fd` beside it unless it is -1. Returns 0 or -errno. */
int channel_send(int channel, Bytes message, int fd);

/* Receives one message into `buffer`. *ret_fd is a descriptor that came along (the caller's to
 * close, close-on-exec) or -1. Returns its size, 0 at the other side's end, -EMSGSIZE if it did not
 * fit, or another -errno. */
int channel_receive(int channel, uint8_t *buffer, size_t size, int *ret_fd);
