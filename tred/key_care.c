/* Has the next signature ready ahead of the next connect. */
#include "tred/key_care.h"

#include "base/log.h"
#include "base/rest.h"

#include <string.h>

enum {
    USEC_PER_SEC = 1000000,
    /* After a signature, before the next one is prepared: IKE_AUTH is over then, and the TPM and we
     * are idle. */
    KEY_CARE_USEC = 50 * 1000,
    KEY_CARE_ACCURACY_USEC = 10 * 1000, /* sd-event's own is 250 ms */
};

bool daemon_is_serving(const Daemon *daemon)
{
    return daemon->identity && identity_state_serves(daemon->state);
}

bool daemon_has_unsigned(const Daemon *daemon)
{
    for (const Caller *caller = daemon->callers; caller; caller = caller->next) {
        for (const CallerExchange *held = caller->exchanges; held; held = held->next) {
            if (exchange_is_unsigned(held->exchange))
                return true;
        }
    }
    return false;
}

static void key_care_in(Daemon *daemon, uint64_t usec)
{
    int r = sd_event_source_set_time_relative(daemon->key_care, usec);

    if (r >= 0)
        r = sd_event_source_set_enabled(daemon->key_care, SD_EVENT_ONESHOT);
    if (r < 0)
        log_warning("The device key can't be looked after: %s", strerror(-r));
}

/* Has the next signature ready ahead of the next connect; and where that does not keep, anew. */
static int on_key_care(sd_event_source *source, uint64_t usec, void *userdata)
{
    Daemon *daemon = userdata;
    SigningKey *key;

    (void)source, (void)usec;
    if (!daemon_is_serving(daemon))
        return 0;
    key = daemon->identity->key;
    if (daemon->key_is_old && !daemon_has_unsigned(daemon))
        signing_key_rest(key);
    signing_key_prepare(key);
    daemon->key_is_old = key->ready_seconds > 0;
    if (daemon->key_is_old)
        key_care_in(daemon, (uint64_t)key->ready_seconds * USEC_PER_SEC);
    return 0;
}

static int on_ahead(sd_event_source *source, void *userdata)
{
    Daemon *daemon = userdata;

    (void)source;
    if (daemon_is_serving(daemon))
        exchange_prepare(&daemon->exchange_context);
    return 0;
}

void daemon_prepare_exchange(Daemon *daemon)
{
    int r = 0;

    rest_after(daemon->rest);
    if (daemon->ahead) {
        r = sd_event_source_set_enabled(daemon->ahead, SD_EVENT_ONESHOT);
    } else {
        r = sd_event_add_defer(daemon->event, &daemon->ahead, on_ahead, daemon);
        if (r >= 0)
            r = sd_event_source_set_priority(daemon->ahead, SD_EVENT_PRIORITY_IDLE);
    }
    if (r < 0)
        log_warning("No key pair is made ahead: %s", strerror(-r));
}

void daemon_key_wanted(Daemon *daemon)
{
    if (daemon_is_serving(daemon))
        signing_key_prepare(daemon->identity->key);
}

bool daemon_is_ending(const Daemon *daemon)
{
    const int state = sd_event_get_state(daemon->event);

    return state == SD_EVENT_EXITING || state == SD_EVENT_FINISHED;
}

void daemon_key_released(Daemon *daemon)
{
    int r = 0;

    if (daemon_is_ending(daemon))
        return;
    daemon->key_is_old = false;
    rest_after(daemon->rest);
    if (!daemon->key_care) {
        r = sd_event_add_time_relative(daemon->event, &daemon->key_care, CLOCK_BOOTTIME,
                                       KEY_CARE_USEC, KEY_CARE_ACCURACY_USEC, on_key_care, daemon);
        if (r < 0)
            log_warning("The device key can't be looked after: %s", strerror(-r));
        return;
    }
    key_care_in(daemon, KEY_CARE_USEC);
}
