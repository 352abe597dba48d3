/* How does a test get a tred that nobody else uses? */
#include "tred_fixture.h"
#include "tpm/open.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/file_write.h"
#include "base/helper.h"
#include "base/local_serve.h"
#include "base/reason.h"
#include "crypto/secret.h"
#include "policy/devicekey.h"
#include "tpm/storagekey.h"

#include <errno.h>
#include <openssl/pem.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

enum { TRIES = 1000, PAUSE_NS = 10 * 1000 * 1000, PATH_SIZE = 160, LOCKED_SIZE = 4608 * 1024 };

static const char bus_configuration[] =
    "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" "
    "\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
    "<busconfig><auth>EXTERNAL</auth><listen>unix:path=%s/bus</listen>\n"
    "<policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>"
    "<allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy></busconfig>\n";

static const char tred_configuration[] =
    "[tpm]\ntcti = %s\nsocket = %s/tred-tpm\n"
    "[identity]\nkey = %s/device.pem\n"
    "certificates = %s/device.crt\n"
    "[segw]\n%sname = " SEGW_FQDN "\nanchors = %s/anchors.pem\n"
    "verifier = " TRED_VERIFY_BUILT "\n"
    "[exchanges]\nmax-exchanges = 3\n"
    "[data-plane]\nmode = none\n";

static void path_of(const TredFixture *fixture, const char *name, char *ret)
{
    (void)snprintf(ret, PATH_SIZE, "%s/%s", fixture->swtpm.folder, name);
}

static int text_write(const TredFixture *fixture, const char *name, const char *text)
{
    char path[PATH_SIZE];

    path_of(fixture, name, path);
    return file_write_atomic(path, (Bytes){(const uint8_t *)text, strlen(text)}, 0600);
}

static int certificate_write(const TredFixture *fixture, const char *name, X509 *certificate)
{
    _cleanup_(close_filep) FILE *file = NULL;
    char path[PATH_SIZE];

    path_of(fixture, name, path);
    file = fopen(path, "w");
    return file && PEM_write_X509(file, certificate) == 1 ? 0 : -1;
}

static int key_make(TredFixture *fixture, Tpm *tpm, Tss2Key *ret, Reason *reason)
{
    _cleanup_(free_charp) char *pem = NULL;
    TpmObject srk = {0};
    int r;

    r = tpm_srk_open(tpm, true, &srk, reason);
    if (r < 0)
        return r;
    tpm_object_release(tpm, &srk);
    r = device_key_create(tpm, TPM_KEY_ECDSA_P256, NULL, ret, reason);
    if (r < 0)
        return r;
    r = tss2key_encode(ret, &pem);
    return r < 0 ? r : text_write(fixture, "device.pem", pem);
}

/* The TPM's one connection is free for tred again when this returns. */
static int provision(TredFixture *fixture)
{
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    PkiSpec spec = pki_segw_spec(HENB_FQDN);
    Reason reason = {0};
    Tss2Key file;

    if (secrets_init() < 0 || tpm_open(fixture->swtpm.tcti, &tpm, &reason) < 0 ||
        key_make(fixture, tpm, &file, &reason) < 0 ||
        device_key_load(tpm, &file, NULL, &key, &reason) < 0) {
        print_error("%s\n", reason.text);
        return -1;
    }
    fixture->vendor = pki_root("Vendor");
    fixture->root = pki_root("Operator");
    spec.public_key = device_key_public(key);
    fixture->device = pki_issue(&spec, &fixture->vendor);
    if (certificate_write(fixture, "device.crt", fixture->device.certificate) < 0)
        return -1;
    return certificate_write(fixture, "anchors.pem", fixture->root.certificate);
}

/* `line`: one more for [segw], or "". */
static int configuration_write(const TredFixture *fixture, const char *line)
{
    const char *folder = fixture->swtpm.folder;
    char text[1024];

    (void)snprintf(text, sizeof(text), tred_configuration, fixture->swtpm.tcti, folder, folder,
                   folder, line, folder);
    return text_write(fixture, "tred.conf", text);
}

static int files_write(const TredFixture *fixture)
{
    char text[1024];

    (void)snprintf(text, sizeof(text), bus_configuration, fixture->swtpm.folder);
    return text_write(fixture, "bus.conf", text) < 0 ? -1 : configuration_write(fixture, "");
}

/* Starts `program` with one option and the fixture's file `name` as its value; it dies with us. */
static pid_t program_start(const TredFixture *fixture, const char *program, const char *option,
                           const char *name)
{
    char argument[PATH_SIZE + 32];
    char path[PATH_SIZE];
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    path_of(fixture, name, path);
    (void)snprintf(argument, sizeof(argument), "--%s=%s", option, path);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setenv("DBUS_SYSTEM_BUS_ADDRESS", fixture->address, 1);
    (void)execlp(program, program, argument, (char *)NULL);
    perror(program);
    _exit(127);
}

static sd_bus *connect_try(const TredFixture *fixture)
{
    sd_bus *bus = NULL;

    assert_int_equal(sd_bus_new(&bus), 0);
    if (sd_bus_set_address(bus, fixture->address) >= 0 && sd_bus_set_bus_client(bus, true) >= 0 &&
        sd_bus_start(bus) >= 0)
        return bus;
    sd_bus_unref(bus);
    return NULL;
}

/* As tred-tpm.socket has it: each connection starts one, when the one before has ended. It may lock
 * little more than its secure heap, and root's gets on with that, too: it keeps no right to lock
 * more. */
static void tpm_serve(int listener)
{
    const struct rlimit little = {LOCKED_SIZE, LOCKED_SIZE};
    const struct passwd *user = getpwuid(geteuid());

    for (;;) {
        const int connection = accept(listener, NULL, NULL);
        const pid_t pid = fork();

        if (pid == 0) {
            if (setrlimit(RLIMIT_MEMLOCK, &little) == 0 && dup2(connection, HELPER_FD) == HELPER_FD)
                (void)execl(TRED_TPM_BUILT, "tred-tpm", "--connected", "--user",
                            user ? user->pw_name : "root", (char *)NULL);
            perror(TRED_TPM_BUILT);
            _exit(127);
        }
        (void)close(connection);
        (void)waitpid(pid, NULL, 0);
    }
}

static pid_t tpm_start(const TredFixture *fixture)
{
    _cleanup_(close_fdp) int listener = -1;
    char path[PATH_SIZE];

    path_of(fixture, "tred-tpm", path);
    if (local_listen(path, &listener) < 0)
        return -1;
    const pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    tpm_serve(listener);
    _exit(0);
}

static void pause_briefly(void)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};

    (void)nanosleep(&pause, NULL);
}

sd_bus *tred_connect(const TredFixture *fixture)
{
    for (int i = 0; i < TRIES; i++) {
        sd_bus *bus = connect_try(fixture);

        if (bus)
            return bus;
        pause_briefly();
    }
    fail_msg("no bus at %s (is dbus-daemon installed?)", fixture->address);
    return NULL;
}

int tred_fixture_init(TredFixture *fixture, const char *program)
{
    *fixture = (TredFixture){.program = program};
    if (swtpm_start(&fixture->swtpm) < 0)
        return -1;
    (void)snprintf(fixture->address, sizeof(fixture->address), "unix:path=%s/bus",
                   fixture->swtpm.folder);
    if (files_write(fixture) < 0 || provision(fixture) < 0)
        return -1;
    fixture->tpm = tpm_start(fixture);
    fixture->bus = program_start(fixture, "dbus-daemon", "config-file", "bus.conf");
    return fixture->bus > 0 && fixture->tpm > 0 ? 0 : -1;
}

void tred_fixture_deinit(TredFixture *fixture)
{
    (void)tred_stop(fixture);
    if (fixture->bus > 0) {
        (void)kill(fixture->bus, SIGTERM);
        (void)waitpid(fixture->bus, NULL, 0);
    }
    if (fixture->tpm > 0) {
        (void)kill(fixture->tpm, SIGKILL);
        (void)waitpid(fixture->tpm, NULL, 0);
    }
    pki_deinit(&fixture->device);
    pki_deinit(&fixture->vendor);
    pki_deinit(&fixture->root);
    swtpm_stop(&fixture->swtpm);
}

void tred_start(TredFixture *fixture)
{
    sd_bus *bus = tred_connect(fixture);

    fixture->tred = program_start(fixture, fixture->program, "config", "tred.conf");
    for (int i = 0; i < TRIES; i++) {
        if (sd_bus_get_name_creds(bus, "org.tred.TrE1", 0, NULL) >= 0) {
            sd_bus_flush_close_unref(bus);
            return;
        }
        pause_briefly();
    }
    fail_msg("tred did not take its name on the bus");
}

int tred_stop(TredFixture *fixture)
{
    int status = -1;

    if (fixture->tred <= 0)
        return -1;
    (void)kill(fixture->tred, SIGTERM);
    (void)waitpid(fixture->tred, &status, 0);
    fixture->tred = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int tred_run_with_profile(TredFixture *fixture, const char *profile)
{
    char path[PATH_SIZE], line[PATH_SIZE + 16];
    int status = -1;

    path_of(fixture, "profile", path);
    (void)snprintf(line, sizeof(line), "profile = %s\n", path);
    assert_int_equal(text_write(fixture, "profile", profile), 0);
    assert_int_equal(configuration_write(fixture, line), 0);
    const pid_t pid = program_start(fixture, fixture->program, "config", "tred.conf");
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(configuration_write(fixture, ""), 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void file_move(const TredFixture *fixture, const char *from, const char *to)
{
    char old_path[PATH_SIZE], new_path[PATH_SIZE];

    path_of(fixture, from, old_path);
    path_of(fixture, to, new_path);
    assert_int_equal(rename(old_path, new_path), 0);
}

void tred_file_hide(const TredFixture *fixture, const char *name)
{
    file_move(fixture, name, "hidden");
}

void tred_file_show(const TredFixture *fixture, const char *name)
{
    file_move(fixture, "hidden", name);
}
