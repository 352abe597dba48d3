/* What frames*.c share, and nobody else: fields of the frames. What does not decode is -EBADMSG. */
#pragma once

#include "verify/frames.h"

enum {
    FRAME_ERRNO_MAX = 4095, /* as the kernel has them */
    FRAME_TAKEN = 1,
};

void frame_write_bytes(Writer *writer, Bytes bytes);
void frame_write_text(Writer *writer, const char *text);
void frame_write_list(Writer *writer, const Bytes *list, size_t count);
int frame_read_bytes(Reader *reader, size_t maximum, Bytes *ret);

/* `ret` has `size` octets. */
int frame_read_text(Reader *reader, char *ret, size_t size);
int frame_read_list(Reader *reader, size_t count_max, Bytes *list, size_t *ret_count);

/* Seconds since 1970; none before, which time_t could not tell from a failure. */
int frame_read_time(Reader *reader, time_t *ret);
void frame_write_time(Writer *writer, time_t time);
int frame_read_path(Reader *reader, VerifyPath *ret);
int frame_read_enum(Reader *reader, unsigned end, unsigned *ret);
int frame_read_type(Reader *reader, FrameType *ret);
