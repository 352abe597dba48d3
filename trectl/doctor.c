/* trectl doctor: what stands between this machine and a working TrE, in the order in which it
 * should be mended; and what it looks at of the two services, as the bus and systemd have them. */
#include "base/cleanup.h"
#include "base/program.h"
#include "base/reason.h"
#include "ikeclient/config.h"
#include "trectl/as_user.h"
#include "trectl/busjson.h"
#include "trectl/check.h"
#include "trectl/commands.h"
#include "trectl/snapshot.h"
#include "tred/bus_connection.h"
#include "tred/config.h"
#include "tred/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- what systemd says of a unit (org.freedesktop.systemd1(5)) ---- */

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER SYSTEMD ".Manager"
#define SYSTEMD_SERVICE SYSTEMD ".Service"

enum { UNIT_WORD_SIZE = 32 };

typedef struct Unit {
    bool known;                   /* systemd answered, and has such a unit */
    char active[UNIT_WORD_SIZE];  /* "active", "inactive", "failed", "activating" … */
    char enabled[UNIT_WORD_SIZE]; /* "enabled", "disabled", "static", "masked" … */
    char result[UNIT_WORD_SIZE];  /* of a service that has failed: "exit-code", "watchdog" … */
    int status;                   /* with "exit-code", its exit status */
} Unit;

static void word_copy(char *ret, const char *word)
{
    (void)snprintf(ret, UNIT_WORD_SIZE, "%s", word);
}

/* Why it failed. */
static void result_look(sd_bus *bus, const char *path, Unit *unit)
{
    _cleanup_(free_charp) char *result = NULL;
    int status = 0;

    if (sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD_SERVICE, "Result", NULL, &result) >=
        0)
        word_copy(unit->result, result);
    if (sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD_SERVICE, "ExecMainStatus", NULL,
                                    'i', &status) >= 0)
        unit->status = status;
}

static int active_look(sd_bus *bus, const char *name, Unit *unit)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *load = NULL, *active = NULL, *path = NULL;
    int r = sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "ListUnitsByNames",
                               NULL, &reply, "as", 1, name);

    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
    if (r > 0) {
        r = sd_bus_message_read(reply, "(ssssssouso)", NULL, NULL, &load, &active, NULL, NULL,
                                &path, NULL, NULL, NULL);
    }
    if (r <= 0)
        return r;
    unit->known = strcmp(load, "loaded") == 0 || strcmp(load, "masked") == 0;
    word_copy(unit->active, active);
    if (strcmp(active, "failed") == 0)
        result_look(bus, path, unit);
    return r;
}

/* Asks for `name` ("tred.service"). Where there is no systemd to ask, nothing is known. */
static void unit_look(sd_bus *bus, const char *name, Unit *ret)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *state = NULL;

    *ret = (Unit){0};
    if (active_look(bus, name, ret) <= 0 || !ret->known)
        return;
    if (sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "GetUnitFileState", NULL,
                           &reply, "s", name) >= 0 &&
        sd_bus_message_read(reply, "s", &state) > 0)
        word_copy(ret->enabled, state);
}

/* ---- a service that does not run ---- */

typedef struct Service {
    const char *name; /* "ikeclient" */
    const char *unit;
    bool on_demand;       /* others start it when they need it */
    const char *left_out; /* what there is not while it does not run */
} Service;

static const Service tred_service = {"tred", "tred.service", true, "no tunnel can be made"};
static const Service client_service = {"ikeclient", "ikeclient.service", false,
                                       "there is no tunnel"};

/* What the exit status stands for, and so where to look. */
static const char *status_words(int status)
{
    switch (status) {
    case EX_USAGE:
        return ": its command line is wrong";
    case EX_CONFIG:
        return ": its configuration is wrong";
    case EX_NOPERM:
        return ": a right is missing";
    case EX_UNAVAILABLE:
        return ": something that it needs is not there";
    default:
        return "";
    }
}

static void failed_say(const Findings *findings, const Service *service, const Unit *unit)
{
    if (strcmp(unit->result, "exit-code") == 0) {
        findings_add(findings, FINDING_PROBLEM, service->name,
                     "has failed with exit status %d%s. See journalctl -u %s, mend it, and run: "
                     "systemctl start %s",
                     unit->status, status_words(unit->status), service->name, service->name);
    } else {
        findings_add(findings, FINDING_PROBLEM, service->name,
                     "has failed (%s). See journalctl -u %s, and run: systemctl start %s",
                     unit->result[0] != '\0' ? unit->result : "systemd does not say how",
                     service->name, service->name);
    }
}

static bool is_enabled(const Unit *unit)
{
    return strncmp(unit->enabled, "enabled", strlen("enabled")) == 0;
}

/* Whether it is right that it does not run: as systemd was told. */
static void stopped_say(const Findings *findings, sd_bus *bus, const Service *service)
{
    const char *name = service->name;
    Unit unit;

    unit_look(bus, service->unit, &unit);
    if (strcmp(unit.active, "failed") == 0) {
        failed_say(findings, service, &unit);
    } else if (strcmp(unit.enabled, "masked") == 0) {
        findings_add(findings, FINDING_PROBLEM, name,
                     "is masked, so that nobody can start it. Run: systemctl unmask %s", name);
    } else if (strcmp(unit.active, "activating") == 0) {
        findings_add(findings, FINDING_WARNING, name, "is being started");
    } else if (service->on_demand) {
        findings_add(findings, FINDING_OK, name, "is not running; it starts when it is needed");
    } else if (is_enabled(&unit)) {
        findings_add(
            findings, FINDING_PROBLEM, name,
            "is not running, although it is enabled: somebody has stopped it, and %s. Run: "
            "systemctl start %s",
            service->left_out, name);
    } else if (unit.known) {
        findings_add(findings, FINDING_WARNING, name,
                     "is not running and not enabled, as systemd was told, and %s. To change that: "
                     "systemctl enable --now %s",
                     service->left_out, name);
    } else {
        findings_add(findings, FINDING_WARNING, name,
                     "is not running, and %s. There is no systemd to ask whether that is right",
                     service->left_out);
    }
}

/* Asked only if it runs: a question would start it by activation. */
static bool is_running(sd_bus *bus, const char *name)
{
    sd_bus_creds *creds = NULL;
    int r = sd_bus_get_name_creds(bus, name, 0, &creds);

    sd_bus_creds_unref(creds);
    return r >= 0;
}

/* ---- tred ---- */

static void crls_in_force_check(const Findings *findings, json_object *tre)
{
    const char *problem = json_text(tre, "CrlProblem");

    if (problem[0] != '\0') {
        findings_add(findings, FINDING_PROBLEM, "tred's CRLs",
                     "%s. What was in force before stays so; where nothing was, no SeGW is taken",
                     problem);
    }
}

static void tred_say(const Findings *findings, json_object *tre)
{
    const char *state = json_text(tre, "State"), *reason = json_text(tre, "StateReason");

    if (strcmp(state, identity_state_name(IDENTITY_DEVELOPMENT)) == 0) {
        findings_add(findings, FINDING_WARNING, "tred", "runs, for development: %s", reason);
    } else if (strcmp(state, identity_state_name(IDENTITY_READY)) == 0) {
        findings_add(findings, FINDING_OK, "tred", "runs, and is ready");
    } else {
        findings_add(findings, FINDING_PROBLEM, "tred", "runs, but is %s: %s", state, reason);
    }
    crls_in_force_check(findings, tre);
}

/* Whether tred runs, and what it says of itself. Returns true if it runs. */
static bool check_daemon(const Findings *findings)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(json_object_putp) json_object *tre = NULL;
    Reason bus_reason = {0};

    if (bus_connection_open(&bus, &bus_reason) < 0) {
        findings_add(findings, FINDING_OK, "tred", "is not running, as there is no bus");
        return false;
    }
    if (!is_running(bus, BUS_NAME)) {
        stopped_say(findings, bus, &tred_service);
        return false;
    }
    if (bus_json_properties(bus, BUS_NAME, BUS_MANAGER_PATH, BUS_MANAGER_INTERFACE, &tre) < 0) {
        findings_add(findings, FINDING_PROBLEM, "tred",
                     "runs and does not answer. Restart it: systemctl restart tred");
    } else {
        tred_say(findings, tre);
    }
    return true;
}

/* ---- ikeclient ---- */

/* Findings about one of `count` connections. */
static Findings findings_of(const Findings *findings, const char *connection, size_t count)
{
    Findings of = *findings;

    of.connection = count > 1 ? connection : NULL;
    return of;
}

typedef struct ConfigurationCheck {
    const Findings *findings;
    const char *path;
    const Segws *segws; /* tred's; NULL: they can't be read */
} ConfigurationCheck;

/* What tred.conf does not have, no exchange is begun with. */
static void segw_check(const Findings *findings, const Segws *segws, const char *name)
{
    if (segws && !segws_find(segws, name)) {
        findings_add(
            findings, FINDING_PROBLEM, "ikeclient's configuration",
            "tred.conf does not have the section [segw %s], which [connection %s] leads to. "
            "Add it there, or correct the name",
            name, name);
    }
}

static int configuration_try(void *userdata)
{
    _cleanup_(configs_deinit) Configs configs = {0};
    ConfigurationCheck *check = userdata;
    Reason reason = {0};
    int r = configs_load(check->path, &configs, &reason);

    if (r < 0) {
        findings_add(check->findings, FINDING_PROBLEM, "ikeclient's configuration", "%s",
                     reason.text[0] != '\0' ? reason.text : strerror(-r));
    }
    for (size_t i = 0; r >= 0 && i < configs.count; i++) {
        const Config *config = configs.list[i];
        const Findings findings = findings_of(check->findings, config->name, configs.count);
        /* Once: of several, the finding has the name. */
        const bool is_named = configs.count == 1 && strcmp(config->name, CONNECTION_DEFAULT) != 0;

        findings_add(&findings, FINDING_OK, "ikeclient's configuration",
                     "%s; the SeGW%s%s is at %s", check->path, is_named ? " of connection " : "",
                     is_named ? config->name : "", config->segw_address);
        segw_check(&findings, check->segws, config->name);
    }
    return 0;
}

/* ikeclient's configuration at `path`, as its user meets it. */
static void check_client_configuration(const Findings *findings, const char *path,
                                       const Segws *segws)
{
    ConfigurationCheck check = {.findings = findings, .path = path, .segws = segws};
    int r = as_user_run("henb-ike", configuration_try, &check);

    if (r < 0) {
        findings_add(findings, FINDING_PROBLEM, "ikeclient's configuration",
                     "Can't be read as user henb-ike: %s. Run trectl doctor as root",
                     r == -ENOENT ? "there is no such user" : "that takes root's rights");
    }
}

/* So many are started at a time, and the others when these have come to something: one that is idle
 * and was never begun, while others are being connected, may be waiting for its turn. */
static bool may_wait_its_turn(json_object *client, bool connecting)
{
    return connecting && json_number(json_member(client, "Totals"), "Attempts") == 0;
}

/* `connecting`: one of them is being connected. */
static void client_say(const Findings *findings, json_object *client, bool connecting)
{
    const char *state = json_text(client, "State"), *problem = json_text(client, "LastError");
    const bool of_several = findings->connection != NULL;

    if (strcmp(state, "established") == 0) {
        findings_add(findings, FINDING_OK, "ikeclient", "runs, and has a tunnel to %s",
                     json_text(client, "SegwIdentity"));
    } else if (strcmp(state, "idle") == 0 && problem[0] == '\0') {
        findings_add(findings, FINDING_WARNING, "ikeclient",
                     "runs, and %s. To have one%s: trectl up%s%s",
                     may_wait_its_turn(client, connecting)
                         ? "has no tunnel yet: its turn to start has not come, or it was told to "
                           "have none"
                         : "was told to have no tunnel",
                     may_wait_its_turn(client, connecting) ? " now" : "",
                     of_several ? " --connection " : "", of_several ? findings->connection : "");
    } else if (problem[0] != '\0') {
        findings_add(findings, FINDING_PROBLEM, "ikeclient", "runs, and is %s: %s", state, problem);
    } else {
        findings_add(findings, FINDING_OK, "ikeclient", "runs, and is %s", state);
    }
}

/* Of each, once all are there. False if one does not answer. */
static bool clients_say(const Findings *findings, sd_bus *bus, json_object *connections)
{
    _cleanup_(json_object_putp) json_object *clients = json_object_new_array();
    const size_t count = json_count(connections);
    bool connecting = false;

    for (size_t i = 0; clients && i < count; i++) {
        json_object *client = client_connection_take(bus, connections, i);

        if (!client || json_object_array_add(clients, client) < 0) {
            json_object_put(client);
            return false;
        }
        connecting = connecting || strcmp(json_text(client, "State"), "connecting") == 0;
    }
    for (size_t i = 0; i < json_count(clients); i++) {
        const Findings of = findings_of(findings, client_connection_name(connections, i), count);

        client_say(&of, json_item(clients, i), connecting);
    }
    return json_count(clients) > 0;
}

/* Whether ikeclient runs, and what it says of each of its connections. */
static void check_client(const Findings *findings)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(json_object_putp) json_object *connections = NULL;
    Reason reason = {0};

    if (bus_connection_open(&bus, &reason) < 0)
        return; /* it was said of the bus */
    if (!is_running(bus, CLIENT_NAME)) {
        stopped_say(findings, bus, &client_service);
        return;
    }
    connections = client_connections(bus);
    if (!clients_say(findings, bus, connections)) {
        findings_add(findings, FINDING_PROBLEM, "ikeclient",
                     "runs and does not answer. Restart it: systemctl restart ikeclient");
    }
}

/* ---- the command ---- */

enum { NET_PROGRAM = 256, CLIENT_CONFIG };

static const CommandOption command_options[] = {
    {"config", "FILE", 'c', "tred's configuration (default /etc/tred/tred.conf)"},
    {"client-config", "FILE", CLIENT_CONFIG,
     "ikeclient's configuration (default /etc/tred/ikeclient.conf)"},
    {"tred-net", "FILE", NET_PROGRAM, "the program that the data plane is tried with"},
    {"json", NULL, 'j', "print the findings as JSON"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine line = {
    .program = "trectl doctor",
    .usage = "Usage: trectl doctor [OPTION…]\n"
             "Says what stands between this machine and a working trusted environment, and what to "
             "do.\n",
    .options = command_options,
    .more = "Exit status: 0 nothing stands in the way, 1 something does, 64 wrong usage.\n",
};

typedef struct DoctorOptions {
    const char *config, *client_config, *net_program;
    bool json;
} DoctorOptions;

static void segws_say(const Findings *findings, const char *path, const Segws *segws)
{
    for (size_t i = 0; i < segws->count; i++) {
        const Segw *segw = segws->list[i];

        findings_add(findings, FINDING_OK, "configuration", "%s; the SeGW%s%s is %s", path,
                     i > 0 ? " of connection " : "", i > 0 ? segw->label : "", segw->name);
    }
}

/* The rest of the checks need to know what tred was told to use. True if that can be read. */
static bool configured_check(const Findings *findings, const char *path, const char *net_program,
                             TredConfig *ret)
{
    Reason reason = {0};
    int r = tred_config_read(path, ret, &reason);
    bool running;

    if (r < 0) {
        findings_add(findings, FINDING_PROBLEM, "configuration", "%s",
                     reason.text[0] != '\0' ? reason.text : strerror(-r));
        return false;
    }
    segws_say(findings, path, &ret->segws);
    check_dataplane(findings, ret, net_program);
    running = check_daemon(findings);
    check_identity(findings, ret, !running);
    return true;
}

static int option_take(int value, const char *argument, void *userdata)
{
    DoctorOptions *options = userdata;

    switch (value) {
    case 'c':
        options->config = argument;
        return 0;
    case CLIENT_CONFIG:
        options->client_config = argument;
        return 0;
    case NET_PROGRAM:
        options->net_program = argument;
        return 0;
    default:
        options->json = true;
        return 0;
    }
}

static void end_print(const Findings *findings)
{
    if (findings->json) {
        (void)printf("\n  ],\n  \"problems\": %u,\n  \"warnings\": %u\n}\n",
                     findings->counts->n_problems, findings->counts->n_warnings);
    } else if (findings->counts->n_problems == 0) {
        (void)puts("Nothing stands in the way");
    } else {
        (void)printf("%u problem(s), each with its remedy above.\n", findings->counts->n_problems);
    }
}

int doctor_main(int argc, char **argv)
{
    DoctorOptions options = {.config = "/etc/tred/tred.conf",
                             .client_config = "/etc/tred/ikeclient.conf",
                             .net_program = TRED_NET_PATH};
    _cleanup_(tred_config_deinit) TredConfig config = {0};
    Findings findings = {0};
    int r = commandline_read(&line, argc, argv, option_take, &options);

    if (r != COMMANDLINE_GO_ON)
        return r;
    if (findings_init(&findings, options.json) < 0) {
        (void)fprintf(stderr, "trectl doctor: %s\n", strerror(ENOMEM));
        return EX_OSERR;
    }
    if (findings.json)
        (void)puts("{\n  \"findings\": [");
    check_users(&findings);
    check_bus(&findings);
    const bool configured =
        configured_check(&findings, options.config, options.net_program, &config);
    check_client_configuration(&findings, options.client_config, configured ? &config.segws : NULL);
    check_client(&findings);
    end_print(&findings);
    return findings.counts->n_problems == 0 ? EX_OK : EXIT_FAILURE;
}
