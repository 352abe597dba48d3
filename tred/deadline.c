/* Closes exchanges whose peer is not verified in time: whoever begins exchanges and leaves them
 * holds keys, ports and room that others need. */
#include "tred/deadline.h"

#include "tred/bus.h"

enum { USEC_PER_SEC = 1000000, BUSY_SECONDS = 5 };

/* Neither lasts: the TPM and the verifier have time limits of their own. */
static bool waits_for_us(const CallerExchange *held)
{
    return exchange_state(held->exchange) == EXCHANGE_VERIFYING ||
           exchange_is_signing(held->exchange);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
    CallerExchange *held = userdata;

    (void)usec;
    if (exchange_state(held->exchange) == EXCHANGE_VERIFIED ||
        exchange_state(held->exchange) == EXCHANGE_REPLACED)
        return 0;
    if (waits_for_us(held)) {
        int r = sd_event_source_set_time_relative(source, (uint64_t)BUSY_SECONDS * USEC_PER_SEC);

        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    bus_exchange_closed(held, "Its peer was not verified in time. Begin another exchange");
    caller_exchange_free(held);
    return 0;
}

int deadline_set(CallerExchange *held)
{
    const Daemon *daemon = held->caller->daemon;
    int r = sd_event_add_time_relative(daemon->event, &held->deadline, CLOCK_BOOTTIME,
                                       daemon->config.verify_seconds * USEC_PER_SEC, USEC_PER_SEC,
                                       on_deadline, held);

    return r < 0 ? r : 0;
}
