/* Does each field of tred-verify's frames end exactly where it has to? */
#include "verify/frames_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 512 };

static uint8_t buffer[ROOM];

/* A reader of what a writer has written so far. */
static Reader reader_of(Writer *writer)
{
    Bytes written;
    Reader reader;

    assert_int_equal(writer_finish(writer, &written), 0);
    reader_init(&reader, written);
    return reader;
}

static Reader reader_of_u64(uint64_t value)
{
    Writer writer;

    writer_init(&writer, buffer, sizeof(buffer));
    writer_u64(&writer, value);
    return reader_of(&writer);
}

static Reader reader_of_bytes(Bytes bytes)
{
    Writer writer;

    writer_init(&writer, buffer, sizeof(buffer));
    frame_write_bytes(&writer, bytes);
    return reader_of(&writer);
}

static Reader reader_of_u8(uint8_t value)
{
    Writer writer;

    writer_init(&writer, buffer, sizeof(buffer));
    writer_u8(&writer, value);
    return reader_of(&writer);
}

static void a_time_is_from_1970_to_the_last_that_there_is(void **state)
{
    static const uint64_t good[] = {0, 1, INT64_MAX}, bad[] = {(uint64_t)INT64_MAX + 1, UINT64_MAX};
    time_t found;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(good); i++) {
        Reader reader = reader_of_u64(good[i]);

        assert_int_equal(frame_read_time(&reader, &found), 0);
        assert_true((uint64_t)found == good[i]);
    }
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        Reader reader = reader_of_u64(bad[i]);

        assert_int_equal(frame_read_time(&reader, &found), -EBADMSG);
    }
    Reader cut = reader_of_u8(0);
    assert_int_equal(frame_read_time(&cut, &found), -EBADMSG);
}

static void a_time_before_1970_is_written_as_none(void **state)
{
    time_t found = 7;
    Writer writer;

    (void)state;
    writer_init(&writer, buffer, sizeof(buffer));
    frame_write_time(&writer, -1);
    Reader reader = reader_of(&writer);
    assert_int_equal(frame_read_time(&reader, &found), 0);
    assert_int_equal(found, 0);
}

static void octets_are_as_many_as_may_be_and_not_one_more(void **state)
{
    static const uint8_t octets[] = {1, 2, 3, 4};
    Bytes found;

    (void)state;
    Reader reader = reader_of_bytes(BYTES_OF(octets));
    assert_int_equal(frame_read_bytes(&reader, sizeof(octets), &found), 0);
    assert_true(bytes_equal(found, BYTES_OF(octets)));
    assert_int_equal(reader_left(&reader), 0);
    reader = reader_of_bytes(BYTES_OF(octets));
    assert_true(frame_read_bytes(&reader, sizeof(octets) - 1, &found) < 0);
}

static void a_text_leaves_room_for_its_end(void **state)
{
    static const char text[] = "text";
    char found[sizeof(text) + 1];

    (void)state;
    memset(found, 'x', sizeof(found));
    Reader reader = reader_of_bytes((Bytes){(const uint8_t *)text, strlen(text)});
    assert_int_equal(frame_read_text(&reader, found, sizeof(text)), 0);
    assert_string_equal(found, text);
    assert_int_equal(found[sizeof(text)], 'x');
    reader = reader_of_bytes((Bytes){(const uint8_t *)text, strlen(text)});
    assert_int_equal(frame_read_text(&reader, found, sizeof(text) - 1), -EBADMSG);
    reader = reader_of_bytes((Bytes){0});
    assert_int_equal(frame_read_text(&reader, found, 1), 0);
    assert_string_equal(found, "");
}

static void a_text_has_no_control_character(void **state)
{
    char found[2];

    (void)state;
    for (unsigned value = 0; value <= 255; value++) {
        const uint8_t octet = (uint8_t)value;
        Reader reader = reader_of_bytes((Bytes){&octet, 1});
        const bool is_control = value < 0x20 || value == 0x7f;

        assert_int_equal(frame_read_text(&reader, found, sizeof(found)), is_control ? -EBADMSG : 0);
    }
}

static void a_list_is_as_long_as_may_be_and_not_longer(void **state)
{
    static const uint8_t octets[] = {1};
    const Bytes list[] = {BYTES_OF(octets), BYTES_OF(octets), BYTES_OF(octets)};
    Bytes found[ELEMENTS(list)];
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i <= ELEMENTS(list); i++) {
        Writer writer;

        writer_init(&writer, buffer, sizeof(buffer));
        frame_write_list(&writer, list, i);
        Reader reader = reader_of(&writer);
        if (i < ELEMENTS(list)) {
            assert_int_equal(frame_read_list(&reader, 2, found, &count), 0);
            assert_int_equal(count, i);
            assert_int_equal(reader_left(&reader), 0);
        } else {
            assert_int_equal(frame_read_list(&reader, 2, found, &count), -EBADMSG);
        }
    }
    Reader cut = reader_of_u8(1);
    assert_true(frame_read_list(&cut, 2, found, &count) < 0);
}

static void a_choice_is_one_of_those_that_there_are(void **state)
{
    unsigned found;

    (void)state;
    for (unsigned value = 0; value < 4; value++) {
        Reader reader = reader_of_u8((uint8_t)value);

        assert_int_equal(frame_read_enum(&reader, 3, &found), value < 3 ? 0 : -EBADMSG);
        if (value < 3)
            assert_int_equal(found, value);
    }
    Reader none;
    reader_init(&none, (Bytes){0});
    assert_int_equal(frame_read_enum(&none, 3, &found), -EBADMSG);
}

static void a_frame_of_no_type_is_none(void **state)
{
    (void)state;
    for (unsigned value = 0; value <= FRAME_TYPES; value++) {
        Reader reader = reader_of_u8((uint8_t)value);
        const bool is_type = value > 0 && value < FRAME_TYPES;
        FrameType found;

        assert_int_equal(frame_read_type(&reader, &found), is_type ? 0 : -EBADMSG);
        if (is_type)
            assert_int_equal(found, value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_from_1970_to_the_last_that_there_is),
        cmocka_unit_test(a_time_before_1970_is_written_as_none),
        cmocka_unit_test(octets_are_as_many_as_may_be_and_not_one_more),
        cmocka_unit_test(a_text_leaves_room_for_its_end),
        cmocka_unit_test(a_text_has_no_control_character),
        cmocka_unit_test(a_list_is_as_long_as_may_be_and_not_longer),
        cmocka_unit_test(a_choice_is_one_of_those_that_there_are),
        cmocka_unit_test(a_frame_of_no_type_is_none),
    };

    return cmocka_run_group_tests_name("frame fields", tests, NULL, NULL);
}
