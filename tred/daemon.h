/* The program's one context: configuration, identity, bus, and who holds which exchange. */
#pragma once

#include "tred/config.h"
#include "tred/exchange.h"
#include "tred/identity.h"
#include "tred/segw_policy.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Caller Caller;

enum { DAEMON_COUNTING_MAX = 64 }; /* bounds what anybody on the bus can make us hold */

typedef struct Daemon {
    TredConfig config;
    sd_event *event;
    sd_bus *bus;
    IdentityState state;
    char state_reason[IDENTITY_REASON_SIZE]; /* empty when ready */
    Identity *identity;                      /* NULL if it could not be loaded */
    PcrMismatch mismatch;                    /* of the last look at the PCRs */
    sd_event_source *key_care;               /* looks after the device key when there is time */
    time_t last_known;                       /* never steps back; 0: the TPM keeps none */
    sd_event_source *clock;                  /* clock.c's timer */
    unsigned clock_postponed;                /* as an exchange was waiting for the TPM */
    SegwPolicy segw_policy;
    DataPlaneOptions dataplane_options;
    DataPlane *dataplane;
    size_t n_counting; /* who has asked for Children and waits for the counters */
    sd_bus_message *counting[DAEMON_COUNTING_MAX];
    ExchangeContext exchange_context;
    Caller *callers;
    size_t n_exchanges;
    uint64_t last_exchange; /* the number of the newest; numbers are never used twice */
} Daemon;

/* Connects to the bus, takes the bus name, opens the data plane, and loads the identity (whose
 * absence is a state, not an error). Takes over what `config` owns. Returns 0 or -errno, which has
 * been logged. */
int daemon_init(Daemon *daemon, TredConfig *config);

/* Serves until SIGTERM or SIGINT. Returns 0, or -errno if the event loop or the bus failed. */
int daemon_run(Daemon *daemon);

/* Wipes all exchanges and lets go of key, TPM and bus. */
void daemon_deinit(Daemon *daemon);

/* Reads key, certificates and anchors again. Exchanges that have not signed yet are closed: what
 * they announced may no longer be who we are. The result is in `state`. */
void daemon_load_identity(Daemon *daemon);

/* Has a signature ready to be made, for an exchange that is about to begin: loads the identity if
 * it could not be loaded before, and prepares the device key. The result is in `state`. */
void daemon_get_ready(Daemon *daemon);

/* An exchange has signed or gone: has the next signature prepared if one is still to come, or gives
 * the session back, once nothing else is to be done. */
void daemon_key_released(Daemon *daemon);

/* The TPM failed at its work, or withheld the key: State says so, and the next BeginExchange looks
 * again. */
void daemon_tpm_failed(Daemon *daemon, const char *reason);
void daemon_integrity_failed(Daemon *daemon, const char *reason);

/* Lets go of key, TPM and all that goes with them. */
void daemon_drop_identity(Daemon *daemon);
