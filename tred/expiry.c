/* Until when do the certificates that an exchange rests on hold, and what happens then? */
#include "tred/expiry.h"

#include "base/log.h"
#include "crypto/openssl.h"
#include "tred/bus.h"

#include <inttypes.h>
#include <openssl/x509.h>

enum { USEC_PER_SEC = 1000000 };

static void x509_freep(X509 **certificate)
{
    X509_free(*certificate);
}

/* When our own chain's first certificate expires; 0 if none can be read. */
static time_t own_expiry(const Identity *identity)
{
    time_t earliest = 0;

    for (size_t i = 0; identity && i < identity->n_certificates; i++) {
        const unsigned char *der = identity->certificates[i].data;
        _cleanup_(x509_freep) X509 *certificate =
            d2i_X509(NULL, &der, (long)identity->certificates[i].size);
        struct tm tm;

        if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1)
            continue;
        if (earliest == 0 || timegm(&tm) < earliest)
            earliest = timegm(&tm);
    }
    return earliest;
}

static time_t expiry_time(const CallerExchange *held)
{
    const time_t peer = exchange_peer_expires(held->exchange);
    const time_t own = own_expiry(held->caller->daemon->identity);

    if (peer == 0)
        return 0;
    return own != 0 && own < peer ? own : peer;
}

static int on_end(sd_event_source *source, uint64_t usec, void *userdata)
{
    CallerExchange *held = userdata;
    Caller *caller = held->caller;

    (void)source, (void)usec;
    bus_exchange_closed(held, "A certificate that it rests on has expired. Authenticate anew.");
    caller_exchange_free(held);
    caller_release(caller);
    return 0;
}

static int timer_set(CallerExchange *held, time_t when, sd_event_time_handler_t handler)
{
    const uint64_t usec = when > 0 ? (uint64_t)when * USEC_PER_SEC : 0;

    held->expiry = sd_event_source_disable_unref(held->expiry);
    /* By the wall clock, as certificates are: a clock that is set moves the end, too. */
    return sd_event_add_time(held->caller->daemon->event, &held->expiry, CLOCK_REALTIME, usec,
                             USEC_PER_SEC, handler, held);
}

static int on_notice(sd_event_source *source, uint64_t usec, void *userdata)
{
    CallerExchange *held = userdata;
    const time_t end = held->expires;

    (void)source, (void)usec;
    bus_exchange_expires_soon(held, end);
    return timer_set(held, end, on_end);
}

int expiry_watch(CallerExchange *held)
{
    held->expires = expiry_time(held);
    if (held->expires == 0)
        return 0;
    return timer_set(held, held->expires - EXPIRY_NOTICE_SECONDS, on_notice);
}
