/* Which Child SAs are owed, as a function of what is there and what was asked for when. */
#include "ikeclient/wishes.h"

#include "base/log.h"
#include "ikeclient/backoff.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { USEC_PER_MS = 1000, AGAIN_MOST_MS = 300000, AGAIN_FIRST = 1 };

/* One that was there for so long is asked for at once when it goes. */
#define LASTED_USEC (UINT64_C(60) * 1000 * USEC_PER_MS)
/* What the SeGW refused is a matter of configuration, and it has to be told of a change by nobody.
 */
#define REFUSED_USEC (UINT64_C(300) * 1000 * USEC_PER_MS)

static uint64_t now_usec(const IkeSa *sa)
{
    uint64_t now = 0;

    (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &now);
    return now;
}

static bool is_missing(const IkeSa *sa, unsigned place)
{
    return place < CHILD_NAMED + sa->config->n_children && !child_sas_at(sa->children, place);
}

static bool has_any(const IkeSa *sa)
{
    for (const ChildSa *child = sa->children; child; child = child->next) {
        if (child_sa_is_current(sa->children, child))
            return true;
    }
    return false;
}

unsigned wishes_owed(const IkeSa *sa, uint64_t now)
{
    if (!has_any(sa))
        return CHILD_PLACES;
    for (unsigned place = 0; place < CHILD_PLACES; place++) {
        if (is_missing(sa, place) && now >= sa->wishes[place].not_before)
            return place;
    }
    return CHILD_PLACES;
}

uint64_t wishes_due(const IkeSa *sa, uint64_t now)
{
    uint64_t due = UINT64_MAX;

    for (unsigned place = 0; has_any(sa) && place < CHILD_PLACES; place++) {
        const uint64_t when = sa->wishes[place].not_before;
        if (is_missing(sa, place) && when > now && when < due)
            due = when;
    }
    return due;
}

const ChildConfig *wishes_config(const IkeSa *sa, unsigned place)
{
    return place < CHILD_NAMED ? NULL : &sa->config->children[place - CHILD_NAMED];
}

const char *wishes_text(const IkeSa *sa, unsigned place, char *text)
{
    const ChildConfig *wish = wishes_config(sa, place);

    (void)snprintf(text, WISH_TEXT_SIZE, "[child%s%s]", wish ? " " : "", wish ? wish->name : "");
    return text;
}

void wishes_asked(IkeSa *sa, unsigned place)
{
    ChildWish *wish = &sa->wishes[place];
    const uint64_t now = now_usec(sa);
    uint32_t random = 0;

    if (wish->made != 0 && now >= wish->made + LASTED_USEC)
        wish->tries = 0;
    wish->made = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        random = UINT32_MAX;
    wish->not_before =
        now + backoff_ms(AGAIN_FIRST + wish->tries, AGAIN_MOST_MS, random) * USEC_PER_MS;
    if (wish->tries < BACKOFF_FAILURES_MAX)
        wish->tries++;
}

void wishes_made(IkeSa *sa, unsigned place)
{
    sa->wishes[place].made = now_usec(sa);
    sa->wishes[place].reason.text[0] = 0;
}

void wishes_refused(IkeSa *sa, unsigned place, const char *format, ...)
{
    ChildWish *wish = &sa->wishes[place];
    char text[WISH_TEXT_SIZE];
    va_list arguments;
    Reason reason;

    va_start(arguments, format);
    reason_set_v(&reason, 0, format, arguments);
    va_end(arguments);
    if (strcmp(reason.text, wish->reason.text) != 0) {
        log_warning("%s can't be had, and is asked for again in %u minutes: %s",
                    wishes_text(sa, place, text),
                    (unsigned)(REFUSED_USEC / 1000 / USEC_PER_MS / 60), reason.text);
    }
    wish->reason = reason;
    wish->not_before = now_usec(sa) + REFUSED_USEC;
    sa->handlers->changed(sa->userdata, sa);
}
