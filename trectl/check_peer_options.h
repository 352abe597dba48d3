/* What trectl check-peer was told: its options, read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum { CHECK_PEER_FILES_MAX = 16 };

typedef struct CheckPeerOptions {
    const char *config;
    const char *certificate;
    const char *anchors; /* NULL: the configuration's */
    const char *profile;
    const char *name;
    const char *revocation;
    size_t n_chains, n_crls, n_ocsp;
    const char *chains[CHECK_PEER_FILES_MAX];
    const char *crls[CHECK_PEER_FILES_MAX];
    const char *ocsp[CHECK_PEER_FILES_MAX];
    time_t time;
    bool json;
} CheckPeerOptions;

/* COMMANDLINE_GO_ON, or the exit status where all has been said. Strings are argv's. */
int check_peer_options_read(int argc, char **argv, CheckPeerOptions *ret);
