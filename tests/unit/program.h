/* A program as its starter finds it: what it is given, and the status that it ends with. After
 * cmocka's headers. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { PROGRAM_CHANNEL = 3, PROGRAM_NOT_TAKEN = 100 };

/* Starts argv[0] with `channel` as descriptor 3 (-1: none), and nothing to read or write. */
static inline pid_t program_start(const char *const *argv, int channel)
{
    union {
        const char *const *constant;
        char *const *plain;
    } words = {.constant = argv}; /* execv() only reads them */
    const pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    /* It does not outlive a test that fails meanwhile. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int high = channel < 0 ? -1 : fcntl(channel, F_DUPFD_CLOEXEC, PROGRAM_NOT_TAKEN);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0)
        _exit(127);
    (void)close(PROGRAM_CHANNEL);
    if (high >= 0 && dup2(high, PROGRAM_CHANNEL) < 0)
        _exit(127);
    (void)execv(words.plain[0], words.plain);
    _exit(127);
}

/* The status that it ends with, or what is no status where a signal ended it. */
static inline int program_status(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Programs are built with one where their tests are: it wants terabytes and all system calls, and
 * no limit is set for it. */
static inline bool program_has_sanitizer(void)
{
#ifdef __SANITIZE_ADDRESS__
    return true;
#elif defined __has_feature
#if __has_feature(address_sanitizer)
    return true;
#endif
#endif
    return false;
}

/* Both ends of a channel, as tred makes it. */
static inline void channel_make(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

/* One that has its end of a channel, and the other. */
typedef struct Running {
    pid_t pid;
    int channel;
} Running;

static inline Running running_begin(const char *const *argv)
{
    int ends[2];

    channel_make(ends);
    const Running running = {program_start(argv, ends[1]), ends[0]};
    (void)close(ends[1]);
    return running;
}

/* Leaves it; the status that it ends with then. */
static inline int running_end(const Running *running)
{
    (void)close(running->channel);
    return program_status(running->pid);
}

/* The status of one that is given what is no socket. */
static inline int status_with_pipe(const char *const *argv)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const int status = program_status(program_start(argv, ends[0]));
    (void)close(ends[0]);
    (void)close(ends[1]);
    return status;
}

/* It ends without a word, with this status. */
static inline void assert_ends_unanswered(const Running *running, int status)
{
    uint8_t octet;

    assert_int_equal(recv(running->channel, &octet, sizeof(octet), 0), 0);
    assert_int_equal(running_end(running), status);
}

/* The status of a program that is sent `size` octets at once, if any, and then left. */
static inline int status_after(const char *const *argv, const void *octets, size_t size)
{
    const Running running = running_begin(argv);

    if (size > 0) /* it may have ended already */
        assert_true(send(running.channel, octets, size, MSG_NOSIGNAL) >= 0 || errno == EPIPE);
    return running_end(&running);
}

/* What the kernel says of it, in hexadecimal: a field of /proc/PID/status by its name and colon. */
static inline unsigned long long program_field(pid_t pid, const char *name)
{
    char path[sizeof("/proc/2147483647/status")], line[256];
    unsigned long long value = ~0ULL;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoull(line + strlen(name), NULL, 16);
    }
    (void)fclose(file);
    return value;
}

/* One of tred's helpers takes nothing but the socket that it is given. */
static inline void assert_takes_a_socket_alone(const char *program)
{
    const char *const alone[] = {program, NULL}, *const with_more[] = {program, "more", NULL};

    assert_int_equal(status_after(with_more, NULL, 0), EX_USAGE);
    assert_int_equal(program_status(program_start(alone, -1)), EX_USAGE);
    assert_int_equal(status_with_pipe(alone), EX_USAGE);
}
