/* The program's one context: configuration, identity, bus, and who holds which exchange. */
#pragma once

#include "base/reason.h"
#include "tred/config.h"
#include "tred/exchange.h"
#include "tred/identity.h"
#include "tred/work.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Caller Caller;

enum {
    DAEMON_COUNTING_MAX = 64, /* bounds what anybody on the bus can make us hold */
};

typedef struct Daemon {
    TredConfig config;
    sd_event *event;
    sd_bus *bus;
    bool serves;               /* calls on the bus are answered */
    sd_event_source *patience; /* asks systemd for more of it while the TPM is asked */
    IdentityState state;
    Reason state_reason;   /* empty when ready */
    Identity *identity;    /* NULL if it could not be loaded */
    PcrMismatch *mismatch; /* of the last look at the PCRs; NULL: none */
    TpmLoop *tpm_loop;
    Tpm *tpm;                        /* the connection; NULL: there is none */
    Work *works;                     /* the queue; the first one may have begun */
    size_t n_waiters;                /* for works to end */
    uint64_t load_begun, load_ended; /* the last time that callers had the identity loaded */
    sd_event_source *key_care;       /* looks after the device key when there is time */
    sd_event_source *changes;        /* announces what has changed of exchanges */
    sd_event_source *ahead;          /* makes the next exchange's key pair */
    sd_event_source *start_over;     /* gives back what only the start needed */
    bool key_is_old;                 /* what is ready to sign was prepared some time ago */
    time_t last_known;               /* never steps back; 0: the TPM keeps none */
    sd_event_source *clock;          /* clock.c's timer */
    unsigned clock_postponed;        /* as an exchange was waiting for the TPM */
    Work *clock_work;                /* counts the last-known time; NULL: none is under way */
    Verifier *verifier;              /* that the first identity is loaded with */
    CrlsInForce crls;
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

/* Why State is what it is, and what to do; where exchanges can be begun, which CRL can't be read.
 * Empty: nothing is to be said. */
void daemon_state_reason(const Daemon *daemon, Reason *ret);

/* CRLs came into force, or one can't be read; of a Daemon. */
void daemon_crls_changed(void *daemon);

/* Tells systemd that tred is ready, once calls are answered and the identity was read, whatever
 * came of that; until then, that its start goes on. */
void daemon_ready_tell(Daemon *daemon);

/* Has key, certificates and anchors read again, as work: what was read before serves until then.
 * When it ends, exchanges that have not signed yet are closed: what they announced may no longer be
 * who we are. The result is in `state` then. */
void daemon_load_identity(Daemon *daemon);

/* The same from the end of other work, whose callers are answered once the identity is read. */
void daemon_load_identity_after(Daemon *daemon, Work *done);

/* The same for a caller, who is answered at the end. 0, or as work_wait(). */
int daemon_load_identity_for(Daemon *daemon, sd_bus_message *call, WorkAnswer answer);

/* For a caller who needs an identity that serves, while there is none: what was missing may have
 * come, and a connection that broke is made again. The call is answered once that was tried. 0, or
 * as work_wait(). */
int daemon_await_identity(Daemon *daemon, sd_bus_message *call, WorkAnswer answer);

/* The time of the event that is being served, in microseconds of CLOCK_MONOTONIC. */
uint64_t daemon_now(const Daemon *daemon);

/* An exchange has begun: a signature will be wanted soon. */
void daemon_key_wanted(Daemon *daemon);

/* A handshake is over: has the next one's key pair made as soon as there is nothing else to do. */
void daemon_prepare_exchange(Daemon *daemon);

/* An exchange has signed or gone: has the next signature prepared once there is time. */
void daemon_key_released(Daemon *daemon);

/* The TPM failed at its work, or withheld the key: State says so, and the next BeginExchange looks
 * again. */
void daemon_tpm_failed(Daemon *daemon, const char *reason);
void daemon_integrity_failed(Daemon *daemon, const char *reason);

/* Lets go of key, TPM and all that goes with them. */
void daemon_drop_identity(Daemon *daemon);
