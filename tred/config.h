/* /etc/tred/tred.conf (tred.conf(5)). */
#pragma once

#include "base/config.h"
#include "base/reason.h"
#include "tred/segws.h"

#include <stdint.h>

/* When the last-known time is moved. */
typedef enum ClockRecord {
    CLOCK_RECORD_VOUCHED, /* to what a SeGW's certificates vouch for, and what has passed since */
    CLOCK_RECORD_OFF,
} ClockRecord;

typedef struct TredConfig {
    char *tcti;
    char *srk_name;   /* file; none there: any storage root key is trusted */
    char *tpm_socket; /* where tred-tpm listens */
    char *key;
    char *policy_key;     /* the vendor's */
    char *pcr_signatures; /* the platform states approved of */
    char *certificates;
    char *segw_name; /* of [segw], as the next four */
    VerifyAnchors segw_anchors;
    IkeTs segw_local, segw_remote;
    char *segw_interface;
    Segws segws; /* that, and each [segw NAME] */
    char *anchors;
    char *segw_profile;  /* "3gpp", or a file's path */
    unsigned revocation; /* RevocationMode */
    char *crl_directory;
    char *verifier;            /* tred-verify */
    uint64_t max_exchanges;    /* that one user holds at a time */
    uint64_t verify_seconds;   /* for an exchange, from its beginning to its peer's verification */
    unsigned data_plane;       /* DataPlaneMode */
    char *interface;           /* of the tunnels to SeGWs that name none of their own */
    InterfaceNames interfaces; /* of all tunnels, in the order of the SeGWs */
    char *net_socket;          /* tred-net's */
    char *esp_helper;          /* tred-esp */
    IkeTs allowed_local;       /* the selectors of no SeGW go beyond these */
    IkeTs allowed_remote;
    unsigned protect;     /* ProtectMode: of what allowed_remote covers */
    IkeTs protect_except; /* may be empty */
    bool copy_dscp;       /* to outer packets */
    bool ecn;
    bool stronger_child;   /* a Child SA may have a stronger cipher than its IKE SA */
    Lifetime soft;         /* of a Child SA: time to replace it */
    Lifetime hard;         /* of a Child SA: its end */
    unsigned clock_record; /* ClockRecord */
    unsigned log_level;    /* LOG_… */
} TredConfig;

/* The names of ProtectMode. */
extern const char *const protect_modes[];

/* Reads `path` over the defaults. Returns 0, -ENOMEM, or -errno with `reason` naming file, line and
 * key, and what is allowed. *ret is the caller's to tred_config_deinit() on success. */
int tred_config_read(const char *path, TredConfig *ret, Reason *reason);
void tred_config_deinit(TredConfig *config);
