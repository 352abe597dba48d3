/* Reads and writes octets from outside without ever leaving their bounds. */
#include "base/bytes.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

bool bytes_equal(Bytes a, Bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

void bytes_copy(uint8_t *ret, Bytes bytes)
{
    if (bytes.data) /* which memcpy() asks for, whatever the size */
        memcpy(ret, bytes.data, bytes.size);
}

Bytes bytes_slice(Bytes bytes, size_t offset, size_t size)
{
    if (offset >= bytes.size)
        return (Bytes){NULL, 0};

    size_t left = bytes.size - offset;
    return (Bytes){bytes.data + offset, size < left ? size : left};
}

void reader_init(Reader *reader, Bytes bytes)
{
    assert(bytes.data || bytes.size == 0);
    *reader = (Reader){.bytes = bytes};
}

size_t reader_left(const Reader *reader)
{
    return reader->bytes.size - reader->position;
}

int reader_take(Reader *reader, size_t size, Bytes *ret)
{
    if (size > reader_left(reader))
        return -EBADMSG;

    *ret = bytes_slice(reader->bytes, reader->position, size);
    reader->position += size;
    return 0;
}

int reader_skip(Reader *reader, size_t size)
{
    Bytes skipped;

    return reader_take(reader, size, &skipped);
}

Bytes reader_rest(Reader *reader)
{
    Bytes rest = bytes_slice(reader->bytes, reader->position, reader_left(reader));

    reader->position = reader->bytes.size;
    return rest;
}

/* An integer of `size` octets, at most 8. */
static int read_integer(Reader *reader, size_t size, uint64_t *ret)
{
    uint64_t value = 0;

    if (size > reader_left(reader))
        return -EBADMSG;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | reader->bytes.data[reader->position++];
    *ret = value;
    return 0;
}

int reader_u8(Reader *reader, uint8_t *ret)
{
    uint64_t value;

    int r = read_integer(reader, sizeof(*ret), &value);
    if (r < 0)
        return r;

    *ret = (uint8_t)value;
    return 0;
}

int reader_u16(Reader *reader, uint16_t *ret)
{
    uint64_t value;

    int r = read_integer(reader, sizeof(*ret), &value);
    if (r < 0)
        return r;

    *ret = (uint16_t)value;
    return 0;
}

int reader_u32(Reader *reader, uint32_t *ret)
{
    uint64_t value;

    int r = read_integer(reader, sizeof(*ret), &value);
    if (r < 0)
        return r;

    *ret = (uint32_t)value;
    return 0;
}

int reader_u64(Reader *reader, uint64_t *ret)
{
    return read_integer(reader, sizeof(*ret), ret);
}

void writer_init(Writer *writer, uint8_t *data, size_t capacity)
{
    assert(data || capacity == 0);
    *writer = (Writer){.data = data, .capacity = capacity};
}

/* Room for `size` octets more: where they go, or NULL with `overflow` set. */
static uint8_t *writer_extend(Writer *writer, size_t size)
{
    if (writer->overflow || size > writer->capacity - writer->size) {
        writer->overflow = true;
        return NULL;
    }

    uint8_t *place = writer->data + writer->size;
    writer->size += size;
    return place;
}

/* What is already written at `offset`, or NULL with `overflow` set. */
static uint8_t *writer_written(Writer *writer, size_t offset, size_t size)
{
    if (writer->overflow || offset > writer->size || size > writer->size - offset) {
        writer->overflow = true;
        return NULL;
    }
    return writer->data + offset;
}

/* The `size` low octets of `value`; nothing where there is no place. */
static void put_integer(uint8_t *place, uint64_t value, size_t size)
{
    if (!place)
        return;
    for (size_t i = 0; i < size; i++)
        place[i] = (uint8_t)(value >> 8 * (size - 1 - i));
}

void writer_u8(Writer *writer, uint8_t value)
{
    put_integer(writer_extend(writer, sizeof(value)), value, sizeof(value));
}

void writer_u16(Writer *writer, uint16_t value)
{
    put_integer(writer_extend(writer, sizeof(value)), value, sizeof(value));
}

void writer_u32(Writer *writer, uint32_t value)
{
    put_integer(writer_extend(writer, sizeof(value)), value, sizeof(value));
}

void writer_u64(Writer *writer, uint64_t value)
{
    put_integer(writer_extend(writer, sizeof(value)), value, sizeof(value));
}

void writer_bytes(Writer *writer, Bytes bytes)
{
    uint8_t *place = writer_extend(writer, bytes.size);

    if (place)
        bytes_copy(place, bytes);
}

void writer_zeros(Writer *writer, size_t size)
{
    uint8_t *place = writer_extend(writer, size);

    if (place)
        memset(place, 0, size);
}

void writer_patch_u8(Writer *writer, size_t offset, uint8_t value)
{
    put_integer(writer_written(writer, offset, sizeof(value)), value, sizeof(value));
}

void writer_patch_u16(Writer *writer, size_t offset, uint16_t value)
{
    put_integer(writer_written(writer, offset, sizeof(value)), value, sizeof(value));
}

void writer_patch_u32(Writer *writer, size_t offset, uint32_t value)
{
    put_integer(writer_written(writer, offset, sizeof(value)), value, sizeof(value));
}

int writer_finish(const Writer *writer, Bytes *ret)
{
    if (writer->overflow)
        return -ENOBUFS;

    *ret = (Bytes){writer->data, writer->size};
    return 0;
}
