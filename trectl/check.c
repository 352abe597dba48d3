/* What trectl doctor looks at: the users that the services run as, the bus, and, with tred's own
 * code and as its user, key, certificates, anchors, TPM and data plane. */
#include "trectl/check.h"

#include "base/cleanup.h"
#include "base/reason.h"
#include "crypto/openssl.h"
#include "crypto/secret.h"
#include "crypto/spki.h"
#include "dataplane/dataplane.h"
#include "device/identity.h"
#include "trectl/as_user.h"
#include "tred/bus.h"
#include "tred/bus_connection.h"
#include "tred/identity.h"

#include <errno.h>
#include <grp.h>
#include <json-c/json.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

int findings_init(Findings *findings, bool json)
{
    FindingCounts *counts =
        mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (counts == MAP_FAILED)
        return -ENOMEM;
    *findings = (Findings){.json = json, .counts = counts};
    return 0;
}

/* One line of text, or one object of JSON. */
static void finding_print(const Findings *findings, const char *verdict, const char *name,
                          const char *text)
{
    if (!findings->json) {
        (void)printf("%-8s %s%s%s: %s\n", verdict, name,
                     findings->connection ? ", connection " : "",
                     findings->connection ? findings->connection : "", text);
        return;
    }
    json_object *object = json_object_new_object();
    if (!object)
        return;
    (void)json_object_object_add(object, "verdict", json_object_new_string(verdict));
    (void)json_object_object_add(object, "name", json_object_new_string(name));
    if (findings->connection) {
        (void)json_object_object_add(object, "connection",
                                     json_object_new_string(findings->connection));
    }
    (void)json_object_object_add(object, "text", json_object_new_string(text));
    (void)printf("%s    %s", findings->counts->total > 0 ? ",\n" : "",
                 json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

void findings_add(const Findings *findings, FindingVerdict verdict, const char *name,
                  const char *format, ...)
{
    static const char *const words[] = {
        [FINDING_OK] = "ok", [FINDING_WARNING] = "warning", [FINDING_PROBLEM] = "problem"};
    Reason text;
    va_list arguments;

    va_start(arguments, format);
    (void)reason_set_v(&text, 0, format, arguments);
    va_end(arguments);
    finding_print(findings, words[verdict], name, text.text);
    findings->counts->total++;
    findings->counts->n_warnings += verdict == FINDING_WARNING;
    findings->counts->n_problems += verdict == FINDING_PROBLEM;
}

#define REMEDY "Run systemd-sysusers, which reads sysusers.d/tred.conf"

static void user_check(const Findings *findings, const char *name, const char *duty)
{
    if (getpwnam(name)) {
        findings_add(findings, FINDING_OK, "user", "%s, %s", name, duty);
    } else {
        findings_add(findings, FINDING_PROBLEM, "user", "There is no user %s, %s. " REMEDY, name,
                     duty);
    }
}

static bool group_has(const struct group *group, const struct passwd *user)
{
    if (user->pw_gid == group->gr_gid)
        return true;
    for (char **member = group->gr_mem; *member; member++) {
        if (strcmp(*member, user->pw_name) == 0)
            return true;
    }
    return false;
}

/* /dev/tpmrm0 belongs to group tss. */
static void tpm_group_check(const Findings *findings)
{
    const struct passwd *user = getpwnam("tred-tpm");
    const struct group *tss = getgrnam("tss");

    if (!tss) {
        findings_add(findings, FINDING_PROBLEM, "group",
                     "There is no group tss, which the TPM's device belongs to. Install tpm-udev, "
                     "or: groupadd --system tss");
    } else if (user && !group_has(tss, user)) {
        findings_add(findings, FINDING_PROBLEM, "group",
                     "User tred-tpm is not in group tss, which the TPM's device belongs to. Run: "
                     "usermod -aG tss tred-tpm");
    } else if (user) {
        findings_add(findings, FINDING_OK, "group", "tss has tred-tpm in it");
    }
}

void check_users(const Findings *findings)
{
    user_check(findings, "tred", "whom the TrE runs as");
    user_check(findings, "tred-tpm", "whom the part with the TPM runs as");
    user_check(findings, "henb-ike", "whom the IKE client runs as");
    tpm_group_check(findings);
}

static bool name_has_owner(sd_bus *bus)
{
    sd_bus_creds *creds = NULL;
    int r = sd_bus_get_name_creds(bus, BUS_NAME, 0, &creds);

    sd_bus_creds_unref(creds);
    return r >= 0;
}

/* Takes the name for a moment, as user tred; what is refused here is refused to the daemon. */
static int bus_try(void *userdata)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    const Findings *const *with = userdata;
    const Findings *findings = *with;
    Reason reason = {0};
    int r;

    r = bus_connection_open(&bus, &reason);
    if (r == 0 && name_has_owner(bus)) {
        findings_add(findings, FINDING_OK, "bus", BUS_NAME " is there");
        return 0;
    }
    if (r == 0)
        r = bus_connection_take_name(bus, &reason);
    if (r < 0) {
        findings_add(findings, FINDING_PROBLEM, "bus", "%s", reason.text);
        return 0;
    }
    findings_add(findings, FINDING_OK, "bus", "user tred may have the name " BUS_NAME);
    return 0;
}

void check_bus(const Findings *findings)
{
    int r = as_user_run("tred", bus_try, &findings);

    if (r < 0) {
        findings_add(findings, FINDING_PROBLEM, "bus",
                     "Can't be tried as user tred: %s. Run trectl doctor as root",
                     r == -ENOENT ? "there is no such user" : "that takes root's rights");
    }
}

typedef struct IdentityCheck {
    const Findings *findings;
    const TredConfig *config;
    IdentityPart end; /* the first part that is left out */
} IdentityCheck;

/* What tred looks at, and what it has looked at by whoever has the TPM, in one process here. */
typedef struct Looked {
    DeviceIdentity *device;
    Identity *identity;
} Looked;

static int key_take(const DeviceIdentity *device, DeviceFacts *facts)
{
    _cleanup_(openssl_free_bytesp) unsigned char *key = NULL;
    const int size = spki_encode(device->public_key, &key);

    if (size < 0 || (size_t)size > sizeof(facts->key))
        return size < 0 ? size : -EIO;
    memcpy(facts->key, key, (size_t)size);
    facts->key_size = (size_t)size;
    return 0;
}

/* As tred has it read; nothing else is to be done meanwhile. */
static int read_now(const TredConfig *config, Identity *identity, IdentityReading what,
                    const FileOctets *octets, Reason *reason)
{
    const Bytes file = octets ? (Bytes){octets->data, octets->size} : (Bytes){0};
    int r = 0;

    if (!identity->verifier && what != IDENTITY_READS_PROFILE)
        r = read_now(config, identity, IDENTITY_READS_PROFILE, NULL, reason);
    if (r == 0)
        r = identity_read_begin(config, identity, what, file, reason);
    return r == 0 ? identity_read_end(config, identity, what, file, reason) : r;
}

/* A part that was found, as tred goes on with it. */
static int part_read(const TredConfig *config, IdentityPart part, const Looked *looked,
                     Reason *reason)
{
    const DeviceIdentity *device = looked->device;
    Identity *identity = looked->identity;

    switch (part) {
    case IDENTITY_KEY_FILE:
        return key_take(device, &identity->facts);
    case IDENTITY_CERTIFICATES:
        return read_now(config, identity, IDENTITY_READS_CHAIN, &device->certificates, reason);
    case IDENTITY_ANCHORS:
        return read_now(config, identity, IDENTITY_READS_ANCHORS, &device->anchors, reason);
    case IDENTITY_LAST_KNOWN_TIME:
        identity->facts.anchors_guarded = device->anchors_guarded;
        identity->facts.last_known = device->last_known;
        identity_time_take(config, identity);
        return 0;
    default:
        return 0;
    }
}

static void part_check(IdentityCheck *check, IdentityPart part, const Looked *looked)
{
    DeviceFiles files;
    Reason reason = {0};
    const char *name = identity_part_name(part);
    int r = identity_files(check->config, &files, &reason);

    if (r == 0)
        r = device_identity_load_part(&files, part, looked->device, &reason);

    if (r == 0)
        r = part_read(check->config, part, looked, &reason);
    if (r < 0) {
        findings_add(check->findings, FINDING_PROBLEM, name, "%s", strerror(-r));
    } else if (r > 0) {
        findings_add(check->findings, FINDING_PROBLEM, name, "%s", reason.text);
    } else {
        findings_add(check->findings, FINDING_OK, name, "%s",
                     part == IDENTITY_CERTIFICATES ? looked->identity->fqdn : "found and fit");
    }
}

/* As tred reads them: each file by itself, so that all that are wrong are named. */
static void crls_try(IdentityCheck *check, Verifier *verifier, const CrlFiles *files)
{
    size_t n_good = 0;

    for (size_t i = 0; i < files->count; i++) {
        const CrlFile *file = files->files[i];
        Reason reason = {0};
        int r = verifier_hand(verifier, FRAME_CRL, (Bytes){file->data, file->size}, file->path,
                              (Bytes){0}, &reason);

        if (r == 0)
            r = verifier_take(verifier, &reason);
        n_good += r == 0;
        if (r != 0) {
            findings_add(check->findings, FINDING_PROBLEM, "CRLs", "%s",
                         reason.text[0] != '\0' ? reason.text : strerror(-r));
        }
    }
    if (n_good == files->count)
        findings_add(check->findings, FINDING_OK, "CRLs", "%zu file(s) can be read", n_good);
}

static void crls_check(IdentityCheck *check, Verifier *verifier)
{
    const CrlFiles none = {0};
    Reason problem = {0};
    CrlFiles files;

    if (check->config->revocation == REVOCATION_OFF || !verifier)
        return;
    if (crl_files_read(check->config->crl_directory, &none, true, 0, &files, &problem) < 0)
        reason_set(&problem, 0, "%s", strerror(ENOMEM));
    if (problem.text[0] != '\0') {
        findings_add(check->findings, FINDING_PROBLEM, "CRLs", "%s", problem.text);
    } else {
        crls_try(check, verifier, &files);
    }
    crl_files_deinit(&files);
}

static int identity_try(void *userdata)
{
    _cleanup_(identity_freep) Identity *identity = calloc(1, sizeof(*identity));
    _cleanup_(device_identity_freep) DeviceIdentity *device = calloc(1, sizeof(*device));
    const Looked looked = {device, identity};
    IdentityCheck *check = userdata;

    if (!identity || !device) {
        findings_add(check->findings, FINDING_PROBLEM, "memory", "%s", strerror(ENOMEM));
        return 0;
    }
    if (check->end > IDENTITY_TPM && secrets_init() < 0) {
        findings_add(check->findings, FINDING_PROBLEM, "memory",
                     "No memory can be locked for keys. Raise the limit (ulimit -l), and have "
                     "LimitMEMLOCK=infinity in tred's unit");
    }
    for (int part = 0; part < (int)check->end; part++)
        part_check(check, (IdentityPart)part, &looked);
    if (time(NULL) < identity->last_known) {
        findings_add(check->findings, FINDING_WARNING, "clock",
                     "Behind the TPM's last-known time, by which certificates are judged then. Set "
                     "the clock; if it is right, have the operator correct the last-known time "
                     "(tred-nv(7))");
    }
    if (check->end == IDENTITY_PARTS && device->key && device_identity_development(device)) {
        findings_add(check->findings, FINDING_WARNING, "development", "%s",
                     device_identity_development(device));
    }
    if (identity->validity_problem.text[0] != '\0') {
        findings_add(check->findings, FINDING_PROBLEM, "clock", "%s",
                     identity->validity_problem.text);
    } else if (identity->n_certificates > 0) {
        findings_add(check->findings, FINDING_OK, "clock",
                     "within the device certificate's validity");
    }
    crls_check(check, identity->verifier);
    return 0;
}

void check_identity(const Findings *findings, const TredConfig *config, bool tpm_too)
{
    IdentityCheck check = {
        .findings = findings, .config = config, .end = tpm_too ? IDENTITY_PARTS : IDENTITY_TPM};
    int r = as_user_run("tred-tpm", identity_try, &check);

    if (r < 0) {
        findings_add(findings, FINDING_PROBLEM, "identity",
                     "Can't be read as user tred-tpm: %s. Run trectl doctor as root",
                     r == -ENOENT ? "there is no such user" : "that takes root's rights");
    }
}

typedef struct DataPlaneCheck {
    const Findings *findings;
    const TredConfig *config;
    const char *net_program;
} DataPlaneCheck;

static int event_open(sd_event **ret, Reason *reason)
{
    int r = secrets_init();

    if (r >= 0)
        r = sd_event_new(ret);
    if (r < 0)
        reason_set(reason, 0, "It can't be tried: %s", strerror(-r));
    return r;
}

/* With a tred-net of its own: the one that serves tred is another network's. The rules that protect
 * the tunnel go with this network, too. */
static int dataplane_try(void *userdata)
{
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    _cleanup_(dataplane_closep) DataPlane *plane = NULL;
    DataPlaneCheck *check = userdata;
    const ProtectOrder protect = {
        .mode = (ProtectMode)check->config->protect,
        .networks = check->config->allowed_remote,
        .except = check->config->protect_except,
    };
    DataPlaneOptions options = {
        .mode = (DataPlaneMode)check->config->data_plane,
        .interfaces = check->config->interfaces,
        .net_program = check->net_program,
        .esp_program = check->config->esp_helper,
        .protect = &protect,
    };
    Reason reason = {0};
    int r = event_open(&event, &reason);

    options.event = event;
    if (r >= 0)
        r = dataplane_open(&options, &plane, &reason);
    if (r < 0) {
        findings_add(check->findings, FINDING_PROBLEM, "data plane", "%s", reason.text);
    } else {
        findings_add(check->findings, FINDING_OK, "data plane", "%s", dataplane_name(plane));
    }
    return 0;
}

void check_dataplane(const Findings *findings, const TredConfig *config, const char *net_program)
{
    DataPlaneCheck check = {.findings = findings, .config = config, .net_program = net_program};
    int r = as_service_run("tred", dataplane_try, &check);

    if (r < 0) {
        findings_add(findings, FINDING_PROBLEM, "data plane",
                     "Can't be tried as user tred: %s. Run trectl doctor as root",
                     r == -ENOENT ? "there is no such user" : "that takes root's rights");
    }
}
