/* What time it is at least, and telling the TPM. */
#include "tred/clock.h"

#include "base/log.h"
#include "base/reason.h"
#include "policy/lastknowntime.h"
#include "tpm/tpm.h"
#include "tred/bus.h"
#include "tred/key_care.h"
#include "tred/work.h"

#include <errno.h>
#include <string.h>
#include <sys/timex.h>

enum {
    USEC_PER_SEC = 1000000,
    PERIOD_SECONDS = 3600,
    UNSYNCHRONISED_SECONDS = 60, /* a clock is set soon after the network is up, or not at all */
    GOING_ON_SECONDS = 1,
    POSTPONED_SECONDS = 5,
    POSTPONED_MAX = 12, /* a client that leaves an exchange hanging is not waited for for ever */
    DAYS_AT_ONCE = 8,   /* each is a write to the TPM's NV memory, of some 10 ms */
};

time_t clock_now(const Daemon *daemon)
{
    const time_t now = time(NULL);

    return now < daemon->last_known ? daemon->last_known : now;
}

void clock_take(Daemon *daemon, time_t last_known)
{
    if (last_known > daemon->last_known)
        daemon->last_known = last_known;
    if (time(NULL) < daemon->last_known) {
        log_warning("The clock is behind the TPM's last-known time, and certificates are judged by "
                    "that. Set the clock (timedatectl)");
    }
}

/* Does the kernel say that something keeps the clock right? 1, 0, or -errno: asking takes no right,
 * but the sandbox of tred.service has no system call that could set the clock, this one among them.
 */
static int is_synchronised(void)
{
    struct timex timex = {.modes = 0};

    if (adjtimex(&timex) == -1)
        return -errno;
    return !(timex.status & STA_UNSYNC);
}

/* The last-known time is kept and lies before today. */
static bool is_due(const Daemon *daemon)
{
    return daemon->identity && daemon->identity->last_known != 0 &&
           time(NULL) / LAST_KNOWN_DAY > daemon->last_known / LAST_KNOWN_DAY;
}

/* The TPM's commands can't be interrupted, and an exchange on its way to SignAuth is to wait for
 * one alone. */
static bool is_postponed(Daemon *daemon)
{
    if (daemon_has_unsigned(daemon) && daemon->clock_postponed++ < POSTPONED_MAX)
        return true;
    daemon->clock_postponed = 0;
    return false;
}

typedef struct Record {
    int result;
    time_t last_known;
    Reason reason;
} Record;

static void timer_set(Daemon *daemon, unsigned seconds);

static void record_run(Work *work)
{
    Record *record = work_data(work);
    Daemon *daemon = work_daemon(work);

    record->result = -ENODEV;
    if (!daemon->tpm)
        return;
    record->result = last_known_time_advance(daemon->tpm, time(NULL), DAYS_AT_ONCE,
                                             &record->last_known, &record->reason);
}

static void record_end(Work *work)
{
    const Record *record = work_data(work);
    Daemon *daemon = work_daemon(work);

    daemon->clock_work = NULL;
    if (record->result < 0) {
        if (record->reason.text[0] != '\0')
            log_warning("The last-known time stays where it is: %s", record->reason.text);
        timer_set(daemon, PERIOD_SECONDS);
        return;
    }
    daemon->last_known = record->last_known;
    bus_manager_changed(daemon);
    timer_set(daemon, is_due(daemon) ? GOING_ON_SECONDS : PERIOD_SECONDS);
}

static const WorkClass record_class = {.run = record_run, .end = record_end, .free = free};

/* One step, as work; its end sets the timer anew. */
static void record(Daemon *daemon)
{
    Record *record;

    if (is_postponed(daemon)) {
        timer_set(daemon, POSTPONED_SECONDS);
        return;
    }
    record = calloc(1, sizeof(*record));
    if (!record || work_add(daemon, &record_class, record, &daemon->clock_work) < 0) {
        timer_set(daemon, PERIOD_SECONDS);
        return;
    }
    work_want(daemon->clock_work);
    work_begin(daemon);
}

static void timer_set(Daemon *daemon, unsigned seconds)
{
    int r = sd_event_source_set_time_relative(daemon->clock, (uint64_t)seconds * USEC_PER_SEC);

    if (r >= 0)
        r = sd_event_source_set_enabled(daemon->clock, SD_EVENT_ONESHOT);
    if (r < 0)
        log_warning("The last-known time is no longer recorded: %s", strerror(-r));
}

static int on_timedated(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    Daemon *daemon = userdata;
    int synchronised = 0;

    (void)error;
    if (!sd_bus_message_is_method_error(reply, NULL) &&
        sd_bus_message_read(reply, "v", "b", &synchronised) > 0 && synchronised && is_due(daemon) &&
        !daemon->clock_work)
        record(daemon);
    return 0;
}

/* systemd-timedated asks the kernel for us. */
static void timedated_ask(Daemon *daemon)
{
    int r = sd_bus_call_method_async(daemon->bus, NULL, "org.freedesktop.timedate1",
                                     "/org/freedesktop/timedate1",
                                     "org.freedesktop.DBus.Properties", "Get", on_timedated, daemon,
                                     "ss", "org.freedesktop.timedate1", "NTPSynchronized");

    if (r < 0)
        log_debug("systemd-timedated can't be asked: %s", strerror(-r));
}

static void record_if_synchronised(Daemon *daemon)
{
    int r = is_synchronised();

    if (r > 0) {
        record(daemon);
        return;
    }
    if (r < 0)
        timedated_ask(daemon);
    timer_set(daemon, UNSYNCHRONISED_SECONDS);
}

static int on_timer(sd_event_source *timer, uint64_t usec, void *userdata)
{
    Daemon *daemon = userdata;

    (void)timer, (void)usec;
    if (daemon->clock_work) /* its end sets the timer */
        return 0;
    if (!is_due(daemon)) {
        timer_set(daemon, daemon->identity ? PERIOD_SECONDS : GOING_ON_SECONDS);
    } else if (daemon->config.clock_record == CLOCK_RECORD_ALWAYS) {
        record(daemon);
    } else {
        record_if_synchronised(daemon);
    }
    return 0;
}

int clock_start(Daemon *daemon)
{
    int r;

    if (daemon->config.clock_record == CLOCK_RECORD_OFF)
        return 0;
    r = sd_event_add_time_relative(daemon->event, &daemon->clock, CLOCK_BOOTTIME, 0, USEC_PER_SEC,
                                   on_timer, daemon);
    if (r >= 0)
        r = sd_event_source_set_priority(daemon->clock, SD_EVENT_PRIORITY_IDLE);
    if (r < 0)
        log_error("The last-known time can't be recorded: %s", strerror(-r));
    return r < 0 ? r : 0;
}
