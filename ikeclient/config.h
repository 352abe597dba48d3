/* What an operator decides: ikeclient.conf(5). */
#pragma once

#include "base/config.h"
#include "base/reason.h"
#include "ikewire/payload.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum RequestAddress {
    REQUEST_IPV4,
    REQUEST_IPV6,
    REQUEST_BOTH,
    REQUEST_NONE
} RequestAddress;

#define CONNECTION_DEFAULT "default" /* the name of the one of a file without [connection NAME] */

/* [child NAME]: a Child SA beside that of IKE_AUTH. */
typedef struct ChildConfig {
    char name[CONFIG_NAME_SIZE];
    IkeTs local_ts;  /* none: what IKE_AUTH granted on our side */
    IkeTs remote_ts; /* none: with `dscps` alone, what IKE_AUTH granted on the SeGW's */
    uint64_t dscps;  /* bit n: DSCP n leaves by it; 0: it is chosen by its selectors alone */
} ChildConfig;

enum { CONFIG_CHILDREN_MAX = 3 };

typedef struct Config {
    char name[CONFIG_NAME_SIZE]; /* of the connection, and of its SeGW in tred.conf */
    /* What stands in front of each log line that is about it: "NAME: " where there are several. */
    char label[CONFIG_NAME_SIZE + sizeof(": ")];
    char *segw_address; /* literals and host names, with commas between; the first one preferred */
    char *plmn;         /* "MCC-MNC"; NULL: none */
    uint64_t return_after; /* s, until a SeGW that failed is preferred again; 0: never */
    uint64_t port;
    uint64_t nat_t_port;
    IkeSaPayload ike_offer;
    IkeSaPayload esp_offer;   /* without SPIs */
    unsigned request_address; /* RequestAddress */
    unsigned pfs;             /* Pfs, of proposals.h */
    uint64_t ike_lifetime;    /* s; 0: for ever */
    IkeTs remote_ts;          /* none: everything of the families asked for */
    size_t n_children;
    ChildConfig children[CONFIG_CHILDREN_MAX];
    bool reconnect;
    bool mobike;
    uint64_t retry_max; /* s, the longest wait between two attempts */
    bool initial_contact;
    uint64_t retransmit_timeout; /* ms before the first retransmission; doubles */
    uint64_t retransmit_tries;
    uint64_t liveness;      /* s from the last sign of life to the end; 0: never */
    uint64_t keepalive;     /* s; 0: never */
    uint64_t fragment_size; /* octets of the largest IP packet to make */
    unsigned log_level;     /* index into the level names; see configs_log_level() */
} Config;

/* All defaults; everything but [segw] address has one. 0 or -ENOMEM. */
int config_init(Config *config);
void config_deinit(Config *config);

/* The connections of a file. */
typedef struct Configs {
    unsigned log_level; /* as Config's */
    size_t count;
    Config **list; /* one for each [connection NAME]; where there is none, one */
} Configs;

/* Reads `path` over the defaults. 0, or a negative errno with `reason` holding the sentence for the
 * person. What is in *ret then is the caller's to release, too. */
int configs_load(const char *path, Configs *ret, Reason *reason);
void configs_deinit(Configs *configs);

/* The configured level, as syslog.h numbers it. */
int configs_log_level(const Configs *configs);

/* The address families in play, as traffic selector types: true if `ts_type` is one of them. */
bool config_wants_family(const Config *config, uint8_t ts_type);
