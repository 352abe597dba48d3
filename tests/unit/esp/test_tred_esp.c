/* What does tred-esp itself do: whom does it serve, what does it answer, and how does it end? No
 * order here brings it a packet. */
#include "base/cleanup.h"
#include "base/helper.h"
#include "dataplane/order.h"

#include <errno.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <cmocka.h>

#include "tests/unit/program.h"

static const char *command[] = {NULL, NULL};

/* `sent` goes along, unless it is -1. */
static void give(const Running *running, const Order *order, int sent)
{
    static uint8_t frame[ORDER_SIZE_MAX];
    Writer writer;
    Bytes message;

    writer_init(&writer, frame, sizeof(frame));
    order_encode(&writer, order);
    assert_int_equal(writer_finish(&writer, &message), 0);
    assert_int_equal(helper_send(running->channel, message, sent), 0);
}

static int error_of(const Running *running, OrderType type, uint32_t number, int sent)
{
    static uint8_t frame[ORDER_SIZE_MAX];
    const Order order = {.type = type, .number = number};
    Report report;
    int fd = -1;

    give(running, &order, sent);
    const int size = helper_receive(running->channel, frame, sizeof(frame), &fd);
    assert_true(size > 0);
    assert_int_equal(fd, -1);
    assert_int_equal(report_decode((Bytes){frame, (size_t)size}, &report), 0);
    assert_int_equal(report.answer.type, type);
    assert_int_equal(report.answer.number, number);
    return report.answer.error;
}

static void it_takes_no_argument_and_nothing_but_a_socket(void **state)
{
    (void)state;
    assert_takes_a_socket_alone(command[0]);
}

static void it_ends_well_when_tred_has_closed_its_end(void **state)
{
    (void)state;
    const Running idle = running_begin(command);
    assert_int_equal(running_end(&idle), EX_OK);

    const Running asked = running_begin(command);
    assert_int_equal(error_of(&asked, ORDER_PLANE_COUNTERS, 1, -1), 0);
    assert_int_equal(running_end(&asked), EX_OK);
}

static void it_answers_one_order_after_the_other_those_that_fail_among_them(void **state)
{
    (void)state;
    const Running running = running_begin(command);

    assert_int_equal(error_of(&running, ORDER_PLANE_COUNTERS, 1, -1), 0);
    assert_int_equal(error_of(&running, ORDER_SA_COUNTERS, 2, -1), -ENOENT);
    assert_int_equal(error_of(&running, ORDER_OPEN_TUN, 3, -1), -EBADF);
    assert_int_equal(error_of(&running, ORDER_PLANE_COUNTERS, 0xffffffff, -1), 0);
    assert_int_equal(running_end(&running), EX_OK);
}

static Secret *secret_of(size_t size)
{
    Secret *secret = NULL;
    assert_int_equal(secret_new(size, &secret), 0);
    memset(secret->data, 1, size);
    return secret;
}

/* Before any packet has come. */
static void it_tells_of_a_lifetime_that_is_over_unasked(void **state)
{
    static uint8_t frame[ORDER_SIZE_MAX];
    int ends[2], fd = -1;
    Report report;
    SaOrder sa = {
        .spi_in = 0x1001,
        .spi_out = 0x1002,
        .local.ss_family = AF_INET,
        .udp_encapsulated = true,
        .mtu = 1400,
        .soft.seconds = 1,
        .ts_local = {.n_selectors = 1, .selectors = {{.type = IKE_TS_IPV4_ADDR_RANGE}}},
        .ts_remote = {.n_selectors = 1, .selectors = {{.type = IKE_TS_IPV4_ADDR_RANGE}}},
    };

    const struct sockaddr_in segw = {.sin_family = AF_INET, .sin_port = htons(4500)};

    (void)state;
    memcpy(&sa.remote, &segw, sizeof(segw));
    assert_int_equal(secrets_init(), 0);
    assert_int_equal(esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, IKE_GROUP_NONE,
                                        true, &sa.suite),
                     0);
    const size_t size = sa.suite.cipher->key_size + sa.suite.cipher->salt_size;
    _cleanup_(secret_freep) Secret *in = secret_of(size), *out = secret_of(size);
    sa.encr_in = in;
    sa.encr_out = out;
    channel_make(ends);
    const Running running = running_begin(command);
    assert_int_equal(error_of(&running, ORDER_OPEN_TRANSPORT, 1, ends[1]), 0);
    give(&running, &(Order){.type = ORDER_ADD_SA, .number = 2, .sa = &sa}, -1);
    for (unsigned i = 0; i < 2; i++) {
        const int got = helper_receive(running.channel, frame, sizeof(frame), &fd);
        assert_true(got > 0);
        assert_int_equal(report_decode((Bytes){frame, (size_t)got}, &report), 0);
        assert_int_equal(report.answer.type, i == 0 ? ORDER_ADD_SA : 0);
        assert_int_equal(report.answer.error, 0);
    }
    assert_int_equal(report.event.type, DATAPLANE_SOFT_LIFETIME);
    assert_int_equal(report.event.spi_in, 0x1001);
    assert_int_equal(running_end(&running), EX_OK);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void what_comes_with_an_order_is_the_orders_alone(void **state)
{
    int ends[2];
    uint8_t octet;

    (void)state;
    channel_make(ends);
    const Running running = running_begin(command);
    assert_int_equal(error_of(&running, ORDER_OPEN_TRANSPORT, 1, ends[1]), 0);
    assert_int_equal(error_of(&running, ORDER_OPEN_TRANSPORT, 2, ends[1]), -EEXIST);
    (void)close(ends[1]);
    assert_int_equal(recv(ends[0], &octet, sizeof(octet), MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(error_of(&running, ORDER_CLOSE_TRANSPORT, 3, -1), 0);
    assert_int_equal(recv(ends[0], &octet, sizeof(octet), 0), 0);
    (void)close(ends[0]);
    assert_int_equal(running_end(&running), EX_OK);
}

static void what_is_no_order_ends_it(void **state)
{
    static const uint8_t type_0[] = {0}, type_after_the_last[] = {ORDER_TYPES};
    static const uint8_t too_large[ORDER_SIZE_MAX + 1] = {ORDER_PLANE_COUNTERS};

    (void)state;
    assert_int_equal(status_after(command, type_0, sizeof(type_0)), EX_PROTOCOL);
    assert_int_equal(status_after(command, type_after_the_last, sizeof(type_after_the_last)),
                     EX_PROTOCOL);
    assert_int_equal(status_after(command, "no order", strlen("no order")), EX_PROTOCOL);
    assert_int_equal(status_after(command, too_large, sizeof(too_large)), EX_PROTOCOL);
}

static void nothing_is_answered_after_what_is_no_order(void **state)
{
    uint8_t octet = ORDER_TYPES;

    (void)state;
    const Running running = running_begin(command);
    assert_int_equal(error_of(&running, ORDER_PLANE_COUNTERS, 1, -1), 0);
    assert_int_equal(send(running.channel, &octet, sizeof(octet), 0), sizeof(octet));
    assert_ends_unanswered(&running, EX_PROTOCOL);
}

static void it_has_no_right_left_and_few_system_calls(void **state)
{
    (void)state;
    if (program_has_sanitizer())
        skip(); /* with a sanitizer all system calls are left */
    const Running running = running_begin(command);

    assert_int_equal(error_of(&running, ORDER_PLANE_COUNTERS, 1, -1), 0);
    assert_int_equal(program_field(running.pid, "CapPrm:"), 0);
    assert_int_equal(program_field(running.pid, "NoNewPrivs:"), 1);
    assert_int_equal(program_field(running.pid, "Seccomp:"), SECCOMP_MODE_FILTER);
    assert_int_equal(running_end(&running), EX_OK);
}

/* A TUN of the test's own that can't be read, and that poll() tells of. */
static void it_stops_where_a_descriptor_of_its_is_broken(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const Running running = running_begin(command);
    assert_int_equal(error_of(&running, ORDER_OPEN_TUN, 1, ends[1]), 0);
    (void)close(ends[1]);
    (void)close(ends[0]);
    assert_ends_unanswered(&running, EX_PROTOCOL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_takes_no_argument_and_nothing_but_a_socket),
        cmocka_unit_test(it_ends_well_when_tred_has_closed_its_end),
        cmocka_unit_test(it_answers_one_order_after_the_other_those_that_fail_among_them),
        cmocka_unit_test(it_tells_of_a_lifetime_that_is_over_unasked),
        cmocka_unit_test(what_comes_with_an_order_is_the_orders_alone),
        cmocka_unit_test(what_is_no_order_ends_it),
        cmocka_unit_test(nothing_is_answered_after_what_is_no_order),
        cmocka_unit_test(it_has_no_right_left_and_few_system_calls),
        cmocka_unit_test(it_stops_where_a_descriptor_of_its_is_broken),
    };

    if (argc != 2)
        return 1;
    command[0] = argv[1];
    return cmocka_run_group_tests_name("tred-esp", tests, NULL, NULL);
}
