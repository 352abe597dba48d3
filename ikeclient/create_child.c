/* Which Child SAs are owed, as a function of what is there and what was asked for when; and the
 * task that asks for one beside that of IKE_AUTH. */
#include "ikeclient/create_child.h"

#include "ikeclient/informational.h"
#include "ikeclient/pacing.h"
#include "ikeclient/rekey.h"

#include <errno.h>
#include <limits.h>
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

unsigned configured_child_owed(const IkeSa *sa, uint64_t now)
{
    if (!has_any(sa))
        return CHILD_PLACES;
    for (unsigned place = 0; place < CHILD_PLACES; place++) {
        if (is_missing(sa, place) && now >= sa->configured[place].not_before)
            return place;
    }
    return CHILD_PLACES;
}

uint64_t configured_child_due(const IkeSa *sa, uint64_t now)
{
    uint64_t due = UINT64_MAX;

    for (unsigned place = 0; has_any(sa) && place < CHILD_PLACES; place++) {
        const uint64_t when = sa->configured[place].not_before;
        if (is_missing(sa, place) && when > now && when < due)
            due = when;
    }
    return due;
}

/* What is configured for that place: NULL for that of IKE_AUTH. */
static const ChildConfig *child_config_at(const IkeSa *sa, unsigned place)
{
    return place < CHILD_NAMED ? NULL : &sa->config->children[place - CHILD_NAMED];
}

uint64_t child_config_dscps(const IkeSa *sa, unsigned place)
{
    const bool configured = place >= CHILD_NAMED && place < CHILD_NAMED + sa->config->n_children;

    return configured ? child_config_at(sa, place)->dscps : 0;
}

int child_config_set_dscps(Task *task, unsigned place, uint32_t spi_in, size_t *awaited)
{
    TreCall call = {.method = TRE_SET_DSCPS,
                    .sends = {.spi_in = spi_in, .dscps = child_config_dscps(task->sa, place)}};

    if (call.sends.dscps == 0)
        return 0;
    (*awaited)++;
    return task_call(task, &call);
}

enum { CHILD_CONFIG_TEXT_SIZE = CONFIG_NAME_SIZE + sizeof("[child ]") };

/* "[child NAME]" into `text` (CHILD_CONFIG_TEXT_SIZE octets); returns `text`. */
static const char *child_config_text(const IkeSa *sa, unsigned place, char *text)
{
    const ChildConfig *config = child_config_at(sa, place);

    (void)snprintf(text, CHILD_CONFIG_TEXT_SIZE, "[child%s%s]", config ? " " : "",
                   config ? config->name : "");
    return text;
}

/* One is asked for now. Should it not come, or go again soon, the next time is later each time. */
static void configured_child_asked(IkeSa *sa, unsigned place)
{
    ConfiguredChild *child = &sa->configured[place];
    const uint64_t now = now_usec(sa);
    uint32_t random = 0;

    if (child->made != 0 && now >= child->made + LASTED_USEC)
        child->tries = 0;
    child->made = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        random = UINT32_MAX;
    child->not_before =
        now + backoff_ms(AGAIN_FIRST + child->tries, AGAIN_MOST_MS, random) * USEC_PER_MS;
    if (child->tries < BACKOFF_FAILURES_MAX)
        child->tries++;
}

/* It is there. */
static void configured_child_made(IkeSa *sa, unsigned place)
{
    sa->configured[place].made = now_usec(sa);
    sa->configured[place].reason.text[0] = 0;
}

void configured_child_refused(IkeSa *sa, unsigned place, const char *format, ...)
{
    ConfiguredChild *child = &sa->configured[place];
    char text[CHILD_CONFIG_TEXT_SIZE];
    va_list arguments;
    Reason reason;

    va_start(arguments, format);
    reason_set_v(&reason, 0, format, arguments);
    va_end(arguments);
    if (strcmp(reason.text, child->reason.text) != 0) {
        report_line(sa->config, LOG_WARNING,
                    "%s can't be had, and is asked for again in %u minutes: %s",
                    child_config_text(sa, place, text),
                    (unsigned)(REFUSED_USEC / 1000 / USEC_PER_MS / 60), reason.text);
    }
    child->reason = reason;
    child->not_before = now_usec(sa) + REFUSED_USEC;
    sa->handlers->changed(sa->userdata, sa);
}

/* ---- the task ---- */

typedef struct CreateChildTask {
    Task task; /* first */
    unsigned place;
    uint16_t group;
    size_t awaited; /* answers of tred's before the request can be made */
    uint32_t spi_in;
    CreateMaterial material;
    ChildOffer offer;
    CreateAnswer answer;
} CreateChildTask;

/* The SPI that tred allocated for nothing. */
static void give_back(const CreateChildTask *create)
{
    const IkeSa *sa = create->task.sa;
    const TreCall call = {
        .method = TRE_REMOVE_CHILD, .exchange = sa->exchange, .spi_in = create->spi_in};

    if (create->spi_in != 0)
        (void)tre_call(sa->tre, &call, NULL, NULL);
}

static int create_begin(Task *task)
{
    CreateChildTask *create = (CreateChildTask *)task;
    IkeSa *sa = task->sa;
    TreCall allocate = {.method = TRE_ALLOCATE_SPI};
    uint64_t now = 0;

    (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &now);
    create->place = configured_child_owed(sa, now);
    if (create->place == CHILD_PLACES)
        return task_done(task);
    configured_child_asked(sa, create->place);
    create->group = rekey_group(sa);
    create->awaited = 2;
    TreCall prepare = {.method = TRE_PREPARE_CREATE_CHILD, .group = create->group};
    int r = task_call(task, &allocate);
    return r < 0 ? r : task_call(task, &prepare);
}

/* One answer more: the request is made once both are there. */
static int create_go_on(CreateChildTask *create)
{
    IkeSa *sa = create->task.sa;
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    if (--create->awaited > 0)
        return 0;
    child_offer_init_another(&create->offer, sa->config, child_config_at(sa, create->place),
                             &sa->assigned, create->group, create->spi_in);
    if (!sa->identity.stronger_child)
        (void)proposals_limit_key(&create->offer.sa, proposals_suite_key(sa->suite));
    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    create_child_encode(&create->material, 0, &create->offer, &chain);
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r : task_seal(&create->task, IKE_CREATE_CHILD_SA, chain.first, payloads);
}

static int create_take_spi(Task *task, const TreReply *reply)
{
    CreateChildTask *create = (CreateChildTask *)task;

    create->spi_in = reply->spi_in;
    if (create->spi_in == 0)
        return -EPROTO;
    int r = child_config_set_dscps(task, create->place, create->spi_in, &create->awaited);
    return r < 0 ? r : create_go_on(create);
}

static int create_set(Task *task, const TreReply *reply)
{
    (void)reply;
    return create_go_on((CreateChildTask *)task);
}

static int create_take_material(Task *task, const TreReply *reply)
{
    CreateChildTask *create = (CreateChildTask *)task;

    int r = create_material_take(&create->material, create->group, reply);
    return r < 0 ? r : create_go_on(create);
}

static void create_sent(Task *task)
{
    char text[CHILD_CONFIG_TEXT_SIZE];

    report_line(task->sa->config, LOG_INFO, "asking the SeGW for the Child SA of %s",
                child_config_text(task->sa, ((const CreateChildTask *)task)->place, text));
}

/* What the response grants receives as soon as tred has opened it, since a peer may send at once.
 */
static size_t create_along(const Task *task, TreCall *calls)
{
    calls[0] =
        (TreCall){.method = TRE_ADD_CHILD, .spi_in = ((const CreateChildTask *)task)->spi_in};
    return 1;
}

static int create_answered(Task *task, const TreReply *reply)
{
    CreateChildTask *create = (CreateChildTask *)task;
    IkePayloads payloads;

    if (ike_payloads_decode(reply->opened.first, reply->opened.payloads, &payloads, NULL) != 0) {
        create->answer = (CreateAnswer){.verdict = CREATE_INVALID, .why = "what does not parse"};
    } else {
        create_child_answer_judge(&create->offer, &create->material, &task->sa->assigned, false,
                                  &payloads, &create->answer);
    }
    return 0;
}

/* The SeGW is busy, or wants another group: it is asked again soon. */
static void take_refusal(CreateChildTask *create)
{
    const CreateAnswer *answer = &create->answer;
    IkeSa *sa = create->task.sa;

    if (rekey_takes_group(sa, answer, create->group, &sa->groups.child)) {
        sa->configured[create->place].not_before = 0;
    } else if (answer->error != IKE_NOTIFY_TEMPORARY_FAILURE) {
        configured_child_refused(sa, create->place, "the SeGW refused with %s (%u): %s",
                                 ike_notify_name(answer->error), answer->error,
                                 advice_for(answer->error));
    }
}

static int add(const CreateChildTask *create)
{
    const NewChild new = {.spi_in = create->spi_in,
                          .place = create->place,
                          .answer = &create->answer.child,
                          .lowest = &create->answer.lowest};

    return rekey_add_child(create->task.sa, &new);
}

/* The SeGW has made it, and takes it for ours: it is told by a Delete. */
static int take_back(const CreateChildTask *create)
{
    int r = add(create);
    ChildSa *child = child_sas_find(create->task.sa->children, create->spi_in);

    if (r == 0 && child)
        child->unwanted = true;
    return r;
}

static int create_child_added(Task *task, const TreReply *reply)
{
    CreateChildTask *create = (CreateChildTask *)task;
    IkeSa *sa = task->sa;
    int r = 0;
    (void)reply;

    switch (create->answer.verdict) {
    case CREATE_GRANTED:
        rekey_succeeded(sa);
        configured_child_made(sa, create->place);
        r = add(create);
        break;
    case CREATE_INVALID:
        r = take_back(create);
        configured_child_refused(sa, create->place, "the SeGW's CREATE_CHILD_SA response has %s",
                                 create->answer.why);
        break;
    case CREATE_REFUSED:
        give_back(create);
        take_refusal(create);
        break;
    }
    return r < 0 ? r : task_done(task);
}

/* There is none, if the peer refused; or tred won't have it. */
static int create_child_refused(Task *task, const TreReply *reply)
{
    CreateChildTask *create = (CreateChildTask *)task;
    int r = 0;

    if (create->answer.verdict == CREATE_REFUSED) {
        give_back(create);
        take_refusal(create);
    } else {
        r = take_back(create);
        configured_child_refused(task->sa, create->place, "tred did not take it (%s): %s",
                                 reply->error, reply->text);
    }
    return r < 0 ? r : task_done(task);
}

static int create_not_prepared(Task *task, const TreReply *reply)
{
    CreateChildTask *create = (CreateChildTask *)task;

    give_back(create);
    configured_child_refused(task->sa, create->place, "tred does not prepare it (%s): %s",
                             reply->error, reply->text);
    return task_done(task);
}

const TaskKind create_child_task = {
    .name = "request for a Child SA",
    .size = sizeof(CreateChildTask),
    .tries_max = UINT_MAX,
    .begin = create_begin,
    .done = {[TRE_ALLOCATE_SPI] = create_take_spi,
             [TRE_SET_DSCPS] = create_set,
             [TRE_PREPARE_CREATE_CHILD] = create_take_material,
             [TRE_ADD_CHILD] = create_child_added},
    .refused = {[TRE_ALLOCATE_SPI] = create_not_prepared,
                [TRE_SET_DSCPS] = create_not_prepared,
                [TRE_PREPARE_CREATE_CHILD] = create_not_prepared,
                [TRE_ADD_CHILD] = create_child_refused},
    .sent = create_sent,
    .along = create_along,
    .response = create_answered,
    .unanswered = task_found_silence,
};
