/* tred: the trusted environment (tred(8)). */
#include "base/log.h"
#include "base/program.h"
#include "base/reason.h"
#include "crypto/memory.h"
#include "crypto/secret.h"
#include "tred/daemon.h"
#include "tred/users.h"

#include <errno.h>
#include <string.h>

static const CommandOption command_options[] = {
    {"config", "FILE", 'c', "configuration (default /etc/tred/tred.conf)"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine command_line = {
    .program = "tred",
    .usage = "Usage: tred [--config FILE]\n"
             "The trusted environment: holds the device key in the TPM, signs and verifies IKEv2 "
             "AUTH,\nand keeps every key of an IKE SA. See tred(8).\n",
    .options = command_options,
};

static int option_take(int value, const char *argument, void *userdata)
{
    const char **config = userdata;

    (void)value; /* there is one */
    *config = argument;
    return 0;
}

/* The exit status, or COMMANDLINE_GO_ON. */
static int options_read(int argc, char **argv, const char **ret_config)
{
    return commandline_read(&command_line, argc, argv, option_take, ret_config);
}

/* Before anything secret exists. */
static int process_prepare(void)
{
    int r = process_harden();

    if (r < 0) {
        log_error("The process can't be shielded: %s", strerror(-r));
        return EX_OSERR;
    }
    r = memory_watch();
    if (r < 0) {
        log_error("OpenSSL's memory can't be watched: %s", strerror(-r));
        return EX_OSERR;
    }
    r = secrets_init_sized(EXCHANGES_SECRETS_SIZE);
    if (r == -EPERM) {
        log_error(
            "Memory for keys can't be locked. Set LimitMEMLOCK=infinity in the unit (or raise "
            "ulimit -l)");
    } else if (r < 0) {
        log_error("Memory for keys can't be had: %s", strerror(-r));
    }
    return r < 0 ? EX_OSERR : COMMANDLINE_GO_ON;
}

int main(int argc, char **argv)
{
    _cleanup_(daemon_deinit) Daemon daemon = {0};
    Reason reason = {0};
    const char *path = "/etc/tred/tred.conf";
    TredConfig config;
    int r;

    standard_open();
    log_to_journal();
    r = options_read(argc, argv, &path);
    if (r != COMMANDLINE_GO_ON)
        return standard_finish("tred", r);
    r = process_prepare();
    if (r != COMMANDLINE_GO_ON)
        return r;
    r = tred_config_read(path, &config, &reason);
    if (r < 0) {
        log_error("%s", reason.text[0] != '\0' ? reason.text : strerror(-r));
        return config_status(r);
    }
    log_set_level((int)config.log_level);
    r = daemon_init(&daemon, &config);
    if (r == 0)
        r = daemon_run(&daemon);
    /* The profile for SeGWs, or the interface's name. */
    if (r == -EBADMSG || r == -EINVAL)
        return EX_CONFIG;
    return exit_status(r, EX_UNAVAILABLE);
}
