/* Is each line of the input taken for what it is, and a bad one named by its number? */
#include "provisioning/lineinput.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, DeviceLine *ret)
{
    Reason reason = {0};

    return device_line_parse((Bytes){(const uint8_t *)text, strlen(text)}, ret, &reason);
}

static void commas_and_white_space_part_the_three_and_the_tcti_keeps_its_commas(void **state)
{
    static const char *const lines[] = {
        "0017,henb-1.example,swtpm:host=127.0.0.1,port=2321",
        "  0017\thenb-1.example   swtpm:host=127.0.0.1,port=2321  \r",
        "0017 , henb-1.example ,swtpm:host=127.0.0.1,port=2321",
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(lines); i++) {
        DeviceLine device = {0};

        assert_int_equal(parse(lines[i], &device), 1);
        assert_string_equal(device.serial, "0017");
        assert_string_equal(device.fqdn, "henb-1.example");
        assert_string_equal(device.tcti, "swtpm:host=127.0.0.1,port=2321");
    }
}

static void empty_lines_and_comments_are_passed_over(void **state)
{
    DeviceLine device;

    (void)state;
    assert_int_equal(parse("", &device), 0);
    assert_int_equal(parse(" \t\r", &device), 0);
    assert_int_equal(parse(" # 0017 henb.example device", &device), 0);
}

static void what_is_no_device_is_refused(void **state)
{
    static const char *const lines[] = {
        "0017",
        "0017 henb.example",
        "0017 henb.example ,",
        "0017,,henb.example,device",
        "../x henb.example device",
        "0017 henb_1.example device",
        "0017 henb.example dev\x01ice",
        "0017 henb.example dev\xc3\xa4ice",
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(lines); i++) {
        DeviceLine device;

        assert_int_equal(parse(lines[i], &device), -EINVAL);
    }
}

/* A pipe that holds `text`, its other end closed. */
static int pipe_with(const char *text)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], text, strlen(text)), strlen(text));
    assert_int_equal(close(fds[1]), 0);
    return fds[0];
}

static int next(LineReader *reader, DeviceLine *ret)
{
    Reason reason = {0};
    int r = line_reader_next(reader, ret, &reason);

    while (r == 0 && !reader->ended) {
        assert_int_equal(line_reader_fill(reader), 0);
        r = line_reader_next(reader, ret, &reason);
    }
    return r;
}

static void a_bad_line_is_named_by_its_number_and_the_next_one_is_read(void **state)
{
    DeviceLine device = {0};
    LineReader reader = {
        .fd = pipe_with("# list\n\n1 a.example device\nnonsense\n2 b.example device"),
    };

    (void)state;
    assert_int_equal(next(&reader, &device), 1);
    assert_int_equal(device.number, 3);
    assert_int_equal(next(&reader, &device), -EINVAL);
    assert_int_equal(device.number, 4);
    assert_int_equal(next(&reader, &device), 1); /* the last one, without a newline */
    assert_int_equal(device.number, 5);
    assert_string_equal(device.serial, "2");
    assert_int_equal(next(&reader, &device), 0);
    assert_int_equal(close(reader.fd), 0);
}

static void a_line_that_is_too_long_is_one_bad_line(void **state)
{
    char text[3 * LINE_SIZE_MAX];
    DeviceLine device = {0};
    LineReader reader = {0};

    (void)state;
    memset(text, 'a', sizeof(text));
    (void)snprintf(text + 2 * LINE_SIZE_MAX + 100, 64, "\n1 a.example device\n");
    reader.fd = pipe_with(text);
    assert_int_equal(next(&reader, &device), -EINVAL);
    assert_int_equal(device.number, 1);
    assert_int_equal(next(&reader, &device), 1);
    assert_int_equal(device.number, 2);
    assert_int_equal(next(&reader, &device), 0);
    assert_int_equal(close(reader.fd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_white_space_part_the_three_and_the_tcti_keeps_its_commas),
        cmocka_unit_test(empty_lines_and_comments_are_passed_over),
        cmocka_unit_test(what_is_no_device_is_refused),
        cmocka_unit_test(a_bad_line_is_named_by_its_number_and_the_next_one_is_read),
        cmocka_unit_test(a_line_that_is_too_long_is_one_bad_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
