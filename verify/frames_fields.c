/* Fields of the frames between tred and tred-verify. */
#include "verify/frames_internal.h"

#include <errno.h>
#include <string.h>

enum { DELETE = 0x7f };

void frame_write_bytes(Writer *writer, Bytes bytes)
{
    writer_u32(writer, (uint32_t)bytes.size);
    writer_bytes(writer, bytes);
}

void frame_write_text(Writer *writer, const char *text)
{
    frame_write_bytes(writer, (Bytes){(const uint8_t *)text, strlen(text)});
}

void frame_write_list(Writer *writer, const Bytes *list, size_t count)
{
    writer_u8(writer, (uint8_t)count);
    for (size_t i = 0; i < count; i++)
        frame_write_bytes(writer, list[i]);
}

int frame_read_bytes(Reader *reader, size_t maximum, Bytes *ret)
{
    uint32_t size;

    if (reader_u32(reader, &size) < 0 || size > maximum)
        return -EBADMSG;
    return reader_take(reader, size, ret);
}

int frame_read_text(Reader *reader, char *ret, size_t size)
{
    Bytes text;

    if (frame_read_bytes(reader, size - 1, &text) < 0)
        return -EBADMSG;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < ' ' || text.data[i] == DELETE)
            return -EBADMSG;
    }
    if (text.size > 0)
        memcpy(ret, text.data, text.size);
    ret[text.size] = '\0';
    return 0;
}

int frame_read_list(Reader *reader, size_t count_max, Bytes *list, size_t *ret_count)
{
    uint8_t count;
    int r = reader_u8(reader, &count);

    if (r < 0 || count > count_max)
        return -EBADMSG;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = frame_read_bytes(reader, FRAME_SIZE_MAX, &list[i]);
    *ret_count = count;
    return r;
}

int frame_read_time(Reader *reader, time_t *ret)
{
    uint64_t value;

    if (reader_u64(reader, &value) < 0 || value > INT64_MAX)
        return -EBADMSG;
    *ret = (time_t)value;
    return 0;
}

void frame_write_time(Writer *writer, time_t time)
{
    writer_u64(writer, time > 0 ? (uint64_t)time : 0);
}

int frame_read_enum(Reader *reader, unsigned end, unsigned *ret)
{
    uint8_t value;

    if (reader_u8(reader, &value) < 0 || value >= end)
        return -EBADMSG;
    *ret = value;
    return 0;
}

int frame_read_type(Reader *reader, FrameType *ret)
{
    unsigned value;

    if (frame_read_enum(reader, FRAME_TYPES, &value) < 0 || value == 0)
        return -EBADMSG;
    *ret = (FrameType)value;
    return 0;
}
