/* Do Reader and Writer stay within their bounds, and keep still when asked for more? */
#include "base/bytes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t octets[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static void integers_are_read_in_network_order(void **state)
{
    (void)state;
    static const uint8_t wire[] = {0xff, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x11,
                                   0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18};
    Reader reader;
    uint8_t u8 = 0;
    uint16_t u16 = 0;
    uint32_t u32 = 0;
    uint64_t u64 = 0;

    reader_init(&reader, BYTES_OF(wire));
    assert_int_equal(reader_u8(&reader, &u8), 0);
    assert_int_equal(reader_u16(&reader, &u16), 0);
    assert_int_equal(reader_u32(&reader, &u32), 0);
    assert_int_equal(reader_u64(&reader, &u64), 0);
    assert_int_equal(u8, 0xff);
    assert_int_equal(u16, 0x0102);
    assert_int_equal(u32, 0x03040506);
    assert_int_equal(u64, 0x1112131415161718);
    assert_int_equal(reader_left(&reader), 0);
}

static void a_read_beyond_the_end_changes_nothing(void **state)
{
    (void)state;
    Reader reader;
    uint8_t u8 = 42;
    uint16_t u16 = 42;
    uint32_t u32 = 42;
    uint64_t u64 = 42;
    Bytes taken = {octets, 1};

    reader_init(&reader, (Bytes){octets, 1});
    assert_int_equal(reader_u16(&reader, &u16), -EBADMSG);
    assert_int_equal(reader_u32(&reader, &u32), -EBADMSG);
    assert_int_equal(reader_u64(&reader, &u64), -EBADMSG);
    assert_int_equal(reader_skip(&reader, 2), -EBADMSG);
    assert_int_equal(reader_take(&reader, SIZE_MAX, &taken), -EBADMSG);
    assert_int_equal(reader_left(&reader), 1);
    assert_int_equal(reader_skip(&reader, 1), 0);
    assert_int_equal(reader_u8(&reader, &u8), -EBADMSG);
    assert_int_equal(u8, 42);
    assert_int_equal(u16, 42);
    assert_int_equal(u32, 42);
    assert_int_equal(u64, 42);
    assert_ptr_equal(taken.data, octets);
    assert_int_equal(taken.size, 1);
}

static void a_view_borrows_from_the_readers_bytes(void **state)
{
    (void)state;
    Reader reader;
    Bytes taken = {0}, rest;

    reader_init(&reader, BYTES_OF(octets));
    assert_int_equal(reader_skip(&reader, 2), 0);
    assert_int_equal(reader_take(&reader, 3, &taken), 0);
    assert_ptr_equal(taken.data, octets + 2);
    assert_int_equal(taken.size, 3);
    rest = reader_rest(&reader);
    assert_ptr_equal(rest.data, octets + 5);
    assert_int_equal(rest.size, 4);
    assert_int_equal(reader_left(&reader), 0);
    assert_int_equal(reader_rest(&reader).size, 0);
    assert_int_equal(reader_take(&reader, 0, &taken), 0);
    assert_int_equal(taken.size, 0);
}

static void nothing_can_be_read_from_an_empty_view(void **state)
{
    (void)state;
    Reader reader;
    uint8_t u8 = 0;

    reader_init(&reader, (Bytes){NULL, 0});
    assert_int_equal(reader_left(&reader), 0);
    assert_int_equal(reader_u8(&reader, &u8), -EBADMSG);
    assert_int_equal(reader_skip(&reader, 0), 0);
    assert_int_equal(reader_rest(&reader).size, 0);
}

static void views_are_equal_by_their_octets(void **state)
{
    (void)state;
    uint8_t copy[sizeof(octets)];

    memcpy(copy, octets, sizeof(copy));
    assert_true(bytes_equal(BYTES_OF(octets), BYTES_OF(copy)));
    assert_false(bytes_equal(BYTES_OF(octets), (Bytes){copy, sizeof(copy) - 1}));
    copy[sizeof(copy) - 1] ^= 1;
    assert_false(bytes_equal(BYTES_OF(octets), BYTES_OF(copy)));
    assert_true(bytes_equal((Bytes){NULL, 0}, (Bytes){octets, 0}));
}

static void a_slice_is_clipped_to_what_is_there(void **state)
{
    (void)state;
    Bytes bytes = BYTES_OF(octets);

    assert_int_equal(bytes_slice(bytes, 2, 3).size, 3);
    assert_ptr_equal(bytes_slice(bytes, 2, 3).data, octets + 2);
    assert_int_equal(bytes_slice(bytes, 7, 3).size, 2);
    assert_int_equal(bytes_slice(bytes, 1, SIZE_MAX).size, sizeof(octets) - 1);
    assert_int_equal(bytes_slice(bytes, sizeof(octets), 1).size, 0);
    assert_int_equal(bytes_slice(bytes, SIZE_MAX, SIZE_MAX).size, 0);
}

static void integers_are_written_in_network_order(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0xff, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x11, 0x12, 0x13,
                                       0x14, 0x15, 0x16, 0x17, 0x18, 0x00, 0x00, 0x01, 0x02};
    uint8_t buffer[sizeof(expected)];
    Writer writer;
    Bytes written = {0};

    memset(buffer, 0xaa, sizeof(buffer));
    writer_init(&writer, buffer, sizeof(buffer));
    writer_u8(&writer, 0xff);
    writer_u16(&writer, 0x0102);
    writer_u32(&writer, 0x03040506);
    writer_u64(&writer, 0x1112131415161718);
    writer_zeros(&writer, 2);
    writer_bytes(&writer, (Bytes){octets, 2});
    writer_bytes(&writer, (Bytes){NULL, 0});
    assert_int_equal(writer_finish(&writer, &written), 0);
    assert_true(bytes_equal(written, BYTES_OF(expected)));
}

static void a_write_that_does_not_fit_writes_nothing_and_sticks(void **state)
{
    (void)state;
    uint8_t buffer[4] = {0xaa, 0xaa, 0xaa, 0xaa};
    Writer writer;
    Bytes written = {octets, 1};

    writer_init(&writer, buffer, 3);
    writer_u16(&writer, 0x0102);
    writer_u16(&writer, 0x0304);
    writer_u8(&writer, 5); /* would fit, but must not hide what is missing before it */
    writer_zeros(&writer, SIZE_MAX);
    assert_int_equal(writer_finish(&writer, &written), -ENOBUFS);
    assert_ptr_equal(written.data, octets);
    assert_memory_equal(buffer, ((uint8_t[]){1, 2, 0xaa, 0xaa}), 4);
}

static void what_is_written_can_be_patched(void **state)
{
    (void)state;
    uint8_t buffer[8];
    Writer writer;
    Bytes written = {0};

    writer_init(&writer, buffer, sizeof(buffer));
    writer_zeros(&writer, 7);
    writer_patch_u8(&writer, 0, 1);
    writer_patch_u16(&writer, 1, 0x0203);
    writer_patch_u32(&writer, 3, 0x04050607);
    assert_int_equal(writer_finish(&writer, &written), 0);
    assert_true(bytes_equal(written, (Bytes){octets, 7}));
}

static void a_patch_outside_of_what_is_written_overflows(void **state)
{
    (void)state;
    uint8_t buffer[8] = {0};

    for (size_t offset = 3; offset < 6; offset++) {
        Writer writer;
        Bytes written;

        writer_init(&writer, buffer, sizeof(buffer));
        writer_zeros(&writer, 4);
        writer_patch_u16(&writer, offset, 0xffff);
        assert_int_equal(writer_finish(&writer, &written), -ENOBUFS);
    }
    assert_memory_equal(buffer, ((uint8_t[8]){0}), 8);
}

static void as_many_octets_are_copied_as_there_are(void **state)
{
    static const uint8_t two[] = {1, 2};
    uint8_t room[3] = {9, 9, 9};

    (void)state;
    bytes_copy(room, (Bytes){0});
    assert_int_equal(room[0], 9);
    bytes_copy(room, (Bytes){two, 0});
    assert_int_equal(room[0], 9);
    bytes_copy(room, BYTES_OF(two));
    assert_memory_equal(room, ((const uint8_t[]){1, 2, 9}), sizeof(room));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_in_network_order),
        cmocka_unit_test(a_read_beyond_the_end_changes_nothing),
        cmocka_unit_test(a_view_borrows_from_the_readers_bytes),
        cmocka_unit_test(nothing_can_be_read_from_an_empty_view),
        cmocka_unit_test(views_are_equal_by_their_octets),
        cmocka_unit_test(a_slice_is_clipped_to_what_is_there),
        cmocka_unit_test(integers_are_written_in_network_order),
        cmocka_unit_test(a_write_that_does_not_fit_writes_nothing_and_sticks),
        cmocka_unit_test(what_is_written_can_be_patched),
        cmocka_unit_test(a_patch_outside_of_what_is_written_overflows),
        cmocka_unit_test(as_many_octets_are_copied_as_there_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
