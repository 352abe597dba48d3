/* tre-provision line: devices as they come, several at once, none of which can stop the others. */
#include "base/reason.h"
#include "provisioning/command.h"
#include "provisioning/devicelist.h"
#include "provisioning/linejob.h"
#include "provisioning/record.h"

#include "base/cleanup.h"
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

enum { JOBS_MAX = 256, QUEUE_MAX = 1024 };

typedef struct Line {
    ProvisionOptions options;
    LineReader reader;
    int records;
    LineJob jobs[JOBS_MAX];
    unsigned working;
    DeviceLine queue[QUEUE_MAX]; /* devices that wait for a place, or for their TPM */
    unsigned queued;
    Roster roster;
    DeviceList list;
    Progress progress;
    Tally tally;
    int signals; /* readable once one has come that is to end us */
    int result;  /* -errno once the line itself can't go on */
} Line;

static void line_free(Line *line)
{
    close_fdp(&line->records);
    close_fdp(&line->signals);
    if (line->reader.fd > STDIN_FILENO)
        (void)close(line->reader.fd);
    roster_deinit(&line->roster);
    device_list_deinit(&line->list);
    free(line);
}
DEFINE_POINTER_CLEANUP(Line, line_free);

static double now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void device_refuse(Line *line, const DeviceLine *device, const RosterEntry *conflict)
{
    char where[64] = "in an earlier run";

    if (conflict->line > 0)
        (void)snprintf(where, sizeof(where), "in line %u", conflict->line);
    progress_clear(&line->progress);
    complain("line %u: left out: %s %s: %s is already the name of a device (%s, %s, %s)",
             device->number, device->serial, device->fqdn,
             strcmp(conflict->serial, device->serial) == 0 ? device->serial : device->fqdn,
             conflict->serial, conflict->fqdn, where);
    line->tally.refused++;
}

/* Puts one device that has come into the queue. */
static void device_take(Line *line, const DeviceLine *device)
{
    const RosterEntry *conflict = NULL;
    int r = roster_claim(&line->roster, device->serial, device->fqdn, device->number, &conflict);

    if (r == -EEXIST) {
        device_refuse(line, device, conflict);
    } else if (r < 0) {
        line->result = r;
    } else {
        line->queue[line->queued++] = *device;
        line->progress.seen++;
    }
}

/* Takes the whole lines that are there, as long as there is room for them. */
static void lines_take(Line *line)
{
    while (line->result == 0 && line->queued < QUEUE_MAX) {
        Reason reason = {0};
        DeviceLine device = {0};
        int r = line_reader_next(&line->reader, &device, &reason);

        if (r == 0)
            return;
        if (r > 0) {
            device_take(line, &device);
            continue;
        }
        progress_clear(&line->progress);
        complain("line %u: left out: %s; a line is a serial number, an FQDN and a TCTI",
                 device.number, reason.text);
        line->tally.refused++;
    }
}

static bool tpm_is_in_use(const Line *line, const char *tcti)
{
    for (unsigned i = 0; i < line->options.jobs; i++) {
        if (line->jobs[i].pid > 0 && strcmp(line->jobs[i].device.tcti, tcti) == 0)
            return true;
    }
    return false;
}

static LineJob *place_find(Line *line)
{
    for (unsigned i = 0; i < line->options.jobs; i++) {
        if (line->jobs[i].pid == 0)
            return &line->jobs[i];
    }
    return NULL;
}

/* Starts those of the queue that there is a place and a TPM for: two devices that come to the same
 * place of the line have the same TCTI, one after the other. */
static void jobs_start(Line *line)
{
    unsigned i = 0;

    while (line->result == 0 && i < line->queued) {
        LineJob *place = place_find(line);

        if (!place)
            return;
        if (tpm_is_in_use(line, line->queue[i].tcti)) {
            i++;
            continue;
        }
        line->result = line_job_start(place, &line->options, &line->queue[i]);
        if (line->result < 0)
            return;
        line->queued--;
        memmove(&line->queue[i], &line->queue[i + 1], (line->queued - i) * sizeof(line->queue[0]));
        line->progress.working = ++line->working;
    }
}

/* A device has ended: its record is written, its name free again if it failed. */
static void job_end(Line *line, LineJob *job)
{
    _cleanup_(free_charp) char *text = NULL;
    Reason reason = {0};
    DeviceRecord record;
    int r = line_job_end(job, &text);

    line->progress.working = --line->working;
    if (r == 0) {
        const Bytes bytes = {(const uint8_t *)text, strlen(text) - 1};

        progress_clear(&line->progress);
        r = record_file_add(line->records, text);
        if (r == 0 && device_record_decode(bytes, &record, &reason) == 0) {
            tally_add(&line->tally, &record);
            progress_device(&line->progress, &record);
            if (!record.good) {
                roster_release(&line->roster, record.serial);
            } else if (record.ek_hash[0] != '\0') {
                r = roster_tpm_set(&line->roster, record.ek_hash, record.serial);
            }
            if (r == 0)
                r = device_list_take(&line->list, &record);
        }
    }
    if (line->result == 0)
        line->result = r;
}

/* No other device is begun, and those that have are told to end after the step that they are at:
 * from a terminal they have heard of it, too. */
static void line_interrupt(Line *line)
{
    progress_clear(&line->progress);
    complain("a signal came: the devices that were begun end after their step; what was done of "
             "them stays");
    line->result = -EINTR;
    for (unsigned i = 0; i < line->options.jobs; i++) {
        if (line->jobs[i].pid > 0)
            (void)kill(line->jobs[i].pid, SIGTERM);
    }
}

/* Waits until a device comes or one has ended, or a signal has come, and deals with it. */
static void events_handle(Line *line)
{
    struct pollfd polled[2 + JOBS_MAX] = {{.fd = -1, .events = POLLIN}};
    struct pollfd *const signals = &polled[1 + line->options.jobs];

    *signals = (struct pollfd){.fd = line->result == 0 ? line->signals : -1, .events = POLLIN};
    if (line->result == 0 && !line->reader.ended && line->queued < QUEUE_MAX)
        polled[0].fd = line->reader.fd;
    for (unsigned i = 0; i < line->options.jobs; i++) {
        polled[1 + i] = (struct pollfd){
            .fd = line->jobs[i].pid > 0 ? line->jobs[i].pidfd : -1,
            .events = POLLIN,
        };
    }
    if (poll(polled, 2 + line->options.jobs, -1) < 0)
        return; /* a signal; it is asked again */
    if (signals->revents != 0)
        line_interrupt(line);
    if (polled[0].revents != 0) {
        int r = line_reader_fill(&line->reader);

        if (r < 0) {
            complain("the list of devices can't be read: %s", strerror(-r));
            line->result = r;
        }
    }
    for (unsigned i = 0; i < line->options.jobs; i++) {
        if (polled[1 + i].revents != 0)
            job_end(line, &line->jobs[i]);
    }
}

/* After an error of the line's own, those that have begun are waited for, and no other begun. */
static void devices_provision(Line *line)
{
    for (;;) {
        lines_take(line);
        jobs_start(line);
        progress_draw(&line->progress);
        if (line->working == 0 && (line->result < 0 || (line->reader.ended && line->queued == 0)))
            break;
        events_handle(line);
    }
    progress_clear(&line->progress);
}

static int options_check(const ProvisionOptions *options, DeviceListFormat *format)
{
    if (!provision_profile_has_serial(options->state_dir)) {
        complain("the devices' files need a folder each: put " PROFILE_SERIAL " into state-dir of "
                 "the profile's [device], or into --state-dir");
        return -EINVAL;
    }
    *format = DEVICE_LIST_FQDNS;
    return options->format ? device_list_format_from_name(options->format, format) : 0;
}

/* They are held back until the end of main(), and end us there. */
static int signals_open(Line *line)
{
    sigset_t ending, before;

    signals_hold(&before);
    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGINT);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGHUP);
    line->signals = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
    if (line->signals >= 0)
        return 0;
    const int error = errno;
    complain("signals can't be waited for: %s", strerror(error));
    return -error;
}

static int line_open(Line *line)
{
    const char *path = line->options.file;

    line->reader.fd = STDIN_FILENO;
    if (path && strcmp(path, "-") != 0) {
        line->reader.fd = open(path, O_RDONLY | O_CLOEXEC);
        if (line->reader.fd < 0) {
            const int error = errno;
            complain("%s can't be read: %s", path, strerror(error));
            return -error;
        }
    }
    progress_init(&line->progress);
    return record_file_open(line->options.output, &line->roster, &line->list, &line->records);
}

int provision_line(const ProvisionOptions *options)
{
    _cleanup_(line_freep) Line *line = NULL;
    DeviceListFormat format;
    double begun;
    int r = options_check(options, &format);

    if (r < 0)
        return r;
    line = calloc(1, sizeof(*line));
    if (!line)
        return -ENOMEM;
    line->options = *options;
    line->options.roster = &line->roster;
    line->records = line->signals = -1;
    r = line_open(line);
    if (r == 0)
        r = signals_open(line);
    if (r < 0)
        return r;
    begun = now();
    devices_provision(line);
    tally_print(&line->tally, now() - begun, stderr);
    r = line->result;
    if (r == 0 && options->list)
        r = device_list_write(&line->list, format, options->list);
    if (r == 0 && (line->tally.failed > 0 || line->tally.refused > 0))
        r = -EBADMSG;
    return r;
}
