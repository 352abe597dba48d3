/* Runs one device of a line in a process of its own, and takes up how it ended. */
#include "provisioning/linejob.h"

#include "base/cleanup.h"
#include "base/reason.h"
#include "provisioning/record.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const char prefix[] = "tre-provision: ";
static const char warning[] = "warning:";

/* All that was written to a memory file, as a string for free(); NULL without memory. */
static char *memory_text(int fd)
{
    const off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)(size > 0 ? size : 0) + 1);

    if (text && size > 0 && pread(fd, text, (size_t)size, 0) != size)
        text[0] = '\0';
    return text;
}

/* The complaints as one sentence: without our name before each, and without the warnings. */
static void complaints_join(char *text, char *ret, size_t size)
{
    size_t length = 0;
    char *rest = NULL;

    ret[0] = '\0';
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int n;

        if (strncmp(line, prefix, strlen(prefix)) == 0)
            line += strlen(prefix);
        if (strncmp(line, warning, strlen(warning)) == 0 || length >= size)
            continue;
        n = snprintf(ret + length, size - length, "%s%s", length > 0 ? "; " : "", line);
        length += n > 0 ? (size_t)n : 0;
    }
}

static void outcome_take_error(DeviceOutcome *outcome, int complaints, const char *otherwise)
{
    _cleanup_(free_charp) char *text = memory_text(complaints);

    if (text)
        complaints_join(text, outcome->reason.text, sizeof(outcome->reason.text));
    if (outcome->reason.text[0] == '\0')
        reason_set(&outcome->reason, 0, "%s", otherwise);
}

static uint64_t nanoseconds(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec;
}

static void step_take(const StepReport *report, void *user)
{
    DeviceOutcome *outcome = user;

    if (outcome->n_steps < STEPS_MAX)
        outcome->steps[outcome->n_steps++] = *report;
}

/* What the files and the TPM can be found by elsewhere. */
static void names_take(const Provision *provision, DeviceOutcome *outcome)
{
    _cleanup_(device_files_deinit) DeviceFiles files = {0};
    const X509 *certificate;

    if (device_files_read(provision->options, &files) < 0)
        return;
    if (files.key_r == 0)
        (void)key_name_hex(&files.key.public, outcome->key_name);
    certificate = sk_X509_value(files.certificates, 0);
    if (certificate)
        certificate_serial_hex(certificate, outcome->certificate_serial);
}

static int device_provision(const ProvisionOptions *options, DeviceOutcome *outcome)
{
    Provision provision;
    int r = provision_open(&provision, options, &outcome->meter);

    if (r == 0)
        r = provision_do_all(&provision, step_take, outcome);
    names_take(&provision, outcome);
    if (provision.ek_certificate)
        (void)certificate_hash_hex(provision.ek_certificate, outcome->ek_hash);
    provision_close(&provision);
    return r;
}

/* The device's process: its standard error is the memory file `complaints`. */
static int device_run(const ProvisionOptions *station, const DeviceLine *device, int report,
                      int complaints)
{
    _cleanup_(free_charp) char *state_dir = NULL;
    _cleanup_(free_charp) char *line = NULL;
    ProvisionOptions options = *station;
    struct timespec begun, ended;
    DeviceOutcome outcome = {.device = device};
    int r;

    (void)clock_gettime(CLOCK_REALTIME, &outcome.begun);
    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    r = provision_profile_expand(station->state_dir, device->serial, &state_dir);
    options.serial = device->serial;
    options.fqdn = device->fqdn;
    options.tcti = device->tcti;
    options.state_dir = state_dir;
    if (r == 0)
        r = device_provision(&options, &outcome);
    (void)clock_gettime(CLOCK_MONOTONIC, &ended);
    (void)clock_gettime(CLOCK_REALTIME, &outcome.ended);
    outcome.nanoseconds = nanoseconds(&ended) - nanoseconds(&begun);
    outcome.good = r == 0;
    if (r < 0) {
        outcome_take_error(&outcome, complaints,
                           r == -EINTR ? "it was ended by a signal; provision it again"
                                       : strerror(-r));
    }
    if (device_outcome_encode(&outcome, &line) < 0)
        return EXIT_FAILURE;
    return write(report, line, strlen(line)) == (ssize_t)strlen(line) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* What a step tells people goes into `complaints` if it is an error, and else nowhere: it would run
 * together with that of the other devices. */
static void streams_redirect(int complaints)
{
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(complaints, STDERR_FILENO) < 0)
        _exit(EXIT_FAILURE);
}

static void job_close(LineJob *job)
{
    close_fdp(&job->pidfd);
    close_fdp(&job->report);
    close_fdp(&job->complaints);
    *job = (LineJob){.pidfd = -1, .report = -1, .complaints = -1};
}

int line_job_start(LineJob *job, const ProvisionOptions *station, const DeviceLine *device)
{
    const pid_t parent = getpid();
    int r = 0;

    *job = (LineJob){.device = *device, .pidfd = -1, .report = -1, .complaints = -1};
    job->report = memfd_create("report", MFD_CLOEXEC);
    job->complaints = memfd_create("complaints", MFD_CLOEXEC);
    (void)fflush(NULL); /* what is buffered would be written twice */
    job->pid = job->report < 0 || job->complaints < 0 ? -1 : fork();
    if (job->pid == 0) {
        /* The line's end is the end of all that it does; the next one takes it up. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(EXIT_FAILURE);
        streams_redirect(job->complaints);
        _exit(device_run(station, device, job->report, job->complaints));
    }
    if (job->pid > 0)
        job->pidfd = pidfd_open(job->pid, 0);
    if (job->pid > 0 && job->pidfd >= 0)
        return 0;
    r = -errno;
    complain("no process can be started for the device %s: %s", device->serial, strerror(-r));
    if (job->pid > 0) {
        (void)kill(job->pid, SIGKILL);
        (void)waitpid(job->pid, NULL, 0);
    }
    job_close(job);
    return r;
}

/* The line of a device whose process ended before it could write one. */
static int line_make_up(const LineJob *job, int status, char **ret)
{
    DeviceOutcome outcome = {.device = &job->device};
    char otherwise[128];

    if (WIFSIGNALED(status)) {
        (void)snprintf(otherwise, sizeof(otherwise),
                       "its process was ended by signal %d (%s); provision it again",
                       WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else {
        (void)snprintf(otherwise, sizeof(otherwise),
                       "its process ended without a report; provision it again");
    }
    (void)clock_gettime(CLOCK_REALTIME, &outcome.ended);
    outcome.begun = outcome.ended;
    outcome_take_error(&outcome, job->complaints, otherwise);
    return device_outcome_encode(&outcome, ret);
}

int line_job_end(LineJob *job, char **ret)
{
    _cleanup_(free_charp) char *line = NULL;
    int status = 0;
    int r = 0;

    (void)waitpid(job->pid, &status, 0);
    line = memory_text(job->report);
    if (!line) {
        r = -ENOMEM;
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS || line[0] == '\0') {
        r = line_make_up(job, status, ret);
    } else {
        *ret = steal_pointer(line);
    }
    job_close(job);
    return r;
}
