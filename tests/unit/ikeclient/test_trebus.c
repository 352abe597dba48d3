/* What goes over the bus and what over the channel past it, and what becomes of a call whose answer
 * does not come? tred is the test's. */
#include "base/cleanup.h"
#include "base/log.h"
#include "ikeclient/trebus.h"
#include "ikeclient/tremessage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#define EXCHANGE "/org/tred/TrE1/exchange/7"
#define DAEMON "org.freedesktop.DBus"

enum { CALLS_MAX = 256, QUIET_TURNS = 20 };

/* A call that tred has got. */
typedef struct Got {
    sd_bus_message *message; /* to be answered */
    bool by_channel;
} Got;

/* What a handler of ours was told. */
typedef struct Answered {
    unsigned times;
    TreMethod method;
    TreOutcome outcome;
    char error[64], text[REASON_SIZE], state[32];
} Answered;

typedef struct Stage {
    sd_event *event;
    sd_bus *ours;
    TreBus *tre;
    sd_bus *bus, *channel; /* tred's ends */
    Got got[CALLS_MAX];
    size_t n_got;
    /* what tred's signals told */
    unsigned losses, lifetimes, expiries;
    char exchange[TRE_PATH_SIZE], reason[REASON_SIZE];
    bool of_all, hard;
    uint32_t spi_in;
    uint64_t when;
} Stage;

static void on_lost(void *userdata, const char *exchange, const char *reason)
{
    Stage *stage = userdata;

    stage->losses++;
    stage->of_all = !exchange;
    (void)snprintf(stage->exchange, sizeof(stage->exchange), "%s", exchange ? exchange : "");
    (void)snprintf(stage->reason, sizeof(stage->reason), "%s", reason);
}

static void on_lifetime(void *userdata, const char *exchange, uint32_t spi_in, bool hard)
{
    Stage *stage = userdata;

    stage->lifetimes++;
    (void)snprintf(stage->exchange, sizeof(stage->exchange), "%s", exchange);
    stage->spi_in = spi_in;
    stage->hard = hard;
}

static void on_expires(void *userdata, const char *exchange, uint64_t when)
{
    Stage *stage = userdata;

    stage->expiries++;
    (void)snprintf(stage->exchange, sizeof(stage->exchange), "%s", exchange);
    stage->when = when;
}

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Stage *stage = userdata;
    (void)unused;

    if (!sd_bus_message_is_method_call(m, NULL, NULL))
        return 0;
    assert_true(stage->n_got < CALLS_MAX);
    stage->got[stage->n_got++] =
        (Got){sd_bus_message_ref(m), sd_bus_message_get_bus(m) == stage->channel};
    return 1;
}

/* tred's end of what `fd` is. */
static sd_bus *serve(Stage *stage, int fd)
{
    sd_bus *bus = NULL;
    sd_id128_t id;

    assert_int_equal(sd_id128_randomize(&id), 0);
    assert_int_equal(sd_bus_new(&bus), 0);
    assert_int_equal(sd_bus_set_fd(bus, fd, fd), 0);
    assert_int_equal(sd_bus_set_server(bus, true, id), 0);
    assert_int_equal(sd_bus_set_anonymous(bus, true), 0);
    assert_int_equal(sd_bus_negotiate_fds(bus, true), 0);
    assert_true(sd_bus_add_filter(bus, NULL, on_call, stage) >= 0);
    assert_true(sd_bus_start(bus) >= 0);
    return bus;
}

static void turn(Stage *stage)
{
    assert_true(sd_event_run(stage->event, 1000) >= 0);
    while (sd_bus_process(stage->bus, NULL) > 0)
        ;
    while (stage->channel && sd_bus_process(stage->channel, NULL) > 0)
        ;
}

/* Until all that was sent has come. */
static void settle(Stage *stage)
{
    for (int i = 0; i < QUIET_TURNS; i++)
        turn(stage);
}

/* Waits for the next call that tred is to get, of this name; the test's own time limit ends the
 * wait for one that does not come. */
static Got await_call(Stage *stage, const char *member)
{
    while (stage->n_got == 0)
        turn(stage);
    const Got got = stage->got[0];
    memmove(stage->got, stage->got + 1, --stage->n_got * sizeof(Got));
    assert_string_equal(sd_bus_message_get_member(got.message), member);
    return got;
}

static void answer(Got got, const char *types, ...)
{
    va_list values;

    va_start(values, types);
    assert_true(sd_bus_reply_method_returnv(got.message, types, values) >= 0);
    va_end(values);
    sd_bus_message_unref(got.message);
}

static void refuse(Got got, const char *error)
{
    assert_true(sd_bus_reply_method_errorf(got.message, error, "so it is") >= 0);
    sd_bus_message_unref(got.message);
}

static void channel_grant(Stage *stage)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    answer(await_call(stage, "OpenChannel"), "h", ends[1]);
    (void)close(ends[1]);
    stage->channel = serve(stage, ends[0]);
    settle(stage);
}

/* As tred, or the bus daemon, tells all. */
static void tell(Stage *stage, const char *sender, const char *path, const char *interface,
                 const char *member, const char *types, ...)
{
    sd_bus_message *m = NULL;
    va_list values;

    assert_true(sd_bus_message_new_signal(stage->bus, &m, path, interface, member) >= 0);
    assert_true(sd_bus_message_set_sender(m, sender) >= 0);
    va_start(values, types);
    assert_true(sd_bus_message_appendv(m, types, values) >= 0);
    va_end(values);
    assert_true(sd_bus_send(stage->bus, m, NULL) >= 0);
    sd_bus_message_unref(m);
}

static void tell_owner(Stage *stage, const char *old, const char *new)
{
    tell(stage, DAEMON, "/org/freedesktop/DBus", DAEMON, "NameOwnerChanged", "sss", TRE_NAME, old,
         new);
}

static void tell_change(Stage *stage)
{
    tell(stage, TRE_NAME, TRE_PATH, DAEMON ".Properties", "PropertiesChanged", "sa{sv}as",
         TRE_MANAGER, 0, 0);
}

static void tell_closed(Stage *stage)
{
    tell(stage, TRE_NAME, EXCHANGE, TRE_EXCHANGE, "Closed", "s", "the peer was revoked");
}

static int begin(void **state)
{
    Stage *stage = test_calloc(1, sizeof(*stage));
    int ends[2];

    log_set_level(LOG_CRIT);
    assert_true(sd_event_new(&stage->event) >= 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    stage->bus = serve(stage, ends[0]);
    assert_int_equal(sd_bus_new(&stage->ours), 0);
    assert_int_equal(sd_bus_set_fd(stage->ours, ends[1], ends[1]), 0);
    assert_int_equal(sd_bus_set_anonymous(stage->ours, true), 0);
    assert_int_equal(sd_bus_negotiate_fds(stage->ours, true), 0);
    assert_true(sd_bus_start(stage->ours) >= 0);
    assert_true(sd_bus_attach_event(stage->ours, stage->event, 0) >= 0);
    assert_int_equal(tre_bus_new(stage->ours, on_lost, on_lifetime, on_expires, stage, &stage->tre),
                     0);
    *state = stage;
    return 0;
}

static int end(void **state)
{
    Stage *stage = *state;

    for (size_t i = 0; i < stage->n_got; i++)
        sd_bus_message_unref(stage->got[i].message);
    tre_bus_free(stage->tre);
    sd_bus_close_unref(stage->channel);
    sd_bus_close_unref(stage->bus);
    (void)sd_bus_detach_event(stage->ours);
    sd_bus_close_unref(stage->ours);
    sd_event_unref(stage->event);
    test_free(stage);
    return 0;
}

static void on_answered(void *userdata, const TreReply *reply)
{
    Answered *answered = userdata;

    answered->times++;
    answered->method = reply->method;
    answered->outcome = reply->outcome;
    (void)snprintf(answered->error, sizeof(answered->error), "%s", reply->error);
    (void)snprintf(answered->text, sizeof(answered->text), "%s", reply->text);
    if (reply->method == TRE_DESCRIBE && reply->outcome == TRE_DONE)
        (void)snprintf(answered->state, sizeof(answered->state), "%s", reply->description.state);
}

static int call(Stage *stage, TreMethod method, Answered *answered)
{
    const TreCall call = {.method = method,
                          .exchange =
                              method == TRE_DESCRIBE || method == TRE_BEGIN ? NULL : EXCHANGE};

    return tre_call(tre_bus_tre(stage->tre), &call, answered ? on_answered : NULL, answered);
}

static void await_answer(Stage *stage, const Answered *answered)
{
    while (answered->times == 0)
        turn(stage);
    assert_int_equal(answered->times, 1);
}

/* Not answered by what has come until now. */
static void assert_waits(Stage *stage, const Answered *answered)
{
    settle(stage);
    assert_int_equal(answered->times, 0);
}

/* ---- bus and channel ---- */

static void calls_go_over_the_channel_and_properties_are_read_over_the_bus(void **state)
{
    static const struct {
        TreMethod method;
        const char *member;
        bool by_channel;
    } calls[] = {{TRE_BEGIN, "BeginExchange", true},
                 {TRE_SIGN_AUTH, "SignAuth", true},
                 {TRE_DESCRIBE, "GetAll", false},
                 {TRE_TRAFFIC, "Get", false}};
    Stage *stage = *state;
    Answered answered = {0};

    channel_grant(stage);
    for (size_t i = 0; i < ELEMENTS(calls); i++) {
        assert_int_equal(call(stage, calls[i].method, &answered), 0);
        const Got got = await_call(stage, calls[i].member);
        assert_int_equal(got.by_channel, calls[i].by_channel);
        sd_bus_message_unref(got.message);
    }
}

static void without_a_channel_all_goes_over_the_bus(void **state)
{
    Stage *stage = *state;
    Answered answered = {0};

    refuse(await_call(stage, "OpenChannel"), SD_BUS_ERROR_NAME_HAS_NO_OWNER);
    settle(stage);
    assert_int_equal(call(stage, TRE_AGREE, &answered), 0);
    const Got got = await_call(stage, "Agree");
    assert_false(got.by_channel);
    answer(got, "s", "suite");
    await_answer(stage, &answered);
    assert_int_equal(answered.outcome, TRE_DONE);
}

static void what_is_no_channel_is_no_reason_to_give_up(void **state)
{
    Stage *stage = *state;
    Answered answered = {0};

    answer(await_call(stage, "OpenChannel"), "s", "none");
    settle(stage);
    assert_int_equal(call(stage, TRE_CLOSE, &answered), 0);
    const Got got = await_call(stage, "Close");
    assert_false(got.by_channel);
    answer(got, "");
    await_answer(stage, &answered);
}

static void a_call_whose_answer_does_not_matter_wants_none(void **state)
{
    Stage *stage = *state;

    channel_grant(stage);
    assert_int_equal(call(stage, TRE_CLOSE, NULL), 0);
    const Got got = await_call(stage, "Close");
    assert_true(got.by_channel);
    assert_int_equal(sd_bus_message_get_expect_reply(got.message), 0);
    sd_bus_message_unref(got.message);
}

/* tred would drop it. */
static void a_call_that_takes_nothing_back_is_not_made_without_an_answer(void **state)
{
    Stage *stage = *state;

    channel_grant(stage);
    assert_int_equal(call(stage, TRE_USE_CHILD, NULL), -EINVAL);
}

static void an_error_of_treds_own_is_told_at_once(void **state)
{
    Stage *stage = *state;
    Answered answered = {0};

    channel_grant(stage);
    assert_int_equal(call(stage, TRE_VERIFY_PEER, &answered), 0);
    refuse(await_call(stage, "VerifyPeer"), TRE_ERROR_PREFIX "PeerNotTrusted");
    await_answer(stage, &answered);
    assert_int_equal(answered.outcome, TRE_REFUSED);
    assert_string_equal(answered.error, "PeerNotTrusted");
    assert_int_equal(stage->n_got, 0);
}

/* Which went over another way, and may have been overtaken. */
static void any_other_error_waits_for_the_signals_that_were_sent_before_it(void **state)
{
    Stage *stage = *state;
    Answered answered = {0};

    channel_grant(stage);
    assert_int_equal(call(stage, TRE_SIGN_AUTH, &answered), 0);
    refuse(await_call(stage, "SignAuth"), SD_BUS_ERROR_UNKNOWN_OBJECT);
    assert_waits(stage, &answered);
    tell_closed(stage);
    const Got ping = await_call(stage, "Ping");
    assert_false(ping.by_channel);
    assert_false(sd_bus_message_get_auto_start(ping.message));
    answer(ping, "");
    await_answer(stage, &answered);
    assert_int_equal(stage->losses, 1);
    assert_int_equal(answered.method, TRE_SIGN_AUTH);
    assert_int_equal(answered.outcome, TRE_GONE);
    assert_string_equal(answered.error, SD_BUS_ERROR_UNKNOWN_OBJECT);
}

static void the_same_error_over_the_bus_has_overtaken_nothing(void **state)
{
    Stage *stage = *state;
    Answered answered = {0};

    refuse(await_call(stage, "OpenChannel"), SD_BUS_ERROR_NAME_HAS_NO_OWNER);
    settle(stage);
    assert_int_equal(call(stage, TRE_SIGN_AUTH, &answered), 0);
    refuse(await_call(stage, "SignAuth"), SD_BUS_ERROR_UNKNOWN_OBJECT);
    await_answer(stage, &answered);
    assert_int_equal(answered.outcome, TRE_GONE);
    assert_int_equal(stage->n_got, 0);
}

static void who_waits_on_a_channel_that_tred_closes_is_told_so_after_the_signals(void **state)
{
    Stage *stage = *state;
    Answered answered = {0}, after = {0};

    channel_grant(stage);
    assert_int_equal(call(stage, TRE_SIGN_AUTH, &answered), 0);
    sd_bus_message_unref(await_call(stage, "SignAuth").message);
    stage->channel = sd_bus_close_unref(stage->channel);
    settle(stage);
    /* sd-bus itself answers it with an error of its own; it waits for the bus all the same. */
    assert_int_equal(answered.times, 0);
    answer(await_call(stage, "Ping"), "");
    await_answer(stage, &answered);
    assert_int_equal(answered.outcome, TRE_GONE);

    assert_int_equal(call(stage, TRE_AGREE, &after), 0);
    sd_bus_message_unref(await_call(stage, "OpenChannel").message);
    const Got got = await_call(stage, "Agree");
    assert_false(got.by_channel);
    answer(got, "s", "suite");
    await_answer(stage, &after);
    assert_int_equal(after.outcome, TRE_DONE);
}

/* ---- who tred says it is ---- */

static void describe(Got got, const char *word)
{
    answer(got, "a{sv}", 1, "State", "s", word);
}

static void what_tred_is_is_asked_once_until_it_says_that_it_has_changed(void **state)
{
    Stage *stage = *state;
    Answered first = {0}, second = {0}, third = {0};

    channel_grant(stage);
    assert_int_equal(call(stage, TRE_DESCRIBE, &first), 0);
    describe(await_call(stage, "GetAll"), "ready");
    await_answer(stage, &first);
    assert_string_equal(first.state, "ready");

    assert_int_equal(call(stage, TRE_DESCRIBE, &second), 0);
    assert_int_equal(second.times, 0); /* never before the call returns */
    await_answer(stage, &second);
    assert_string_equal(second.state, "ready");
    assert_int_equal(stage->n_got, 0);

    tell_change(stage);
    settle(stage);
    assert_int_equal(call(stage, TRE_DESCRIBE, &third), 0);
    describe(await_call(stage, "GetAll"), "development");
    await_answer(stage, &third);
    assert_string_equal(third.state, "development");
}

static void a_tred_that_is_loading_is_asked_again_when_it_has_changed(void **state)
{
    Stage *stage = *state;
    Answered answered = {0};

    channel_grant(stage);
    assert_int_equal(call(stage, TRE_DESCRIBE, &answered), 0);
    describe(await_call(stage, "GetAll"), "loading");
    assert_waits(stage, &answered);
    assert_int_equal(stage->n_got, 0);
    tell_change(stage);
    describe(await_call(stage, "GetAll"), "loading");
    assert_waits(stage, &answered);
    tell_change(stage);
    describe(await_call(stage, "GetAll"), "ready");
    await_answer(stage, &answered);
    assert_string_equal(answered.state, "ready");
}

static void what_a_tred_was_that_has_ended_is_forgotten(void **state)
{
    Stage *stage = *state;
    Answered first = {0}, second = {0};

    channel_grant(stage);
    assert_int_equal(call(stage, TRE_DESCRIBE, &first), 0);
    describe(await_call(stage, "GetAll"), "ready");
    await_answer(stage, &first);
    tell_owner(stage, ":1.2", "");
    settle(stage);
    assert_int_equal(call(stage, TRE_DESCRIBE, &second), 0);
    refuse(await_call(stage, "GetAll"), SD_BUS_ERROR_NAME_HAS_NO_OWNER);
    await_answer(stage, &second);
    assert_int_equal(second.outcome, TRE_GONE);
}

/* ---- signals ---- */

static void a_tred_that_ends_takes_all_along_and_the_next_is_asked_for_a_channel(void **state)
{
    Stage *stage = *state;

    channel_grant(stage);
    tell_owner(stage, ":1.2", "");
    settle(stage);
    assert_int_equal(stage->losses, 1);
    assert_true(stage->of_all);
    assert_int_equal(stage->n_got, 0);
    stage->channel = sd_bus_close_unref(stage->channel);
    tell_owner(stage, "", ":1.3");
    sd_bus_message_unref(await_call(stage, "OpenChannel").message);
    settle(stage);
    assert_int_equal(stage->losses, 1);
}

static void what_tred_says_of_an_exchange_is_told(void **state)
{
    Stage *stage = *state;

    channel_grant(stage);
    tell_closed(stage);
    settle(stage);
    assert_int_equal(stage->losses, 1);
    assert_false(stage->of_all);
    assert_string_equal(stage->exchange, EXCHANGE);
    assert_string_equal(stage->reason, "the peer was revoked");

    for (int hard = 0; hard <= 1; hard++) {
        tell(stage, TRE_NAME, EXCHANGE "7", TRE_EXCHANGE, "LifetimeReached", "ub", 0xfedcba98,
             hard);
        settle(stage);
        assert_int_equal(stage->lifetimes, hard + 1);
        assert_string_equal(stage->exchange, EXCHANGE "7");
        assert_int_equal(stage->spi_in, 0xfedcba98);
        assert_int_equal(stage->hard, hard);
    }

    tell(stage, TRE_NAME, EXCHANGE, TRE_EXCHANGE, "ExpiresSoon", "t", 5000000000ULL);
    settle(stage);
    assert_int_equal(stage->expiries, 1);
    assert_string_equal(stage->exchange, EXCHANGE);
    assert_int_equal(stage->when, 5000000000ULL);
}

static void what_another_than_tred_says_of_an_exchange_is_not_heard(void **state)
{
    Stage *stage = *state;

    channel_grant(stage);
    tell(stage, "org.example.Other", EXCHANGE, TRE_EXCHANGE, "Closed", "s", "no");
    tell(stage, TRE_NAME, EXCHANGE, "org.example.Other", "Closed", "s", "no");
    tell(stage, TRE_NAME, EXCHANGE, TRE_EXCHANGE, "Closed", "u", 7);
    settle(stage);
    assert_int_equal(stage->losses, 0);
}

/* ---- calls that are no longer wanted, and too many ---- */

static void who_has_gone_is_not_answered_and_what_it_began_is_closed(void **state)
{
    static const TreMethod methods[] = {TRE_BEGIN, TRE_FORK, TRE_ADD_IKE_SA};
    static const char *const members[] = {"BeginExchange", "Fork", "AddIkeSa"};
    Stage *stage = *state;
    Answered gone = {0};

    channel_grant(stage);
    for (size_t i = 0; i < ELEMENTS(methods); i++) {
        assert_int_equal(call(stage, methods[i], &gone), 0);
        const Got got = await_call(stage, members[i]);
        tre_forget(tre_bus_tre(stage->tre), &gone);
        if (methods[i] == TRE_BEGIN) {
            answer(got, "otayay", EXCHANGE "9", 1ULL, 0, 0);
        } else {
            answer(got, "o", EXCHANGE "9");
        }
        const Got closed = await_call(stage, "Close");
        assert_string_equal(sd_bus_message_get_path(closed.message), EXCHANGE "9");
        sd_bus_message_unref(closed.message);
    }
    assert_int_equal(call(stage, TRE_BEGIN, &gone), 0);
    const Got refused = await_call(stage, "BeginExchange");
    tre_forget(tre_bus_tre(stage->tre), &gone);
    refuse(refused, TRE_ERROR_PREFIX "LimitReached");
    settle(stage);
    assert_int_equal(stage->n_got, 0);
    assert_int_equal(gone.times, 0);
}

static void of_others_nothing_is_forgotten(void **state)
{
    Stage *stage = *state;
    Answered gone = {0}, stays = {0};

    channel_grant(stage);
    assert_int_equal(call(stage, TRE_AGREE, &gone), 0);
    assert_int_equal(call(stage, TRE_AGREE, &stays), 0);
    const Got of_gone = await_call(stage, "Agree"), of_stays = await_call(stage, "Agree");
    tre_forget(tre_bus_tre(stage->tre), &gone);
    answer(of_gone, "s", "suite");
    answer(of_stays, "s", "suite");
    await_answer(stage, &stays);
    assert_waits(stage, &gone);
    assert_int_equal(stage->n_got, 0);
}

static void
there_are_as_many_calls_under_way_as_there_may_be_and_room_when_one_is_over(void **state)
{
    Stage *stage = *state;
    static Answered answered[TRE_PENDING_MAX];

    channel_grant(stage);
    memset(answered, 0, sizeof(answered));
    for (size_t i = 0; i < TRE_PENDING_MAX; i++)
        assert_int_equal(call(stage, TRE_AGREE, &answered[i]), 0);
    assert_int_equal(call(stage, TRE_AGREE, &answered[0]), -EBUSY);
    assert_int_equal(call(stage, TRE_CLOSE, NULL), 0);
    answer(await_call(stage, "Agree"), "s", "suite");
    await_answer(stage, &answered[0]);
    assert_int_equal(call(stage, TRE_AGREE, &answered[0]), 0);
    assert_int_equal(call(stage, TRE_AGREE, &answered[0]), -EBUSY);
    tre_forget(tre_bus_tre(stage->tre), &answered[1]);
    assert_int_equal(call(stage, TRE_AGREE, &answered[1]), 0);
}

#define TREBUS_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREBUS_TEST(calls_go_over_the_channel_and_properties_are_read_over_the_bus),
        TREBUS_TEST(without_a_channel_all_goes_over_the_bus),
        TREBUS_TEST(what_is_no_channel_is_no_reason_to_give_up),
        TREBUS_TEST(a_call_whose_answer_does_not_matter_wants_none),
        TREBUS_TEST(a_call_that_takes_nothing_back_is_not_made_without_an_answer),
        TREBUS_TEST(an_error_of_treds_own_is_told_at_once),
        TREBUS_TEST(any_other_error_waits_for_the_signals_that_were_sent_before_it),
        TREBUS_TEST(the_same_error_over_the_bus_has_overtaken_nothing),
        TREBUS_TEST(who_waits_on_a_channel_that_tred_closes_is_told_so_after_the_signals),
        TREBUS_TEST(what_tred_is_is_asked_once_until_it_says_that_it_has_changed),
        TREBUS_TEST(a_tred_that_is_loading_is_asked_again_when_it_has_changed),
        TREBUS_TEST(what_a_tred_was_that_has_ended_is_forgotten),
        TREBUS_TEST(a_tred_that_ends_takes_all_along_and_the_next_is_asked_for_a_channel),
        TREBUS_TEST(what_tred_says_of_an_exchange_is_told),
        TREBUS_TEST(what_another_than_tred_says_of_an_exchange_is_not_heard),
        TREBUS_TEST(who_has_gone_is_not_answered_and_what_it_began_is_closed),
        TREBUS_TEST(of_others_nothing_is_forgotten),
        TREBUS_TEST(there_are_as_many_calls_under_way_as_there_may_be_and_room_when_one_is_over),
    };

    return cmocka_run_group_tests_name("ikeclient trebus", tests, NULL, NULL);
}
