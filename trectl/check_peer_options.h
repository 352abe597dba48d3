/* What trectl check-peer was told: its options, read. */
#pragma once

#include "base/cleanup.h"
#include "base/reason.h"

#include <stdbool.h>
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
    bool help;
    bool misused; /* for the exit status */
} CheckPeerOptions;

/* 0, or -EINVAL with `reason`; ret->json is set either way. Strings are argv's. */
int check_peer_options_read(int argc, char **argv, CheckPeerOptions *ret, Reason *reason);
void check_peer_usage(void);
