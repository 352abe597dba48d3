/* Which system calls does tred-tpm leave itself: those of a network only for a TPM that is reached
 * by one? Each case is a process of its own, up to where the filter would be put in place. */
#include "base/cleanup.h"
#include "base/helper.h"
#include "base/sandbox.h"
#include "device/frames.h"

#include <pwd.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/program.h"

enum { CALLS_MAX = 256, TAKEN = 77 };

/* What the process has handed to the sandbox. */
typedef struct Kept {
    size_t count;
    int calls[CALLS_MAX];
} Kept;

static Kept *kept;

/* device/tred_tpm.c's main(). */
int tred_tpm_main(int argc, char **argv);

/* In the place of base/sandbox.c's (--wrap): the process ends here. */
int __wrap_sandbox_refuse_others(const int *calls, size_t count);
int __wrap_sandbox_refuse_others(const int *calls, size_t count)
{
    if (count > CALLS_MAX)
        _exit(EX_SOFTWARE);
    memcpy(kept->calls, calls, count * sizeof(*calls));
    kept->count = count;
    _exit(TAKEN);
}

static _Noreturn void run_with(int channel)
{
    const struct passwd *user = getpwuid(getuid());
    char program[] = "tred-tpm", connected[] = "--connected", option[] = "--user", name[64];
    char *words[] = {program, connected, option, name, NULL};

    (void)snprintf(name, sizeof(name), "%s", user ? user->pw_name : "");
    if (channel != HELPER_FD && dup2(channel, HELPER_FD) < 0)
        _exit(EX_OSERR);
    _exit(tred_tpm_main(ELEMENTS(words) - 1, words));
}

static void look_at_calls(const char *tcti)
{
    static uint8_t frame[DEVICE_FRAME_SIZE_MAX];
    static DeviceRequest request;
    int ends[2];
    Writer writer;
    Bytes message;

    kept->count = 0;
    request = (DeviceRequest){.type = DEVICE_CONFIGURE};
    (void)snprintf(request.files.tcti, sizeof(request.files.tcti), "%s", tcti);
    writer_init(&writer, frame, sizeof(frame));
    device_request_encode(&writer, &request);
    assert_int_equal(writer_finish(&writer, &message), 0);
    channel_make(ends);
    assert_int_equal(helper_send(ends[0], message, -1), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_with(ends[1]);
    (void)close(ends[1]);
    assert_int_equal(program_status(pid), TAKEN);
    (void)close(ends[0]);
}

static bool stays(int call)
{
    for (size_t i = 0; i < kept->count; i++) {
        if (kept->calls[i] == call)
            return true;
    }
    return false;
}

static const int of_a_network[] = {
    SCMP_SYS(connect),    SCMP_SYS(bind),     SCMP_SYS(listen),      SCMP_SYS(accept),
    SCMP_SYS(accept4),    SCMP_SYS(shutdown), SCMP_SYS(getpeername), SCMP_SYS(getsockname),
    SCMP_SYS(setsockopt), SCMP_SYS(recvfrom), SCMP_SYS(sendmmsg),    SCMP_SYS(recvmmsg),
    SCMP_SYS(getsockopt), SCMP_SYS(pipe2),    SCMP_SYS(socketpair),
};

static void for_the_kernels_device_no_call_of_a_network_stays(void **state)
{
    static const char *const devices[] = {"device:/dev/tpmrm0",
                                          "device:/dev/tpm0",
                                          "device:",
                                          "device",
                                          "libtss2-tcti-device.so.0:/dev/tpmrm0",
                                          "libtss2-tcti-device.so.0"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(devices); i++) {
        look_at_calls(devices[i]);
        for (size_t j = 0; j < ELEMENTS(of_a_network); j++)
            assert_false(stays(of_a_network[j]));
        /* Those before them are all there: the last of them ends the process. */
        assert_true(stays(SCMP_SYS(ioctl)) && stays(SCMP_SYS(exit_group)));
    }
}

static void for_a_simulator_those_to_reach_it_stay_and_none_to_be_reached(void **state)
{
    static const char *const simulators[] = {"swtpm:path=/run/swtpm",
                                             "mssim:host=localhost",
                                             "mssim",
                                             "devices:/dev/tpmrm0",
                                             "device-x",
                                             "dev:x",
                                             "cmd:device:",
                                             "libtss2-tcti-device.so.01"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(simulators); i++) {
        look_at_calls(simulators[i]);
        assert_true(stays(SCMP_SYS(connect)) && stays(SCMP_SYS(recvfrom)));
        assert_true(stays(SCMP_SYS(exit_group)));
        assert_false(stays(SCMP_SYS(listen)) || stays(SCMP_SYS(accept)) ||
                     stays(SCMP_SYS(accept4)) || stays(SCMP_SYS(socketpair)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_the_kernels_device_no_call_of_a_network_stays),
        cmocka_unit_test(for_a_simulator_those_to_reach_it_stay_and_none_to_be_reached),
    };

    kept = mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return kept == MAP_FAILED ? 1
                              : cmocka_run_group_tests_name("tred-tpm's calls", tests, NULL, NULL);
}
