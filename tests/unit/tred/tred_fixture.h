/* A tred of a test's own: the program itself, on a bus of its own, with a TPM and files of its own.
 */
#pragma once

#include "pki_fixture.h"
#include "swtpm_fixture.h"

#include <systemd/sd-bus.h>

#define HENB_FQDN "henb-1.example.org"
#define SEGW_FQDN "segw.example.org"

typedef struct TredFixture {
    const char *program;
    Swtpm swtpm; /* its folder holds all other files */
    Pki vendor;
    Pki device;
    Pki root;
    pid_t bus;
    pid_t tpm; /* who starts a tred-tpm for each connection */
    pid_t tred;
    char address[128];
} TredFixture;

/* Starts TPM and bus, and provisions key, certificates and anchors (max-exchanges 3). 0 or -1. */
int tred_fixture_init(TredFixture *fixture, const char *program);
void tred_fixture_deinit(TredFixture *fixture);

/* Starts tred and waits for its name on the bus. */
void tred_start(TredFixture *fixture);

/* Sends SIGTERM, if it runs, and returns its exit status. */
int tred_stop(TredFixture *fixture);

/* Starts tred with that profile for SeGWs, with which it ends by itself: its exit status, or -1. */
int tred_run_with_profile(TredFixture *fixture, const char *profile);

/* Moves one of its files ("device.crt") away, and back. */
void tred_file_hide(const TredFixture *fixture, const char *name);
void tred_file_show(const TredFixture *fixture, const char *name);

/* A new connection to the bus; the caller's to sd_bus_flush_close_unref(). */
sd_bus *tred_connect(const TredFixture *fixture);
