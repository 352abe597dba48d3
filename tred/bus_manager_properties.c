/* org.tred.TrE1.Manager: its properties. */
#include "tred/bus.h"
#include "tred/daemon_state.h"

static int append_state(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;

    return sd_bus_message_append(reply, "s", identity_state_name(daemon->state));
}

static int append_state_reason(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;
    Reason reason;

    daemon_state_reason(daemon, &reason);
    return sd_bus_message_append(reply, "s", reason.text);
}

static int append_identity(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;

    return sd_bus_message_append(reply, "s", daemon->identity ? daemon->identity->fqdn : "");
}

static int append_certificate_chain(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;
    int r = sd_bus_message_open_container(reply, 'a', "ay");

    for (size_t i = 0; r >= 0 && daemon->identity && i < daemon->identity->n_certificates; i++) {
        r = sd_bus_message_append_array(reply, 'y', daemon->identity->certificates[i].data,
                                        daemon->identity->certificates[i].size);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_certificate_expires(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;
    const time_t expires = daemon->identity ? daemon->identity->expires : 0;

    return sd_bus_message_append(reply, "t", (uint64_t)expires);
}

static int append_anchor_hashes(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;
    const AnchorFacts *anchors =
        daemon->identity ? verifier_anchors(daemon->identity->verifier) : NULL;
    BusOctetsList list = {0, NULL};
    Bytes hashes[FRAME_HASHES_MAX];

    if (anchors) {
        list.count = segw_anchor_hashes(daemon->config.segws.list[0], anchors, hashes);
        list.items = hashes;
    }
    return bus_append_list(reply, list);
}

static int append_anchors_guarded(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;

    return sd_bus_message_append(reply, "b",
                                 daemon->identity && daemon->identity->facts.anchors_guarded);
}

static int append_anchors_version(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;

    return sd_bus_message_append(reply, "t",
                                 daemon->identity ? daemon->identity->facts.anchors_version : 0);
}

static int append_last_known_time(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;

    return sd_bus_message_append(reply, "t", (uint64_t)daemon->last_known);
}

static int append_crl_issuers(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;
    int r = sd_bus_message_open_container(reply, 'a', "(stt)");

    for (size_t i = 0; r >= 0 && i < daemon->crls.n_issuers; i++) {
        const CrlFacts *facts = &daemon->crls.issuers[i];

        r = sd_bus_message_append(reply, "(stt)", facts->issuer, (uint64_t)facts->this_update,
                                  (uint64_t)facts->next_update);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_crl_problem(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;

    return sd_bus_message_append(reply, "s", daemon->crls.problem.text);
}

static int append_ocsp_wanted(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;

    return sd_bus_message_append(reply, "b", daemon->config.revocation != REVOCATION_OFF);
}

static int append_stronger_child(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;

    return sd_bus_message_append(reply, "b", (int)daemon->config.stronger_child);
}

static int append_key_algorithm(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;
    const char *name = "";

    if (daemon->identity)
        name = daemon->identity->key->algorithm;
    return sd_bus_message_append(reply, "s", name);
}

static int append_key_policy(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;
    const char *name = "";

    if (daemon->identity)
        name = daemon->identity->facts.policy;
    return sd_bus_message_append(reply, "s", name);
}

static int append_pcr_mismatch(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;
    const DeviceMismatch *mismatch = device_mismatch(daemon->device);
    int r = sd_bus_message_open_container(reply, 'a', "(uss)");

    for (size_t i = 0; r >= 0 && i < mismatch->count; i++) {
        r = sd_bus_message_append(reply, "(uss)", (uint32_t)mismatch->pcrs[i].number,
                                  mismatch->pcrs[i].expected, mismatch->pcrs[i].found);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_data_plane(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;

    return sd_bus_message_append(reply, "s", dataplane_name(daemon->dataplane));
}

/* Without a data plane there are no rules. */
static int append_protection(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;
    unsigned mode =
        daemon->config.data_plane == DATAPLANE_NONE ? PROTECT_NO : daemon->config.protect;

    return sd_bus_message_append(reply, "s", protect_modes[mode]);
}

static int append_drops_in(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;
    ProtectionCounters counters;

    dataplane_protection_counters(daemon->dataplane, &counters);
    return sd_bus_message_append(reply, "t", counters.dropped_in);
}

static int append_drops_out(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;
    ProtectionCounters counters;

    dataplane_protection_counters(daemon->dataplane, &counters);
    return sd_bus_message_append(reply, "t", counters.dropped_out);
}

static int append_version(sd_bus_message *reply, const void *object)
{
    (void)object;
    return sd_bus_message_append(reply, "s", TRED_VERSION);
}

/* Where the kernel has the keys it counts these for the whole host, and not for us. */
static int append_plane_counters(sd_bus_message *reply, const DataPlane *plane)
{
    DataPlaneCounters counters;

    if (dataplane_counters(plane, &counters) < 0)
        return 0;
    return sd_bus_message_append(reply, "{st}{st}{st}{st}", "UnknownSpiDropsIn",
                                 counters.unknown_spi, "DeliveryDropsIn",
                                 counters.delivery_failures, "NoSaDropsOut", counters.no_sa_out,
                                 "SendDropsOut", counters.send_failures);
}

static int append_totals(sd_bus_message *reply, const void *object)
{
    const Daemon *daemon = object;
    SaCounters traffic;
    int r;

    dataplane_totals(daemon->dataplane, &traffic);
    r = sd_bus_message_open_container(reply, 'a', "{st}");
    if (r >= 0)
        r = sd_bus_message_append(reply, "{st}", "Exchanges", daemon->last_exchange);
    if (r >= 0)
        r = bus_append_counters(reply, &traffic, false, false);
    if (r >= 0)
        r = append_plane_counters(reply, daemon->dataplane);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const BusProperty properties[] = {
    {"State", append_state},
    {"StateReason", append_state_reason},
    {"Identity", append_identity},
    {"CertificateChain", append_certificate_chain},
    {"CertificateExpires", append_certificate_expires},
    {"AnchorHashes", append_anchor_hashes},
    {"AnchorsGuarded", append_anchors_guarded},
    {"AnchorsVersion", append_anchors_version},
    {"LastKnownTime", append_last_known_time},
    {"CrlIssuers", append_crl_issuers},
    {"CrlProblem", append_crl_problem},
    {"OcspWanted", append_ocsp_wanted},
    {"StrongerChild", append_stronger_child},
    {"KeyAlgorithm", append_key_algorithm},
    {"KeyPolicy", append_key_policy},
    {"PcrMismatch", append_pcr_mismatch},
    {"DataPlane", append_data_plane},
    {"Protection", append_protection},
    {"CleartextDropsIn", append_drops_in},
    {"CleartextDropsOut", append_drops_out},
    {"Version", append_version},
    {"Totals", append_totals},
    {NULL, NULL},
};

int bus_manager_get(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    (void)bus, (void)path, (void)interface, (void)error;
    return bus_property_append(properties, property, reply, userdata);
}
