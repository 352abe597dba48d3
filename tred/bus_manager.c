/* org.tred.TrE1.Manager: its properties and methods. */
#include "base/log.h"
#include "base/reason.h"
#include "policy/encoding.h"
#include "policy/keypolicy.h"
#include "tred/bus.h"
#include "tred/bus_error.h"
#include "tred/bus_manager_anchors.h"
#include "tred/bus_manager_crls.h"
#include "tred/bus_manager_protection.h"
#include "tred/bus_manager_totals.h"
#include "tred/callers.h"
#include "tred/channel.h"
#include "tred/daemon_identity.h"
#include "tred/expiry.h"
#include "tred/key_care.h"
#include "tred/work.h"

#include <errno.h>

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const Daemon *daemon = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "s", identity_state_name(daemon->state));
}

static int get_state_reason(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error)
{
    const Daemon *daemon = userdata;
    Reason reason;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    daemon_state_reason(daemon, &reason);
    return sd_bus_message_append(reply, "s", reason.text);
}

static int get_identity(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const Daemon *daemon = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "s", daemon->identity ? daemon->identity->fqdn : "");
}

static int get_certificate_chain(sd_bus *bus, const char *path, const char *interface,
                                 const char *property, sd_bus_message *reply, void *userdata,
                                 sd_bus_error *error)
{
    const Daemon *daemon = userdata;
    int r;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    r = sd_bus_message_open_container(reply, 'a', "ay");
    for (size_t i = 0; r >= 0 && daemon->identity && i < daemon->identity->n_certificates; i++) {
        r = sd_bus_message_append_array(reply, 'y', daemon->identity->certificates[i].data,
                                        daemon->identity->certificates[i].size);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_anchor_hashes(sd_bus *bus, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error)
{
    const Daemon *daemon = userdata;
    const AnchorFacts *anchors =
        daemon->identity ? verifier_anchors(daemon->identity->verifier) : NULL;
    int r;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    r = sd_bus_message_open_container(reply, 'a', "ay");
    for (size_t i = 0; r >= 0 && anchors && i < anchors->n_hashes; i++)
        r = sd_bus_message_append_array(reply, 'y', anchors->hashes[i], sizeof(anchors->hashes[i]));
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_ocsp_wanted(sd_bus *bus, const char *path, const char *interface,
                           const char *property, sd_bus_message *reply, void *userdata,
                           sd_bus_error *error)
{
    const Daemon *daemon = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "b", daemon->config.revocation != REVOCATION_OFF);
}

static int get_stronger_child(sd_bus *bus, const char *path, const char *interface,
                              const char *property, sd_bus_message *reply, void *userdata,
                              sd_bus_error *error)
{
    const Daemon *daemon = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "b", (int)daemon->config.stronger_child);
}

static int get_key_algorithm(sd_bus *bus, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error)
{
    const Daemon *daemon = userdata;
    const char *name = "";

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    if (daemon->identity)
        name = daemon->identity->key->algorithm;
    return sd_bus_message_append(reply, "s", name);
}

static int get_key_policy(sd_bus *bus, const char *path, const char *interface,
                          const char *property, sd_bus_message *reply, void *userdata,
                          sd_bus_error *error)
{
    const Daemon *daemon = userdata;
    const char *name = "";

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    if (daemon->identity)
        name = key_policy_kind_name(daemon->identity->policy->kind);
    return sd_bus_message_append(reply, "s", name);
}

static int append_pcr(sd_bus_message *reply, const PcrMismatch *mismatch, unsigned pcr)
{
    const size_t size = pcr_value_size(mismatch->found.bank);
    char expected[2 * PCR_VALUE_MAX + 1], found[2 * PCR_VALUE_MAX + 1];

    hex_encode((Bytes){mismatch->expected.values[pcr], size}, expected);
    hex_encode((Bytes){mismatch->found.values[pcr], size}, found);
    return sd_bus_message_append(reply, "(uss)", pcr, expected, found);
}

static int get_pcr_mismatch(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error)
{
    const Daemon *daemon = userdata;
    int r;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    r = sd_bus_message_open_container(reply, 'a', "(uss)");
    for (unsigned i = 0; r >= 0 && i < PCR_COUNT; i++) {
        if (daemon->mismatch && daemon->mismatch->mask >> i & 1)
            r = append_pcr(reply, daemon->mismatch, i);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_data_plane(sd_bus *bus, const char *path, const char *interface,
                          const char *property, sd_bus_message *reply, void *userdata,
                          sd_bus_error *error)
{
    const Daemon *daemon = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "s", dataplane_name(daemon->dataplane));
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    (void)bus, (void)path, (void)interface, (void)property, (void)userdata, (void)error;
    return sd_bus_message_append(reply, "s", TRED_VERSION);
}

/* What a call to begin an exchange asks for. */
typedef struct BeginCall {
    bool names_segw; /* and is answered with its FQDN */
    const Segw *segw;
    uint16_t group;
} BeginCall;

/* Adds a new exchange to its caller and answers with what goes into the IKE_SA_INIT request. */
static int begin_reply(sd_bus_message *call, Caller *caller, const BeginCall *begin,
                       Exchange *exchange)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    Bytes nonce_i = exchange_nonce_i(exchange), ke_i = exchange_ke_i(exchange);
    CallerExchange *held = NULL;
    char path[BUS_PATH_SIZE];
    int r;

    r = caller_add_exchange(caller, exchange, &held);
    if (r < 0) {
        exchange_free(exchange);
        return r;
    }
    bus_exchange_path(held, path);
    r = deadline_set(held);
    if (r >= 0)
        r = sd_bus_message_new_method_return(call, &reply);
    if (r >= 0)
        r = sd_bus_message_append(reply, "ot", path, exchange_spi_i(exchange));
    if (r >= 0)
        r = sd_bus_message_append_array(reply, 'y', nonce_i.data, nonce_i.size);
    if (r >= 0)
        r = sd_bus_message_append_array(reply, 'y', ke_i.data, ke_i.size);
    if (r >= 0 && begin->names_segw)
        r = sd_bus_message_append(reply, "s", begin->segw->name);
    if (r >= 0)
        r = sd_bus_message_send(reply);
    if (r < 0) {
        caller_exchange_free(held);
        return r;
    }
    log_info("Exchange %" PRIu64 " begun by %s: SPI_i %016" PRIx64, held->number, caller->name,
             exchange_spi_i(exchange));
    return 1;
}

static int begin_for(sd_bus_message *call, Daemon *daemon, Caller *caller, const BeginCall *begin,
                     sd_bus_error *error)
{
    Reason reason = {0};
    Exchange *exchange = NULL;
    int r;

    const uint64_t begun = user_time_begin();
    r = exchange_new(&daemon->exchange_context, begin->segw, begin->group, &exchange, &reason);
    user_time_end(caller->user, begun);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    r = begin_reply(call, caller, begin, exchange);
    if (r > 0) {
        daemon_key_wanted(daemon);
        verifier_want(daemon->identity->verifier);
    }
    return r;
}

int bus_check_room(const Caller *caller, sd_bus_error *error)
{
    const Daemon *daemon = caller->daemon;
    Reason reason;

    if (!user_has_room(&daemon->users, caller->user)) {
        reason_set(&reason, 0,
                   "This user holds %zu exchanges over all of its connections; at most %" PRIu64
                   " ([exchanges] max-exchanges) are allowed, and %zu for all users, of which "
                   "%d are for those who hold less than %d. Close one first",
                   caller->user->n_exchanges, daemon->config.max_exchanges, daemon->users.total_max,
                   EXCHANGES_RESERVED, EXCHANGES_SMALL);
        return bus_error_set(error, BUS_E_TOO_MANY_EXCHANGES, reason.text);
    }
    return user_has_time(caller->user) ? 0 : bus_error_set(error, BUS_E_BUSY, NULL);
}

static void begin_after_load(Work *work, sd_bus_message *call);
static void begin_known(Daemon *daemon, sd_bus_message *call);

static int begin_unknown(Caller *caller, sd_bus_message *call, sd_bus_error *error)
{
    int r = caller_ask_user(caller, call, begin_known);

    if (r == -EBUSY)
        return bus_error_set(error, BUS_E_BUSY, NULL);
    return r < 0 ? r : 1;
}

/* Which SeGW's name and which selectors count, says tred.conf; the call says of which of them. */
static int begin_read(sd_bus_message *call, const Daemon *daemon, BeginCall *ret,
                      sd_bus_error *error)
{
    const char *label = SEGW_DEFAULT;
    Reason reason = {0};
    int r = 0;

    *ret = (BeginCall){.names_segw =
                           sd_bus_message_is_method_call(call, NULL, "BeginExchangeWith") > 0};
    if (ret->names_segw)
        r = sd_bus_message_read(call, "s", &label);
    if (r >= 0)
        r = sd_bus_message_read(call, "q", &ret->group);
    if (r < 0)
        return r;
    ret->segw = segws_find(&daemon->config.segws, label);
    if (!ret->segw) {
        if (config_name_is_valid(label)) {
            reason_set(&reason, 0,
                       "tred.conf has no section [segw %s]. Add it there, and restart tred, or "
                       "correct the name",
                       label);
        }
        return bus_error_set(error, BUS_E_NO_SUCH_SEGW, reason.text);
    }
    r = exchange_check_group(ret->group, &reason);
    return r != 0 ? bus_error_set(error, r, reason.text) : 0;
}

/* In the order of what it costs: room and arguments are looked at before the TPM is. `again`: the
 * identity was tried for this call already. */
static int begin(sd_bus_message *call, Daemon *daemon, bool again, sd_bus_error *error)
{
    Caller *caller = NULL;
    BeginCall wanted;
    int r;

    r = begin_read(call, daemon, &wanted, error);
    if (r < 0)
        return r;
    r = caller_get(daemon, call_sender(call), &caller);
    if (r < 0)
        return r;
    if (!caller->user)
        return begin_unknown(caller, call, error);
    r = bus_check_room(caller, error);
    if (r != 0)
        return r;
    if (identity_state_serves(daemon->state))
        return begin_for(call, daemon, caller, &wanted, error);
    if (again) {
        return bus_error_set(error, bus_error_of_identity(daemon->state),
                             daemon->state_reason.text);
    }
    /* The other half is root's, who may have to mend what they wait for. */
    r = daemon->n_waiters < WORK_WAITERS_MAX / 2
            ? daemon_await_identity(daemon, call, begin_after_load)
            : -EBUSY;
    if (r == -EBUSY)
        return bus_error_set(error, BUS_E_BUSY, NULL);
    return r < 0 ? r : 1;
}

static void begin_again(Daemon *daemon, sd_bus_message *call, bool again)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = sd_bus_message_rewind(call, true);

    if (r >= 0)
        r = begin(call, daemon, again, &error);
    if (r < 0)
        bus_answer_error(call, r, &error);
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
    return begin(call, userdata, false, error);
}

static int method_open_channel(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    _cleanup_(close_fdp) int fd = -1;
    int r = channel_open(userdata, call_sender(call), &fd);

    (void)error;
    return r < 0 ? r : sd_bus_reply_method_return(call, "h", fd);
}

static void reload_answer(Work *work, sd_bus_message *call)
{
    const Daemon *daemon = work_daemon(work);
    Reason reason;

    daemon_state_reason(daemon, &reason);
    (void)sd_bus_reply_method_return(call, "ss", identity_state_name(daemon->state), reason.text);
}

static int method_reload(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    Daemon *daemon = userdata;
    int r;

    (void)error;
    log_info("Asked by %s to read key, policy, certificates, anchors and CRLs again",
             call_sender(call));
    r = daemon_load_identity_for(daemon, call, reload_answer);
    return r < 0 ? r : 1;
}

static const sd_bus_vtable manager_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("StateReason", "s", get_state_reason, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Identity", "s", get_identity, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("SegwIdentity", "s", NULL, offsetof(Daemon, config.segw_name),
                    SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("CertificateChain", "aay", get_certificate_chain, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("CertificateExpires", "t", bus_get_certificate_expires, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("AnchorHashes", "aay", get_anchor_hashes, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("AnchorsGuarded", "b", bus_get_anchors_guarded, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("AnchorsVersion", "t", bus_get_anchors_version, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("LastKnownTime", "t", bus_get_last_known_time, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("CrlIssuers", "a(stt)", bus_get_crl_issuers, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("CrlProblem", "s", bus_get_crl_problem, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("OcspWanted", "b", get_ocsp_wanted, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("StrongerChild", "b", get_stronger_child, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("KeyAlgorithm", "s", get_key_algorithm, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("KeyPolicy", "s", get_key_policy, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("PcrMismatch", "a(uss)", get_pcr_mismatch, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("DataPlane", "s", get_data_plane, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Protection", "s", bus_get_protection, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("CleartextDropsIn", "t", bus_get_protection_counter, 0, 0),
    SD_BUS_PROPERTY("CleartextDropsOut", "t", bus_get_protection_counter, 0, 0),
    SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Totals", "a{st}", bus_get_totals, 0, 0),
    /* Who may call is said by the bus policy, org.tred.TrE1.conf. */
    SD_BUS_METHOD_WITH_ARGS("BeginExchange", SD_BUS_ARGS("q", group),
                            SD_BUS_RESULT("o", exchange, "t", spi_i, "ay", nonce_i, "ay", ke_i),
                            method_begin_exchange, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS(
        "BeginExchangeWith", SD_BUS_ARGS("s", segw, "q", group),
        SD_BUS_RESULT("o", exchange, "t", spi_i, "ay", nonce_i, "ay", ke_i, "s", segw_identity),
        method_begin_exchange, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("OpenChannel", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", channel),
                            method_open_channel, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("InstallAnchors", SD_BUS_ARGS("ay", bundle, "ay", approval),
                            SD_BUS_RESULT("t", version), bus_install_anchors,
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
    SD_BUS_METHOD("BeginExchangeWith", "sq", "otayays", method_begin_exchange,
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
