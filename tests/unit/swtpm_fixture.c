/* How does a test get a TPM that nobody else uses? */
#include "swtpm_fixture.h"

#include "base/cleanup.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

enum { START_TRIES = 1000, START_PAUSE_NS = 10 * 1000 * 1000 };

/* What a tool holds back while it works the TPM (base/program.h), the TPM does not. */
static void signals_unblock(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void swtpm_exec(const char *folder)
{
    char state[96];
    char server[112];
    char control[112];
    char log[96];

    (void)snprintf(state, sizeof(state), "dir=%s", folder);
    (void)snprintf(server, sizeof(server), "type=unixio,path=%s/tpm", folder);
    /* The TCTI looks for the control socket beside the other, with this suffix. */
    (void)snprintf(control, sizeof(control), "type=unixio,path=%s/tpm.ctrl", folder);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)snprintf(log, sizeof(log), "file=%s/log", folder);
    (void)execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server,
                 "--ctrl", control, "--flags", "not-need-init,startup-clear", "--log", log,
                 (char *)NULL);
    perror("swtpm");
    _exit(127);
}

static int socket_try(const char *folder)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_(close_fdp) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/tpm", folder);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return 0;
}

static int folder_make(Swtpm *swtpm)
{
    *swtpm = (Swtpm){0};
    temporary_path("test-swtpm", swtpm->folder);
    return mkdtemp(swtpm->folder) ? 0 : -errno;
}

static int launch(Swtpm *swtpm)
{
    (void)snprintf(swtpm->tcti, sizeof(swtpm->tcti), "swtpm:path=%s/tpm", swtpm->folder);
    swtpm->pid = fork();
    if (swtpm->pid == 0) {
        signals_unblock();
        swtpm_exec(swtpm->folder);
    }
    for (int i = 0; swtpm->pid > 0 && i < START_TRIES; i++) {
        const struct timespec pause = {.tv_nsec = START_PAUSE_NS};

        if (socket_try(swtpm->folder) == 0)
            return 0;
        if (waitpid(swtpm->pid, NULL, WNOHANG) == swtpm->pid) {
            swtpm->pid = -1;
            break;
        }
        (void)nanosleep(&pause, NULL);
    }
    swtpm_stop(swtpm);
    return -ETIME;
}

int swtpm_start(Swtpm *swtpm)
{
    int r = folder_make(swtpm);

    return r < 0 ? r : launch(swtpm);
}

static int text_write(const char *folder, const char *name, const char *text)
{
    char path[112];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "we");
    if (!file)
        return -errno;
    if (fputs(text, file) == EOF) {
        (void)fclose(file);
        return -EIO;
    }
    return fclose(file) == 0 ? 0 : -errno;
}

/* The certification authority is made in the folder too, so that no other on this machine is
 * touched. */
static int setup_configure(const char *folder)
{
    char text[512];
    int r;

    (void)snprintf(text, sizeof(text),
                   "create_certs_tool = /usr/bin/swtpm_localca\n"
                   "create_certs_tool_config = %s/localca.conf\n"
                   "create_certs_tool_options = %s/localca.options\n",
                   folder, folder);
    r = text_write(folder, "setup.conf", text);
    if (r < 0)
        return r;
    (void)snprintf(text, sizeof(text),
                   "statedir = %s\n"
                   "signingkey = %s/" SWTPM_CA "-key.pem\n"
                   "issuercert = %s/" SWTPM_CA ".pem\n"
                   "certserial = %s/certserial\n",
                   folder, folder, folder, folder);
    r = text_write(folder, "localca.conf", text);
    return r < 0 ? r : text_write(folder, "localca.options", "--platform-model test\n");
}

static void setup_exec(const char *folder)
{
    char config[112];
    char log[112];

    (void)snprintf(config, sizeof(config), "%s/setup.conf", folder);
    (void)snprintf(log, sizeof(log), "%s/setup.log", folder);
    if (!freopen("/dev/null", "we", stdout)) /* for what its own swtpm has to say */
        _exit(126);
    (void)execlp("swtpm_setup", "swtpm_setup", "--tpm2", "--tpmstate", folder, "--create-ek-cert",
                 "--config", config, "--logfile", log, (char *)NULL);
    perror("swtpm_setup");
    _exit(127);
}

int swtpm_start_certified(Swtpm *swtpm)
{
    int status = -1;
    pid_t pid;
    int r;

    r = folder_make(swtpm);
    if (r == 0)
        r = setup_configure(swtpm->folder);
    if (r < 0)
        return r;
    pid = fork();
    if (pid == 0)
        setup_exec(swtpm->folder);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        swtpm_stop(swtpm);
        return -ENOEXEC;
    }
    return launch(swtpm);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

void swtpm_stop(Swtpm *swtpm)
{
    if (swtpm->pid > 0) {
        (void)kill(swtpm->pid, SIGTERM);
        (void)waitpid(swtpm->pid, NULL, 0);
        swtpm->pid = -1;
    }
    if (swtpm->folder[0] != '\0')
        (void)nftw(swtpm->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    swtpm->folder[0] = '\0';
}
