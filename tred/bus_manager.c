/* org.tred.TrE1.Manager: its methods. */
#include "base/log.h"
#include "tred/anchor_install.h"
#include "tred/bus.h"
#include "tred/callers.h"
#include "tred/channel.h"
#include "tred/daemon_identity.h"
#include "tred/daemon_state.h"
#include "tred/expiry.h"
#include "tred/key_care.h"
#include "tred/rejudge.h"
#include "tred/work.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

int bus_check_room(const Caller *caller, Reason *reason)
{
    const Daemon *daemon = caller->daemon;

    if (!user_has_room(&daemon->users, caller->user)) {
        return reason_set(
            reason, BUS_E_TOO_MANY_EXCHANGES,
            "This user holds %zu exchanges over all of its connections; at most %" PRIu64
            " ([exchanges] max-exchanges) are allowed, and %zu for all users, of which "
            "%d are for those who hold less than %d. Close one first",
            caller->user->n_exchanges, daemon->config.max_exchanges, daemon->users.total_max,
            EXCHANGES_RESERVED, EXCHANGES_SMALL);
    }
    return user_has_time(caller->user) ? 0 : BUS_E_BUSY;
}

int bus_exchange_begun(Caller *caller, Exchange *exchange, const CallerExchange *from,
                       CallerExchange **ret)
{
    int r = caller_add_exchange(caller, exchange, ret);

    if (r < 0) {
        exchange_free(exchange);
        return r;
    }
    if (from) {
        rejudge_inherit(*ret, from);
        r = expiry_inherit(*ret, from);
    } else {
        r = deadline_set(*ret);
    }
    if (r < 0)
        caller_exchange_free(*ret);
    return r;
}

/* ---- BeginExchange ---- */

/* What a call to begin an exchange asks for. */
typedef struct BeginCall {
    bool names_segw; /* and is answered with its FQDN */
    const Segw *segw;
    uint16_t group;
} BeginCall;

/* Which SeGW's name, anchors and selectors count, says tred.conf; the call says of which of them.
 */
static int begin_read(sd_bus_message *call, const Daemon *daemon, BeginCall *ret, Reason *reason)
{
    const char *label = SEGW_DEFAULT;
    int r;

    *ret = (BeginCall){.names_segw =
                           sd_bus_message_is_method_call(call, NULL, "BeginExchangeWith") > 0};
    r = ret->names_segw ? bus_read(call, "sq", &label, &ret->group)
                        : bus_read(call, "q", &ret->group);
    if (r != 0)
        return r;
    ret->segw = segws_find(&daemon->config.segws, label);
    if (!ret->segw && config_name_is_valid(label)) {
        return reason_set(reason, BUS_E_NO_SUCH_SEGW,
                          "tred.conf has no section [segw %s]. Add it there, and restart tred, or "
                          "correct the name",
                          label);
    }
    return ret->segw ? exchange_check_group(ret->group, reason) : BUS_E_NO_SUCH_SEGW;
}

/* What goes into the IKE_SA_INIT request. */
static int begin_reply(sd_bus_message *call, const BeginCall *begin, const char *path,
                       const Exchange *exchange, const AnchorFacts *anchors)
{
    const Bytes nonce_i = exchange_nonce_i(exchange), ke_i = exchange_ke_i(exchange);
    Bytes hashes[FRAME_HASHES_MAX];

    if (begin->names_segw) {
        const BusOctetsList list = {segw_anchor_hashes(begin->segw, anchors, hashes), hashes};

        return bus_reply(call, "otAAsL", path, exchange_spi_i(exchange), nonce_i, ke_i,
                         begin->segw->name, list);
    }
    return bus_reply(call, "otAA", path, exchange_spi_i(exchange), nonce_i, ke_i);
}

/* Adds a new exchange to its caller and answers. */
static int begin_for(sd_bus_message *call, Caller *caller, const BeginCall *begin, Reason *reason)
{
    Daemon *daemon = caller->daemon;
    CallerExchange *held = NULL;
    Exchange *exchange = NULL;
    char path[BUS_PATH_SIZE];
    int r;

    const uint64_t begun = user_time_begin();
    r = exchange_new(&daemon->exchange_context, begin->segw, begin->group, &exchange, reason);
    user_time_end(caller->user, begun);
    if (r == 0)
        r = bus_exchange_begun(caller, exchange, NULL, &held);
    if (r != 0)
        return r;
    assert(held);
    bus_exchange_path(held, path);
    r = begin_reply(call, begin, path, exchange, verifier_anchors(daemon->identity->verifier));
    if (r < 0) {
        caller_exchange_free(held);
        return r;
    }
    log_info("Exchange %" PRIu64 " begun by %s: SPI_i %016" PRIx64, held->number, caller->name,
             exchange_spi_i(exchange));
    daemon_key_wanted(daemon);
    verifier_want(daemon->identity->verifier);
    return 0;
}

static void begin_after_load(Work *work, sd_bus_message *call);
static void begin_known(Daemon *daemon, sd_bus_message *call);

static int busy(int r)
{
    return r == -EBUSY ? BUS_E_BUSY : r;
}

/* In the order of what it costs: room and arguments are looked at before the TPM is. `again`: the
 * identity was tried for this call already. 0 when it is answered, or will be. */
static int begin(sd_bus_message *call, Daemon *daemon, bool again, Reason *reason)
{
    Caller *caller = NULL;
    BeginCall wanted;
    int r = begin_read(call, daemon, &wanted, reason);

    if (r == 0)
        r = caller_get(daemon, call_sender(call), &caller);
    if (r != 0)
        return r;
    if (!caller->user)
        return busy(caller_ask_user(caller, call, begin_known));
    r = bus_check_room(caller, reason);
    if (r != 0)
        return r;
    if (daemon_is_serving(daemon))
        return begin_for(call, caller, &wanted, reason);
    if (again) {
        *reason = daemon->state_reason;
        return bus_error_of_identity(daemon->state);
    }
    /* The other half is root's, who may have to mend what they wait for. */
    return busy(daemon->n_waiters < WORK_WAITERS_MAX / 2
                    ? daemon_await_identity(daemon, call, begin_after_load)
                    : -EBUSY);
}

static void begin_again(Daemon *daemon, sd_bus_message *call, bool again)
{
    Reason reason = {0};
    int r = sd_bus_message_rewind(call, true);

    if (r >= 0)
        r = begin(call, daemon, again, &reason);
    if (r != 0)
        bus_answer(call, r, reason.text, "");
}

static void begin_after_load(Work *work, sd_bus_message *call)
{
    begin_again(work_daemon(work), call, true);
}

static void begin_known(Daemon *daemon, sd_bus_message *call)
{
    begin_again(daemon, call, false);
}

static int method_begin_exchange(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    Reason reason = {0};
    int r = begin(call, userdata, false, &reason);

    return r == 0 ? 1 : bus_error_set(error, r, reason.text);
}

/* ---- the others ---- */

static int method_open_channel(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    _cleanup_(close_fdp) int fd = -1;
    int r = channel_open(userdata, call_sender(call), &fd);

    (void)error;
    return r < 0 ? r : sd_bus_reply_method_return(call, "h", fd);
}

static int method_install_anchors(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    Bytes bundle, approval;
    int r = bus_read(call, "AA", &bundle, &approval);

    (void)error;
    if (r == 0)
        r = anchor_install(userdata, bundle, approval, call);
    return r < 0 ? r : 1;
}

static void reload_answer(Work *work, sd_bus_message *call)
{
    const Daemon *daemon = work_daemon(work);
    Reason reason;

    daemon_state_reason(daemon, &reason);
    bus_answer(call, 0, "", "ss", identity_state_name(daemon->state), reason.text);
}

static int method_reload(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    int r;

    (void)error;
    log_info("Asked by %s to read key, policy, certificates, anchors and CRLs again",
             call_sender(call));
    r = daemon_load_identity_for(userdata, call, reload_answer);
    return r < 0 ? r : 1;
}

static const sd_bus_vtable manager_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("State", "s", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("StateReason", "s", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Identity", "s", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("SegwIdentity", "s", NULL, offsetof(Daemon, config.segw_name),
                    SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("CertificateChain", "aay", bus_manager_get, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("CertificateExpires", "t", bus_manager_get, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("AnchorHashes", "aay", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("AnchorsGuarded", "b", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("AnchorsVersion", "t", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("LastKnownTime", "t", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("CrlIssuers", "a(stt)", bus_manager_get, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("CrlProblem", "s", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("OcspWanted", "b", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("StrongerChild", "b", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("KeyAlgorithm", "s", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("KeyPolicy", "s", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("PcrMismatch", "a(uss)", bus_manager_get, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("DataPlane", "s", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Protection", "s", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("CleartextDropsIn", "t", bus_manager_get, 0, 0),
    SD_BUS_PROPERTY("CleartextDropsOut", "t", bus_manager_get, 0, 0),
    SD_BUS_PROPERTY("Version", "s", bus_manager_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Totals", "a{st}", bus_manager_get, 0, 0),
    /* Who may call is said by the bus policy, org.tred.TrE1.conf. */
    SD_BUS_METHOD_WITH_ARGS("BeginExchange", SD_BUS_ARGS("q", group),
                            SD_BUS_RESULT("o", exchange, "t", spi_i, "ay", nonce_i, "ay", ke_i),
                            method_begin_exchange, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("BeginExchangeWith", SD_BUS_ARGS("s", segw, "q", group),
                            SD_BUS_RESULT("o", exchange, "t", spi_i, "ay", nonce_i, "ay", ke_i, "s",
                                          segw_identity, "aay", anchor_hashes),
                            method_begin_exchange, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("OpenChannel", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", channel),
                            method_open_channel, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("InstallAnchors", SD_BUS_ARGS("ay", bundle, "ay", approval),
                            SD_BUS_RESULT("t", version), method_install_anchors,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", state, "s", reason),
                            method_reload, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

/* No bus policy stands before a channel: it has what the IKE client's user may call, and no more.
 */
static const sd_bus_vtable channel_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("BeginExchange", "q", "otayay", method_begin_exchange,
                  SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("BeginExchangeWith", "sq", "otayaysaay", method_begin_exchange,
                  SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

int bus_manager_register_channel(Daemon *daemon, sd_bus *channel)
{
    return sd_bus_add_object_vtable(channel, NULL, BUS_MANAGER_PATH, BUS_MANAGER_INTERFACE,
                                    channel_vtable, daemon);
}

int bus_manager_register(Daemon *daemon)
{
    char *names[BUS_ANNOUNCED_MAX + 1];
    int r = sd_bus_add_object_vtable(daemon->bus, NULL, BUS_MANAGER_PATH, BUS_MANAGER_INTERFACE,
                                     manager_vtable, daemon);

    if (r >= 0)
        r = sd_bus_add_object_manager(daemon->bus, NULL, BUS_OBJECTS_PATH);
    /* What a reader finds from now on. */
    if (r >= 0)
        (void)bus_announced_look(&daemon->announced, daemon->bus, manager_vtable, daemon, names);
    return r;
}

void bus_manager_changed(Daemon *daemon)
{
    char *names[BUS_ANNOUNCED_MAX + 1];
    int r;

    if (bus_announced_look(&daemon->announced, daemon->bus, manager_vtable, daemon, names) == 0)
        return;
    r = sd_bus_emit_properties_changed_strv(daemon->bus, BUS_MANAGER_PATH, BUS_MANAGER_INTERFACE,
                                            names);
    if (r < 0)
        log_warning("The change of State could not be announced on the bus: %s", strerror(-r));
}
