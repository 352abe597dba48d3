/* What does the journal get, and who gets what it does not take? The linker puts the journal's
 * socket in the place of the real one (ld --wrap). */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "tests/unit/listen.h"

static char lines[LISTEN_SIZE];

/* The journal: what it was sent last, how often, and what it says to that. */
static struct {
    char entry[16384];
    size_t size;
    unsigned sent, sockets;
    int send_error, socket_error;
} journal;

int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol)
{
    assert_int_equal(domain, AF_UNIX);
    assert_int_equal(type, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
    journal.sockets++;
    errno = journal.socket_error;
    return journal.socket_error ? -1 : __real_socket(domain, type, protocol);
}

ssize_t __wrap_sendto(int fd, const void *octets, size_t size, int flags,
                      const struct sockaddr *address, socklen_t address_size);
ssize_t __wrap_sendto(int fd, const void *octets, size_t size, int flags,
                      const struct sockaddr *address, socklen_t address_size)
{
    assert_true(fd >= 0);
    assert_int_equal(flags, MSG_NOSIGNAL);
    assert_int_equal(address_size, sizeof(struct sockaddr_un));
    assert_string_equal(((const struct sockaddr_un *)(const void *)address)->sun_path,
                        "/run/systemd/journal/socket");
    assert_true(size < sizeof(journal.entry));
    memcpy(journal.entry, octets, size);
    journal.entry[size] = '\0';
    journal.size = size;
    journal.sent++;
    errno = journal.send_error;
    return journal.send_error ? -1 : (ssize_t)size;
}

/* Standard error is the journal's, as systemd says it. */
static void name_standard_error(void)
{
    struct stat status;
    char stream[64];

    assert_int_equal(fstat(STDERR_FILENO, &status), 0);
    (void)snprintf(stream, sizeof(stream), "%" PRIu64 ":%" PRIu64, (uint64_t)status.st_dev,
                   (uint64_t)status.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
}

static void say_a_word(void)
{
    name_standard_error();
    log_error("word");
}

static void before_it_is_wanted_the_journal_gets_lines(void **state)
{
    (void)state;
    listen_to(say_a_word, lines);
    assert_string_equal(lines, "<3>word\n");
    assert_int_equal(journal.sent, 0);
}

static void without_a_socket_a_line_goes_to_standard_error(void **state)
{
    (void)state;
    log_to_journal();
    journal.socket_error = EMFILE;
    listen_to(say_a_word, lines);
    assert_string_equal(lines, "<3>word\n");
    assert_int_equal(journal.sent, 0);
    journal.socket_error = 0;
}

static const LogFields *fields;

static void say_with_fields(void)
{
    name_standard_error();
    log_fields(LOG_WARNING, fields, "a %s", "word\nMESSAGE_ID=forged\x7f");
}

static void a_line_goes_with_its_fields_and_none_can_be_forged(void **state)
{
    static const LogFields all = {.message_id = "0123",
                                  .peer = "segw.example\nTRE_STEP=9",
                                  .spi = 0xabc,
                                  .step = 4,
                                  .error = "why\x1f"};

    (void)state;
    fields = &all;
    listen_to(say_with_fields, lines);
    assert_string_equal(lines, "");
    assert_string_equal(journal.entry, "MESSAGE=a word?MESSAGE_ID=forged?\n"
                                       "PRIORITY=4\n"
                                       "SYSLOG_IDENTIFIER=test_log_journal\n"
                                       "MESSAGE_ID=0123\n"
                                       "TRE_PEER=segw.example?TRE_STEP=9\n"
                                       "TRE_SPI=0000000000000abc\n"
                                       "TRE_STEP=4\n"
                                       "TRE_ERROR=why?\n");
}

static void fields_that_are_not_there_are_left_out(void **state)
{
    static const LogFields none = {0};
    const LogFields *const cases[] = {NULL, &none};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        fields = cases[i];
        listen_to(say_with_fields, lines);
        assert_string_equal(journal.entry, "MESSAGE=a word?MESSAGE_ID=forged?\n"
                                           "PRIORITY=4\n"
                                           "SYSLOG_IDENTIFIER=test_log_journal\n");
    }
    assert_int_equal(journal.sockets, 2); /* the one that could not be had, and one for all lines */
}

/* What has no room is left out whole, and what comes after it is not. */
static void a_field_without_room_is_left_out(void **state)
{
    enum { ENTRY_SIZE = 8192 };
    static char peer[ENTRY_SIZE];
    LogFields long_one = {.peer = peer, .step = 4};
    size_t before;

    (void)state;
    fields = &(LogFields){.peer = "p"};
    listen_to(say_with_fields, lines);
    before = journal.size - strlen("TRE_PEER=p\n");
    /* One octet of the entry stays for the text's end. */
    memset(peer, 'p', ENTRY_SIZE - before - strlen("TRE_PEER=\n") - 1);
    long_one.step = 0;
    fields = &long_one;
    listen_to(say_with_fields, lines);
    assert_int_equal(journal.size, ENTRY_SIZE - 1);
    assert_string_equal(journal.entry + ENTRY_SIZE - 3, "p\n");
    peer[strlen(peer)] = 'p';
    long_one.step = 4;
    listen_to(say_with_fields, lines);
    assert_int_equal(journal.size, before + strlen("TRE_STEP=4\n"));
    assert_non_null(strstr(journal.entry, "\nTRE_STEP=4\n"));
    assert_null(strstr(journal.entry, "TRE_PEER"));
}

static void what_the_journal_does_not_take_goes_to_standard_error(void **state)
{
    (void)state;
    journal.send_error = EAGAIN;
    listen_to(say_a_word, lines);
    assert_string_equal(lines, "<3>word\n");
    journal.send_error = 0;
    listen_to(say_a_word, lines);
    assert_string_equal(lines, "");
}

static void say_outside(void)
{
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
    log_error("word");
}

static void outside_of_a_unit_the_journal_gets_nothing(void **state)
{
    (void)state;
    journal.sent = 0;
    listen_to(say_outside, lines);
    assert_string_equal(lines, "word\n");
    assert_int_equal(journal.sent, 0);
}

int main(void)
{
    /* In this order: the journal, once wanted, stays so, and its socket. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_it_is_wanted_the_journal_gets_lines),
        cmocka_unit_test(without_a_socket_a_line_goes_to_standard_error),
        cmocka_unit_test(a_line_goes_with_its_fields_and_none_can_be_forged),
        cmocka_unit_test(fields_that_are_not_there_are_left_out),
        cmocka_unit_test(a_field_without_room_is_left_out),
        cmocka_unit_test(what_the_journal_does_not_take_goes_to_standard_error),
        cmocka_unit_test(outside_of_a_unit_the_journal_gets_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
