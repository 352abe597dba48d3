/* What time it is at least, and telling the TPM. */
#include "tred/clock.h"

#include "base/log.h"
#include "base/messages.h"
#include "base/reason.h"
#include "tred/bus.h"
#include "tred/device.h"
#include "tred/key_care.h"
#include "tred/work.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
    USEC_PER_SEC = 1000000,
    PERIOD_SECONDS = 3600, /* between two steps; within it what has passed is counted once */
    SOON_SECONDS = 1,
    POSTPONED_SECONDS = 5,
    POSTPONED_MAX = 12, /* a client that leaves an exchange hanging is not waited for for ever */
    SECONDS_PER_DAY = 24 * 3600,
};

time_t clock_now(const Daemon *daemon)
{
    const time_t now = time(NULL);

    return now < daemon->last_known ? daemon->last_known : now;
}

void clock_take(Daemon *daemon, time_t last_known, unsigned correction_days)
{
    if (correction_days != daemon->correction_days) {
        daemon->last_known = 0;
        daemon->vouched = 0;
    }
    daemon->correction_days = correction_days;
    if (last_known > daemon->last_known)
        daemon->last_known = last_known;
    if (time(NULL) < daemon->last_known) {
        const LogFields fields = {.message_id = MESSAGE_CLOCK_BEHIND};

        log_fields(LOG_WARNING, &fields,
                   "The clock is behind the TPM's last-known time, and certificates are judged by "
                   "that. Set the clock (timedatectl); if it is right, have the operator correct "
                   "the last-known time (tred-nv(7))");
    }
}

static bool is_kept(const Daemon *daemon)
{
    return daemon->identity && daemon->identity->last_known != 0;
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
    bool moved;
    time_t last_known;
    unsigned correction_days;
    Reason reason;
} Record;

static void timer_set(Daemon *daemon, unsigned seconds);

static void on_advanced(const DeviceAnswer *answer, Bytes certificates, Bytes anchors,
                        void *userdata)
{
    Record *record = work_data(userdata);

    (void)certificates, (void)anchors;
    record->result = answer->result;
    record->reason = answer->reason;
    record->moved = answer->result == 0 && answer->moved;
    record->last_known = answer->last_known - (time_t)record->correction_days * SECONDS_PER_DAY;
    work_ended(userdata);
}

static int record_ask(Work *work)
{
    Daemon *daemon = work_daemon(work);
    Record *record = work_data(work);

    if (!is_kept(daemon))
        return -ENODEV;
    record->correction_days = daemon->identity->correction_days;
    return device_advance(daemon->device, daemon->vouched, record->correction_days, on_advanced,
                          work);
}

static void record_end(Work *work)
{
    const Record *record = work_data(work);
    Daemon *daemon = work_daemon(work);

    daemon->clock_work = NULL;
    timer_set(daemon, PERIOD_SECONDS);
    if (record->result < 0 && record->reason.text[0] != '\0')
        log_warning("The last-known time stays where it is: %s", record->reason.text);
    if (!record->moved)
        return;
    if (record->last_known > daemon->last_known)
        daemon->last_known = record->last_known;
    daemon->clock_moved = daemon_now(daemon);
    log_info("The TPM's last-known time is day %" PRId64
             " after 1970 now: a SeGW's evidence vouches "
             "for it, and what has passed since",
             (int64_t)(daemon->last_known / SECONDS_PER_DAY));
    bus_manager_changed(daemon);
}

static const WorkClass record_class = {.begin = record_ask, .end = record_end, .free = free};

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

/* The bound in rate: of what it was just moved by, no more before an hour has passed. */
static bool was_just_moved(const Daemon *daemon)
{
    return daemon->clock_moved != 0 &&
           daemon_now(daemon) - daemon->clock_moved < (uint64_t)PERIOD_SECONDS * USEC_PER_SEC;
}

void clock_vouched(Daemon *daemon, time_t when)
{
    if (when > daemon->vouched)
        daemon->vouched = when;
    if (daemon->clock && !daemon->clock_work && !was_just_moved(daemon))
        timer_set(daemon, SOON_SECONDS);
}

static int on_timer(sd_event_source *timer, uint64_t usec, void *userdata)
{
    Daemon *daemon = userdata;

    (void)timer, (void)usec;
    if (daemon->clock_work) /* its end sets the timer */
        return 0;
    if (is_kept(daemon)) {
        record(daemon);
    } else {
        timer_set(daemon, daemon->identity ? PERIOD_SECONDS : SOON_SECONDS);
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
