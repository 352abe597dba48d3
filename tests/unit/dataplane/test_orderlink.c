/* A process that carries out orders: what it says is taken only as an answer to what it was asked,
 * and no later than by the deadline. The test plays the process. */
#include "dataplane/orderlink.h"

#include "base/helper.h"
#include "base/reason.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/wipe_watch.h"

enum { PATIENCE_US = 10 * 1000 * 1000 };

typedef struct Lab {
    char folder[32];
    struct sockaddr_un address;
    int listener;
    int theirs; /* the process's end */
    sd_event *event;
    OrderLink *helper;
    size_t n_answers;
    uint64_t last_cookie;
    Answer last;
    size_t n_events;
    Reason lost;
    size_t secret_octets; /* in memory before there was a link */
} Lab;

static void note_event(const DataPlaneEvent *event, void *userdata)
{
    (void)event;
    ((Lab *)userdata)->n_events++;
}

static void note_lost(const char *reason, void *userdata)
{
    Lab *lab = userdata;
    assert_string_equal(lab->lost.text, "");
    reason_set(&lab->lost, 0, "%s", reason);
    order_link_free(steal_pointer(lab->helper));
}

static void note_answer(const Answer *answer, int *fd, uint64_t cookie, void *userdata)
{
    Lab *lab = userdata;
    assert_int_equal(*fd, -1);
    lab->n_answers++;
    lab->last_cookie = cookie;
    lab->last = *answer;
}

static int setup(void **state)
{
    Lab *lab = calloc(1, sizeof(*lab));
    assert_non_null(lab);
    (void)snprintf(lab->folder, sizeof(lab->folder), "/tmp/test_helper.XXXXXX");
    assert_non_null(mkdtemp(lab->folder));
    lab->address.sun_family = AF_UNIX;
    (void)snprintf(lab->address.sun_path, sizeof(lab->address.sun_path), "%s/socket", lab->folder);
    lab->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(lab->listener, (struct sockaddr *)&lab->address, sizeof(lab->address)),
                     0);
    assert_int_equal(listen(lab->listener, 1), 0);
    assert_int_equal(sd_event_new(&lab->event), 0);
    lab->secret_octets = CRYPTO_secure_used();
    const OrderLinkCallbacks callbacks = {note_event, note_lost, lab};
    assert_int_equal(
        order_link_connect("tred-net", lab->address.sun_path, lab->event, &callbacks, &lab->helper),
        0);
    assert_true(CRYPTO_secure_used() > lab->secret_octets); /* orders bring keys */
    lab->theirs = accept(lab->listener, NULL, NULL);
    assert_true(lab->theirs >= 0);
    *state = lab;
    return 0;
}

static int teardown(void **state)
{
    Lab *lab = *state;
    order_link_free(lab->helper);
    assert_int_equal(CRYPTO_secure_used(), lab->secret_octets);
    sd_event_unref(lab->event);
    close_fdp(&lab->theirs);
    close_fdp(&lab->listener);
    (void)unlink(lab->address.sun_path);
    (void)rmdir(lab->folder);
    free(lab);
    return 0;
}

static void ask(Lab *lab, uint32_t spi, uint64_t cookie, uint64_t deadline)
{
    order_link_give(lab->helper, &(Order){.type = ORDER_REMOVE_SA, .id = spi}, -1, deadline,
                    note_answer, cookie, lab);
}

enum { MARKER = 0x31415926 };

static unsigned n_marked_wiped; /* how often an order of this SPI was */

static void note_wiped(const void *at, size_t size)
{
    static const uint8_t marker[] = {0x31, 0x41, 0x59, 0x26};
    n_marked_wiped += memmem(at, size, marker, sizeof(marker)) != NULL;
}

/* There may be keys in it. */
static void an_order_is_wiped_when_it_is_sent(void **state)
{
    Lab *lab = *state;
    n_marked_wiped = 0;
    ask(lab, MARKER, 11, order_link_deadline());
    assert_int_equal(n_marked_wiped, 1);
    (void)close(lab->theirs);
    lab->theirs = -1;
    ask(lab, MARKER, 12, order_link_deadline()); /* which it can't be */
    assert_int_equal(n_marked_wiped, 2);
}

/* The order that comes next at the other end. */
static Order hear(const Lab *lab)
{
    uint8_t buffer[ORDER_SIZE_MAX];
    Order order;
    int fd = -1, size = helper_receive(lab->theirs, buffer, sizeof(buffer), &fd);
    assert_true(size > 0);
    assert_int_equal(order_decode((Bytes){buffer, (size_t)size}, &order), 0);
    return order;
}

static void say(const Lab *lab, const Writer *writer)
{
    Bytes message;
    assert_int_equal(writer_finish(writer, &message), 0);
    assert_int_equal(helper_send(lab->theirs, message, -1), 0);
}

static void answer(const Lab *lab, OrderType type, uint32_t number, int error)
{
    uint8_t buffer[ORDER_SIZE_MAX];
    Writer writer;
    writer_init(&writer, buffer, sizeof(buffer));
    answer_encode(&writer, &(Answer){.type = type, .number = number, .error = error});
    say(lab, &writer);
}

static void report(const Lab *lab)
{
    uint8_t buffer[ORDER_SIZE_MAX];
    Writer writer;
    writer_init(&writer, buffer, sizeof(buffer));
    event_encode(&writer, &(DataPlaneEvent){DATAPLANE_SOFT_LIFETIME, 1});
    say(lab, &writer);
}

static void run_until_lost(Lab *lab)
{
    for (int i = 0; i < 100 && lab->helper; i++)
        (void)sd_event_run(lab->event, PATIENCE_US / 100);
}

static void run_until_answers(Lab *lab, size_t n)
{
    for (int i = 0; i < 100 && lab->helper && lab->n_answers < n; i++)
        (void)sd_event_run(lab->event, PATIENCE_US / 100);
    assert_int_equal(lab->n_answers, n);
}

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void orders_are_answered_in_turn_each_to_its_own_callback(void **state)
{
    Lab *lab = *state;
    ask(lab, 300, 11, order_link_deadline());
    ask(lab, 301, 12, order_link_deadline());
    Order first = hear(lab), second = hear(lab);
    assert_int_equal(first.id, 300);
    assert_int_equal(second.id, 301);
    assert_int_not_equal(first.number, second.number);
    answer(lab, ORDER_REMOVE_SA, first.number, 0);
    run_until_answers(lab, 1);
    assert_int_equal(lab->last_cookie, 11);
    answer(lab, ORDER_REMOVE_SA, second.number, -ENOENT);
    run_until_answers(lab, 2);
    assert_int_equal(lab->last_cookie, 12);
    assert_int_equal(lab->last.error, -ENOENT);
    assert_string_equal(lab->lost.text, "");
}

/* Each message in time, and the answer never: what counts is the request's deadline. */
static void a_helper_that_talks_on_without_answering_is_given_up_at_the_deadline(void **state)
{
    Lab *lab = *state;
    uint64_t begun = now_us();
    ask(lab, 300, 11, begun + 300 * 1000);
    while (lab->helper && now_us() < begun + PATIENCE_US) {
        report(lab);
        (void)sd_event_run(lab->event, 20 * 1000);
    }
    assert_string_equal(lab->lost.text, "tred-net did not answer in time");
    assert_true(now_us() >= begun + 300 * 1000);
    assert_true(lab->n_events > 0);
    assert_int_equal(lab->n_answers, 0);
}

static void an_order_answered_in_time_has_no_deadline_any_more(void **state)
{
    Lab *lab = *state;
    ask(lab, 300, 11, now_us() + 100 * 1000);
    answer(lab, ORDER_REMOVE_SA, hear(lab).number, 0);
    run_until_answers(lab, 1);
    (void)sd_event_run(lab->event, 300 * 1000);
    assert_string_equal(lab->lost.text, "");
}

static void a_helper_that_ends_is_lost_and_its_orders_stay_unanswered(void **state)
{
    Lab *lab = *state;
    ask(lab, 300, 11, order_link_deadline());
    (void)close(lab->theirs);
    lab->theirs = -1;
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-net has ended");
    assert_int_equal(lab->n_answers, 0);
}

static void a_helper_that_ends_between_two_orders_is_lost(void **state)
{
    Lab *lab = *state;
    (void)close(lab->theirs);
    lab->theirs = -1;
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-net has ended");
}

static void an_order_to_a_helper_that_has_ended_is_lost_from_the_loop_and_not_at_once(void **state)
{
    Lab *lab = *state;
    (void)close(lab->theirs);
    lab->theirs = -1;
    ask(lab, 300, 11, order_link_deadline());
    assert_string_equal(lab->lost.text, "");
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-net has ended");
}

static void an_answer_to_what_was_not_asked_is_refused(void **state)
{
    Lab *lab = *state;
    answer(lab, ORDER_REMOVE_SA, 1, 0);
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-net answered what it was not asked");
}

static void an_answer_under_another_number_is_refused(void **state)
{
    Lab *lab = *state;
    ask(lab, 300, 11, order_link_deadline());
    answer(lab, ORDER_REMOVE_SA, hear(lab).number + 1, 0);
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-net answered what it was not asked");
    assert_int_equal(lab->n_answers, 0);
}

static void an_answer_that_comes_twice_is_refused(void **state)
{
    Lab *lab = *state;
    ask(lab, 300, 11, order_link_deadline());
    uint32_t number = hear(lab).number;
    answer(lab, ORDER_REMOVE_SA, number, 0);
    answer(lab, ORDER_REMOVE_SA, number, 0);
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-net answered what it was not asked");
    assert_int_equal(lab->n_answers, 1);
}

static void an_answer_to_another_kind_of_order_is_refused(void **state)
{
    Lab *lab = *state;
    ask(lab, 300, 11, order_link_deadline());
    answer(lab, ORDER_ADD_SA, hear(lab).number, 0);
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-net answered what it was not asked");
}

static void octets_that_are_no_report_are_refused(void **state)
{
    Lab *lab = *state;
    static const uint8_t nonsense[] = {9, 9, 9};
    assert_int_equal(helper_send(lab->theirs, BYTES_OF(nonsense), -1), 0);
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-net said what is no answer");
}

static void a_frame_beyond_the_bound_is_refused(void **state)
{
    Lab *lab = *state;
    static const uint8_t large[ORDER_SIZE_MAX + 1] = {1};
    assert_int_equal(helper_send(lab->theirs, BYTES_OF(large), -1), 0);
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-net said what is no answer");
}

/* What is held for a helper that does not answer has a bound. */
static void a_helper_that_answers_nothing_is_given_up_before_much_is_held_for_it(void **state)
{
    enum { PENDING_MAX = 10 * DATAPLANE_SAS_MAX };
    Lab *lab = *state;
    for (uint32_t i = 0; i < PENDING_MAX; i++)
        ask(lab, 300 + i, i, order_link_deadline());
    for (int turn = 0; turn < 3; turn++)
        assert_true(sd_event_run(lab->event, 0) >= 0);
    assert_string_equal(lab->lost.text, "");
    ask(lab, 1000, 1000, order_link_deadline());
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-net leaves too many orders unanswered");
}

#define LAB(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int group_setup(void **state)
{
    (void)state;
    return secrets_init();
}

/* What starting the process leads to, and the end that it has then. */
static int start_result;
static int started_with[2];
static unsigned n_ended;

int __wrap_helper_process_start(const char *path, const char *argument, HelperProcess *ret);
int __wrap_helper_process_start(const char *path, const char *argument, HelperProcess *ret)
{
    assert_string_equal(path, "/program");
    assert_string_equal(argument, "--connected");
    if (start_result < 0)
        return start_result;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, started_with), 0);
    ret->channel = dup(started_with[0]);
    ret->pid = 1;
    errno = EIO; /* of what has gone well nobody asks it */
    return 0;
}

void __wrap_helper_process_end(HelperProcess *process);
void __wrap_helper_process_end(HelperProcess *process)
{
    assert_int_equal(process->pid, 1);
    close_fdp(&process->channel);
    n_ended++;
}

static void a_process_that_starts_is_never_waited_for_at_its_channel(void **state)
{
    Lab *lab = *state;
    const OrderLinkCallbacks callbacks = {note_event, note_lost, lab};
    OrderLink *link = NULL;
    start_result = -EAGAIN;
    assert_int_equal(
        order_link_start("tred-esp", "/program", "--connected", lab->event, &callbacks, &link),
        -EAGAIN);
    assert_null(link);
    start_result = 0;
    assert_int_equal(
        order_link_start("tred-esp", "/program", "--connected", lab->event, &callbacks, &link), 0);
    assert_true(fcntl(started_with[0], F_GETFL) & O_NONBLOCK);
    assert_int_equal(n_ended, 0);
    order_link_free(link);
    assert_int_equal(n_ended, 1);
    close_fdp(&started_with[0]);
    close_fdp(&started_with[1]);
}

static void a_process_that_starts_is_listened_to(void **state)
{
    Lab *lab = *state;
    static const uint8_t nonsense[] = {9, 9, 9};
    const OrderLinkCallbacks callbacks = {note_event, note_lost, lab};
    order_link_free(steal_pointer(lab->helper));
    assert_int_equal(order_link_start("tred-esp", "/program", "--connected", lab->event, &callbacks,
                                      &lab->helper),
                     0);
    assert_int_equal(helper_send(started_with[1], BYTES_OF(nonsense), -1), 0);
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-esp said what is no answer");
    close_fdp(&started_with[0]);
    close_fdp(&started_with[1]);
}

static void what_follows_nonsense_is_not_taken(void **state)
{
    Lab *lab = *state;
    static const uint8_t nonsense[] = {9, 9, 9};
    assert_int_equal(helper_send(lab->theirs, BYTES_OF(nonsense), -1), 0);
    report(lab);
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-net said what is no answer");
    assert_int_equal(lab->n_events, 0);
}

static void what_follows_an_answer_that_was_not_asked_for_is_not_taken(void **state)
{
    Lab *lab = *state;
    answer(lab, ORDER_REMOVE_SA, 1, 0);
    report(lab);
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "tred-net answered what it was not asked");
    assert_int_equal(lab->n_events, 0);
}

static void who_is_given_up_is_ordered_nothing_and_for_the_first_reason(void **state)
{
    Lab *lab = *state;
    uint8_t octet;
    order_link_give_up(lab->helper, "first");
    order_link_give_up(lab->helper, "second");
    ask(lab, 300, 11, order_link_deadline());
    assert_int_equal(recv(lab->theirs, &octet, 1, MSG_DONTWAIT), -1);
    run_until_lost(lab);
    assert_string_equal(lab->lost.text, "first");
}

static void a_last_order_is_left_with_whoever_listens(void **state)
{
    Lab *lab = *state;
    const Order order = {.type = ORDER_UNPROTECT};
    assert_int_equal(order_link_leave(lab->address.sun_path, &order), 0);
    close_fdp(&lab->theirs);
    lab->theirs = accept(lab->listener, NULL, NULL);
    assert_int_equal(hear(lab).type, ORDER_UNPROTECT);
    assert_int_equal(order_link_leave("/nonexistent/socket", &order), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB(a_process_that_starts_is_never_waited_for_at_its_channel),
        LAB(orders_are_answered_in_turn_each_to_its_own_callback),
        LAB(a_helper_that_talks_on_without_answering_is_given_up_at_the_deadline),
        LAB(an_order_answered_in_time_has_no_deadline_any_more),
        LAB(a_helper_that_ends_is_lost_and_its_orders_stay_unanswered),
        LAB(an_order_is_wiped_when_it_is_sent),
        LAB(a_helper_that_ends_between_two_orders_is_lost),
        LAB(an_order_to_a_helper_that_has_ended_is_lost_from_the_loop_and_not_at_once),
        LAB(an_answer_to_what_was_not_asked_is_refused),
        LAB(an_answer_under_another_number_is_refused),
        LAB(an_answer_that_comes_twice_is_refused),
        LAB(an_answer_to_another_kind_of_order_is_refused),
        LAB(octets_that_are_no_report_are_refused),
        LAB(a_frame_beyond_the_bound_is_refused),
        LAB(a_helper_that_answers_nothing_is_given_up_before_much_is_held_for_it),
        LAB(a_process_that_starts_is_listened_to),
        LAB(what_follows_nonsense_is_not_taken),
        LAB(what_follows_an_answer_that_was_not_asked_for_is_not_taken),
        LAB(who_is_given_up_is_ordered_nothing_and_for_the_first_reason),
        LAB(a_last_order_is_left_with_whoever_listens),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
