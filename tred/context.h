/* The program's one context: configuration, identity, bus, and who holds which exchange. What each
 * file does with it stands in that file's own header. */
#pragma once

#include "base/reason.h"
#include "tred/bus_call.h"
#include "tred/config.h"
#include "tred/device.h"
#include "tred/exchange.h"
#include "tred/identity.h"
#include "tred/users.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Caller Caller;
typedef struct Channel Channel; /* channel.c's */
typedef struct Daemon Daemon;
typedef struct Work Work; /* work.c's */
typedef struct CallerExchange CallerExchange;
typedef struct PendingCall PendingCall; /* bus_exchange_internal.h */

/* Carries a call on that has waited until its caller's user was known. */
typedef void (*CallerKnown)(Daemon *daemon, sd_bus_message *call);

struct CallerExchange {
    Caller *caller;
    CallerExchange *next;
    uint64_t number;
    Exchange *exchange;
    unsigned changed;              /* ExchangeProperty: not announced yet */
    PendingCall *pending;          /* a VerifyPeer that waits for its verdict */
    sd_bus_message *waiting_child; /* an AddChild that waits for the same; NULL: none */
    time_t expires;                /* a certificate that it rests on; 0: nothing is watched */
    time_t own_expires;            /* our certificate that it began with; 0: not known */
    time_t judged;                 /* when the certificates were, as clock_now() has it */
    uint64_t judged_boottime;      /* the same moment by CLOCK_BOOTTIME, in microseconds */
    sd_event_source *expiry, *expiry_bound; /* timers by the wall clock and by that */
    sd_event_source *deadline;              /* until which its peer is to be verified */
    bool judge_again;                       /* rejudge.c's: what its peer was judged by changed */
    uint64_t judge_missed;                  /* the round in which there was no verdict; 0: none */
};

/* Calls of one caller that wait until the bus has said whose it is: the first one asks. */
enum { CALLER_WAITING_MAX = 4 };

struct Caller {
    Daemon *daemon;
    Caller *next;
    CallerExchange *exchanges;
    char *name;          /* unique bus name */
    User *user;          /* NULL until the bus has said whose it is */
    sd_bus_slot *asking; /* it is being asked */
    CallerKnown known;
    size_t n_waiting;
    sd_bus_message *waiting[CALLER_WAITING_MAX];
};

enum { DAEMON_COUNTING_MAX = 64 }; /* bounds what anybody on the bus can make us hold */

struct Daemon {
    TredConfig config;
    sd_event *event;
    sd_bus *bus;
    BusAnnounced announced;    /* of the manager's properties */
    bool serves;               /* calls on the bus are answered */
    sd_event_source *patience; /* asks systemd for more of it while the TPM is asked */
    IdentityState state;
    Reason state_reason; /* empty when ready */
    Identity *identity;  /* NULL if it could not be loaded */
    Device *device;
    Work *works;                     /* the queue; the first one may have begun */
    size_t n_waiters;                /* for works to end */
    uint64_t load_begun, load_ended; /* the last time that callers had the identity loaded */
    sd_event_source *key_care;       /* looks after the device key when there is time */
    sd_event_source *changes;        /* announces what has changed of exchanges */
    sd_event_source *ahead;          /* makes the next exchange's key pair */
    sd_event_source *rest;           /* gives back what handshakes needed (base/rest.h) */
    bool key_is_old;                 /* what is ready to sign was prepared some time ago */
    time_t last_known;               /* the TPM's, corrected; 0: it keeps none */
    unsigned correction_days;        /* that it was corrected by */
    time_t vouched;                  /* the latest time that a SeGW's evidence tells of as past */
    uint64_t clock_moved;     /* the last time that it did, as daemon_now() has it; 0: never */
    sd_event_source *clock;   /* clock.c's timer */
    unsigned clock_postponed; /* as an exchange was waiting for the TPM */
    Work *clock_work;         /* counts the last-known time; NULL: none is under way */
    Verifier *verifier;       /* that the first identity is loaded with */
    Verifier *last_verifier;  /* the last identity's, while there is none; a reference */
    CrlsInForce crls;
    uint64_t crls_judged;         /* the crls.version that all are judged by, or will be */
    uint64_t judge_round;         /* rejudge.c's, from 1: each asks once about whoever is owed it */
    CallerExchange *judged_again; /* rejudge.c asks about it now; NULL: nobody, or it is gone */
    Verification *judgement;      /* NULL: it does not ask */
    Verifier *judge;              /* who is asked; a reference */
    sd_event_source *look;        /* rejudge.c's timer */
    ProtectOrder protect;
    DataPlaneOptions dataplane_options;
    DataPlane *dataplane;
    size_t n_counting; /* who has asked for counters and waits for them */
    sd_bus_message *counting[DAEMON_COUNTING_MAX];
    uint64_t count_asked; /* the last time that the data plane was, as daemon_now() has it */
    sd_event_source *count_timer; /* the next time, where somebody waits for it */
    ExchangeContext exchange_context;
    Caller *callers;
    Users users;
    Channel *channels;
    uint64_t last_exchange; /* the number of the newest; numbers are never used twice */
};

/* The time of the event that is being served, in microseconds of CLOCK_MONOTONIC. */
static inline uint64_t daemon_now(const Daemon *daemon)
{
    uint64_t now = 0;

    (void)sd_event_now(daemon->event, CLOCK_MONOTONIC, &now);
    return now;
}
