/* Byte strings from outside are read through Reader and written through Writer, both
 * bounds-checked; nothing else in the project does arithmetic on pointers into them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A borrowed view of octets; the owner must outlive it. data may be NULL only where size is 0. */
typedef struct Bytes {
    const uint8_t *data;
    size_t size;
} Bytes;

#define BYTES_OF(array) ((Bytes){(array), sizeof(array)})

/* True if both views hold the same octets. Not constant-time: for public data only. */
bool bytes_equal(Bytes a, Bytes b);

/* The part of `bytes` from `offset` (at most `size` octets; clipped to what is there). */
Bytes bytes_slice(Bytes bytes, size_t offset, size_t size);

/* Puts the octets at `ret`, which has room for them. */
void bytes_copy(uint8_t *ret, Bytes bytes);

/* A cursor over a view. Each read either yields its value and moves on, or returns -EBADMSG (fewer
 * octets left than asked for), leaves *ret untouched and does not move. Integers are in network
 * order. */
typedef struct Reader {
    Bytes bytes;
    size_t position;
} Reader;

void reader_init(Reader *reader, Bytes bytes);
size_t reader_left(const Reader *reader);
int reader_u8(Reader *reader, uint8_t *ret);
int reader_u16(Reader *reader, uint16_t *ret);
int reader_u32(Reader *reader, uint32_t *ret);
int reader_u64(Reader *reader, uint64_t *ret);
int reader_skip(Reader *reader, size_t size);

/* A view of the next `size` octets. The view borrows from the reader's bytes. */
int reader_take(Reader *reader, size_t size, Bytes *ret);

/* A view of all octets left, possibly none. */
Bytes reader_rest(Reader *reader);

/* A cursor that appends to a caller's buffer. A write that does not fit sets `overflow`, writes
 * nothing, and makes every later write a no-op: check writer_finish() once at the end. */
typedef struct Writer {
    uint8_t *data;
    size_t capacity;
    size_t size;
    bool overflow;
} Writer;

void writer_init(Writer *writer, uint8_t *data, size_t capacity);
void writer_u8(Writer *writer, uint8_t value);
void writer_u16(Writer *writer, uint16_t value);
void writer_u32(Writer *writer, uint32_t value);
void writer_u64(Writer *writer, uint64_t value);
void writer_bytes(Writer *writer, Bytes bytes);
void writer_zeros(Writer *writer, size_t size);

/* Overwrite what was written before at `offset`; outside of what is written sets `overflow`. */
void writer_patch_u8(Writer *writer, size_t offset, uint8_t value);
void writer_patch_u16(Writer *writer, size_t offset, uint16_t value);
void writer_patch_u32(Writer *writer, size_t offset, uint32_t value);

/* A view of what was written, or -ENOBUFS if anything did not fit. */
int writer_finish(const Writer *writer, Bytes *ret);
