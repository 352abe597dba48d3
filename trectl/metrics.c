/* trectl metrics: writes a snapshot in the form of OpenMetrics where it is wanted. */
#include "trectl/metrics.h"

#include "base/cleanup.h"
#include "base/file_write.h"
#include "base/program.h"
#include "base/reason.h"
#include "trectl/busjson.h"
#include "trectl/commands.h"
#include "trectl/snapshot.h"
#include "tred/bus_connection.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

static void family(FILE *stream, const char *name, const char *type, const char *help)
{
    (void)fprintf(stream, "# HELP %s %s.\n# TYPE %s %s\n", name, help, name, type);
}

/* A label with its value: what would end it is escaped. */
static void label_print(FILE *stream, const char *name, const char *value)
{
    (void)fprintf(stream, "%s=\"", name);
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            (void)fputs("\\n", stream);
            continue;
        }
        if (*value == '"' || *value == '\\')
            (void)fputc('\\', stream);
        (void)fputc(*value, stream);
    }
    (void)fputc('"', stream);
}

/* Of a connection where there are several; NULL: of the only one, or of none. */
static void sample_of(FILE *stream, const char *name, const char *connection, const char *label,
                      const char *of, uint64_t value)
{
    (void)fputs(name, stream);
    if (connection || label)
        (void)fputc('{', stream);
    if (connection)
        label_print(stream, "connection", connection);
    if (connection && label)
        (void)fputc(',', stream);
    if (label)
        label_print(stream, label, of);
    if (connection || label)
        (void)fputc('}', stream);
    (void)fprintf(stream, " %" PRIu64 "\n", value);
}

static void sample(FILE *stream, const char *name, const char *label, const char *of,
                   uint64_t value)
{
    sample_of(stream, name, NULL, label, of, value);
}

/* One for each word that a state can be, 1 for the one that it is. */
static void states_print(FILE *stream, const char *name, const char *connection,
                         const char *const *words, const char *state)
{
    for (; *words; words++)
        sample_of(stream, name, connection, "state", *words, strcmp(*words, state) == 0);
}

/* ---- the connections of a snapshot ---- */

typedef struct Client {
    const char *name; /* NULL: there is no other */
    json_object *properties, *exchange;
} Client;

static size_t clients_count(json_object *snapshot)
{
    const size_t count = json_count(json_member(snapshot, "Connections"));

    if (count > 0)
        return count;
    return json_member(snapshot, "IkeClient") ? 1 : 0;
}

static Client client_at(json_object *snapshot, size_t i)
{
    json_object *several = json_member(snapshot, "Connections");

    if (json_count(several) == 0) {
        return (Client){NULL, json_member(snapshot, "IkeClient"),
                        json_member(snapshot, "Exchange")};
    }
    json_object *properties = json_item(several, i);
    const char *name = json_text(properties, "Name");
    return (Client){name, properties, json_member(json_member(snapshot, "Exchanges"), name)};
}

static bool is_true(json_object *object, const char *member)
{
    return json_object_get_boolean(json_member(object, member));
}

static void services_print(FILE *stream, json_object *tre, json_object *client)
{
    family(stream, "henb_service_up", "gauge", "Whether the service is on the bus");
    sample(stream, "henb_service_up", "service", "tred", tre != NULL);
    sample(stream, "henb_service_up", "service", "ikeclient", client != NULL);
}

static void crls_print(FILE *stream, json_object *tre)
{
    json_object *crls = json_member(tre, "CrlIssuers");

    family(stream, "henb_crl_usable", "gauge", "Whether every file in crl-directory can be used");
    sample(stream, "henb_crl_usable", NULL, NULL, json_text(tre, "CrlProblem")[0] == '\0');
    if (json_count(crls) == 0)
        return;
    family(stream, "henb_crl_next_update_timestamp_seconds", "gauge",
           "When the next CRL of this issuer is due");
    for (size_t i = 0; i < json_count(crls); i++) {
        json_object *crl = json_item(crls, i);
        const char *issuer = json_object_get_string(json_item(crl, 0));

        sample(stream, "henb_crl_next_update_timestamp_seconds", "issuer", issuer ? issuer : "",
               json_object_get_uint64(json_item(crl, 2)));
    }
}

static void certificates_print(FILE *stream, json_object *snapshot)
{
    uint64_t expires = json_number(json_member(snapshot, "TrE"), "CertificateExpires");
    bool begun = false;

    for (size_t i = 0; i <= clients_count(snapshot); i++) { /* 0 is the device itself */
        const Client client = i > 0 ? client_at(snapshot, i - 1) : (Client){0};

        if (i > 0)
            expires = json_number(client.exchange, "PeerCertificateExpires");
        if (expires == 0)
            continue;
        if (!begun) {
            family(stream, "henb_certificate_expiry_timestamp_seconds", "gauge",
                   "When the first certificate of the chain expires");
        }
        begun = true;
        sample_of(stream, "henb_certificate_expiry_timestamp_seconds", client.name, "chain",
                  i > 0 ? "segw" : "device", expires);
    }
}

typedef struct Drop {
    const char *reason, *member;
} Drop;

/* Those that this data plane counts. */
static void drops_print(FILE *stream, const char *name, json_object *totals, const Drop *drops,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (json_member(totals, drops[i].member))
            sample(stream, name, "reason", drops[i].reason, json_number(totals, drops[i].member));
    }
}

static void traffic_print(FILE *stream, json_object *totals)
{
    static const Drop in[] = {{"replayed", "Replays"},
                              {"not_authentic", "AuthenticationFailures"},
                              {"malformed", "Malformed"},
                              {"selectors", "SelectorDropsIn"},
                              {"ecn", "EcnDropsIn"},
                              {"unknown_spi", "UnknownSpiDropsIn"},
                              {"not_delivered", "DeliveryDropsIn"}};
    static const Drop out[] = {{"no_sa", "NoSaDropsOut"}, {"not_sent", "SendDropsOut"}};

    family(stream, "henb_esp_packets", "counter", "Packets through all Child SAs so far");
    sample(stream, "henb_esp_packets_total", "direction", "in", json_number(totals, "PacketsIn"));
    sample(stream, "henb_esp_packets_total", "direction", "out", json_number(totals, "PacketsOut"));
    family(stream, "henb_esp_bytes", "counter",
           "Octets of inner packets through all Child SAs so far");
    sample(stream, "henb_esp_bytes_total", "direction", "in", json_number(totals, "BytesIn"));
    sample(stream, "henb_esp_bytes_total", "direction", "out", json_number(totals, "BytesOut"));
    family(stream, "henb_esp_dropped_packets", "counter",
           "Inbound packets that were dropped so far");
    drops_print(stream, "henb_esp_dropped_packets_total", totals, in, ELEMENTS(in));
    if (json_member(totals, "NoSaDropsOut")) {
        family(stream, "henb_esp_dropped_outbound_packets", "counter",
               "Packets for the tunnel that were dropped so far");
        drops_print(stream, "henb_esp_dropped_outbound_packets_total", totals, out, ELEMENTS(out));
    }
    family(stream, "henb_exchanges", "counter", "IKE SAs that were begun in the TrE so far");
    sample(stream, "henb_exchanges_total", NULL, NULL, json_number(totals, "Exchanges"));
}

/* RFC 4301 5.1, 5.2: what no policy lets by. */
static void cleartext_print(FILE *stream, json_object *tre)
{
    family(stream, "henb_cleartext_dropped_packets", "counter",
           "Packets past the tunnel that were dropped so far");
    sample(stream, "henb_cleartext_dropped_packets_total", "direction", "in",
           json_number(tre, "CleartextDropsIn"));
    sample(stream, "henb_cleartext_dropped_packets_total", "direction", "out",
           json_number(tre, "CleartextDropsOut"));
}

static void tre_print(FILE *stream, json_object *snapshot)
{
    json_object *tre = json_member(snapshot, "TrE");
    static const char *const states[] = {
        "ready",   "development", "unprovisioned", "integrity-failed", "tpm-unavailable",
        "loading", NULL};

    family(stream, "henb_tre_state", "gauge", "The state of the TrE");
    states_print(stream, "henb_tre_state", NULL, states, json_text(tre, "State"));
    family(stream, "henb_anchors_version", "gauge",
           "The version of the SeGW anchors that the TPM guards");
    sample(stream, "henb_anchors_version", NULL, NULL,
           is_true(tre, "AnchorsGuarded") ? json_number(tre, "AnchorsVersion") : 0);
    certificates_print(stream, snapshot);
    crls_print(stream, tre);
    traffic_print(stream, json_member(tre, "Totals"));
    cleartext_print(stream, tre);
}

static void clients_print(FILE *stream, json_object *snapshot)
{
    static const char *const states[] = {
        "idle", "connecting", "established", "established-no-child", "waiting", "closing", NULL};
    static const struct {
        const char *name, *help, *member;
    } counters[] = {
        {"henb_ike_attempts", "Attempts to connect so far", "Attempts"},
        {"henb_ike_established", "IKE SAs that came up so far", "Established"},
        {"henb_ike_failures", "Attempts that led to no IKE SA so far", "Failures"},
        {"henb_ike_losses", "IKE SAs in use that ended and not by the HeNB so far", "Losses"},
    };
    const size_t count = clients_count(snapshot);

    family(stream, "henb_connection_state", "gauge", "The state of the connection to the SeGW");
    for (size_t i = 0; i < count; i++) {
        const Client client = client_at(snapshot, i);

        states_print(stream, "henb_connection_state", client.name, states,
                     json_text(client.properties, "State"));
    }
    family(stream, "henb_connection_established_timestamp_seconds", "gauge",
           "Since when the IKE SA in use is established; 0 if there is none");
    for (size_t i = 0; i < count; i++) {
        const Client client = client_at(snapshot, i);

        sample_of(stream, "henb_connection_established_timestamp_seconds", client.name, NULL, NULL,
                  json_number(client.properties, "EstablishedSince"));
    }
    for (size_t which = 0; which < ELEMENTS(counters); which++) {
        char name[64];

        family(stream, counters[which].name, "counter", counters[which].help);
        (void)snprintf(name, sizeof(name), "%s_total", counters[which].name);
        for (size_t i = 0; i < count; i++) {
            const Client client = client_at(snapshot, i);

            sample_of(
                stream, name, client.name, NULL, NULL,
                json_number(json_member(client.properties, "Totals"), counters[which].member));
        }
    }
}

void metrics_print(FILE *stream, json_object *snapshot)
{
    json_object *tre = json_member(snapshot, "TrE"), *client = json_member(snapshot, "IkeClient");

    services_print(stream, tre, client);
    if (tre)
        tre_print(stream, snapshot);
    if (client)
        clients_print(stream, snapshot);
    (void)fputs("# EOF\n", stream);
}

enum { FILE_MODE = 0644 };

static const CommandOption options[] = {
    {"output", "FILE", 'o', "replace this file, in one step; else standard output"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine line = {
    .program = "trectl metrics",
    .usage = "Usage: trectl metrics [--output FILE]\n"
             "Writes what monitoring needs to know in the form of OpenMetrics, as Prometheus' node "
             "exporter\ntakes it from a file.\n",
    .options = options,
    .more = "Exit status: 0 written, 69 the bus can't be reached, 73 the file can't be written.\n",
};

static int option_take(int value, const char *argument, void *userdata)
{
    const char **output = userdata;

    (void)value;
    *output = argument;
    return 0;
}

static int fail(int status, const char *culprit, const char *text)
{
    (void)fprintf(stderr, "trectl metrics: %s%s%s\n", culprit, culprit[0] != '\0' ? ": " : "",
                  text);
    return status;
}

/* A reader meets the old file or the new one, and nothing between. */
static int file_put(const char *path, json_object *snapshot)
{
    _cleanup_(free_charp) char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (!stream)
        return fail(EX_OSERR, "", strerror(ENOMEM));
    metrics_print(stream, snapshot);
    if (fclose(stream) != 0)
        return fail(EX_OSERR, "", strerror(ENOMEM));
    int r = file_write_atomic(path, (Bytes){(const uint8_t *)text, size}, FILE_MODE);
    return r < 0 ? fail(EX_CANTCREAT, path, strerror(-r)) : EX_OK;
}

int metrics_main(int argc, char **argv)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(json_object_putp) json_object *snapshot = NULL;
    const char *output = NULL;
    Reason reason = {0};
    int r = commandline_read(&line, argc, argv, option_take, &output);

    if (r != COMMANDLINE_GO_ON)
        return r;
    r = bus_connection_open(&bus, &reason);
    if (r < 0)
        return fail(exit_status(r, EX_UNAVAILABLE), "", reason.text);
    r = snapshot_take(bus, CLIENT_PATH, &snapshot);
    if (r < 0)
        return fail(EX_OSERR, "", strerror(-r));
    if (output)
        return file_put(output, snapshot);
    metrics_print(stdout, snapshot);
    return EX_OK;
}
