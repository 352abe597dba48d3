/* What the files that make up an IKE SA share: ike_sa.c (its life, and what comes in), task.c (the
 * queue of our requests), init_task.c, auth_task.c and informational.c (the tasks), flight.c (calls
 * to tred at once), requests.c (the peer's requests). */
#pragma once

#include "base/reason.h"
#include "ikeclient/ike_sa.h"
#include "ikeclient/init.h"
#include "ikeclient/report.h"
#include "ikeclient/requests.h"
#include "ikeclient/task.h"
#include "ikeclient/transport.h"

enum {
    SUITE_SIZE = 128,
    FLIGHTS_MAX = 16,      /* datagrams that wait for tred; more are dropped */
    INIT_ANSWERS_MAX = 4,  /* that tred's Agree takes, to one request */
    CLOSING_TRIES_MAX = 3, /* a Delete is not worth waiting for as long as a connection */
};

typedef struct Flight Flight;

/* The lead's answer. True if tred accepted it, so that the answers that are still to come count. */
typedef bool (*FlightHandler)(Flight *flight, const TreReply *reply);

/* Calls to tred that were made at once: the lead (Agree, Unprotect), and those that go along with
 * it. tred takes one caller's calls in their order, and by its exchange's state it refuses what
 * goes along with a lead that it did not accept. So those that are answered after an accepted lead
 * are answers to the task that it led to, and all others to nobody. */
struct Flight {
    IkeSa *sa;        /* NULL: free */
    unsigned n_calls; /* unanswered */
    FlightHandler handler;
    Task *task;       /* who the answers are for, once the lead is accepted */
    uint8_t *request; /* a copy, if a request of the peer's is opened: to know it again when it is
                         repeated */
    size_t request_size;
    Endpoint sender; /* of the request */
};

/* A well-formed answer to IKE_SA_INIT. Nobody vouches for it. */
typedef struct InitAnswer {
    uint8_t *octets;
    size_t size;
    InitResponse judged;
    bool taken; /* an IKE SA goes on with it */
} InitAnswer;

/* What came of IKE_SA_INIT so far. */
typedef struct InitState {
    InitExchange exchange;
    uint8_t *request; /* the last one sent */
    size_t request_size;
    size_t n_answers;
    InitAnswer answers[INIT_ANSWERS_MAX];
} InitState;

/* The peer's requests: one at a time, as we announce no larger window (RFC 7296 2.3). */
typedef struct PeerQueue {
    IkeSa *sa;
    uint8_t *answered; /* the last request … */
    size_t answered_size;
    Datagrams answer; /* … and what we answered (RFC 7296 2.1) */
    bool hold_delete;
    bool answer_held;    /* the answer to a Delete waits */
    PeerRequest request; /* that is being answered */
    Endpoint sender;     /* of it: the answer goes there (RFC 7296 2.11) */
} PeerQueue;

/* No field says which state the SA is in: that is what there is (`established`, `children`), what
 * is under way (the first task) and what is to come (the other tasks). Until it is closed, at least
 * one of `established` and a task is there. */
struct IkeSa {
    sd_event *event;
    Tre *tre;
    const Config *config;
    const IkeSaHandlers *handlers;
    void *userdata;
    bool initial_contact;

    /* what there is */
    Transport *transport;
    TreIdentity identity;
    char exchange[TRE_PATH_SIZE];    /* tred's object; "": none yet */
    char forked_from[TRE_PATH_SIZE]; /* that of another IKE SA, to whose request this one follows
                                        another answer up; "": it has a request of its own */
    uint64_t spi_i;
    uint64_t spi_r; /* 0 until tred has agreed */
    NatFinding nat;
    char suite[SUITE_SIZE];
    char peer_identity[STEP_NAME_SIZE];
    bool established;
    ChildSa *children;
    Reason refusal; /* why there was no child from the start */

    /* what is under way */
    InitState *init; /* until the peer is known by an authentic message; NULL then */
    TaskQueue tasks;
    PeerQueue peer;
    Flight flights[FLIGHTS_MAX];
    sd_event_source *liveness;
    uint64_t last_heard; /* an authentic message, CLOCK_MONOTONIC, µs */
    uint64_t next_hint;  /* from when on a hint causes another liveness check */

    /* how it ends */
    bool closed;
    bool silent;         /* a request of ours was not answered */
    IkeSaEnd end;        /* what to report when a closing task is over */
    Reason reason;       /* why it ends, or is about to */
    Reason hint;         /* the last unauthenticated sign of what may be wrong */
    uint16_t hint_error; /* its notify type; 0: it was none */

    double established_ms;
    Steps steps;
    RateLimit drops;
    uint8_t *scratch; /* IKE_MESSAGE_MAX octets, where messages are written; not zeroed, so that
                         memory that no message needs is never touched */
};

/* ---- ike_sa.c ---- */

/* Sets the reason for a SeGW that did not answer: what of it is missing ("IKE_AUTH response"), and
 * for how long that was waited for. */
void ike_sa_explain_silence(IkeSa *sa, const char *missing);

/* Ends it now, for the reason that was said. */
void ike_sa_end(IkeSa *sa, IkeSaEnd end);

/* Ends it, as something failed with that negative errno. */
void ike_sa_fail(IkeSa *sa, int error);

/* A message of the peer's was authentic: this is the SeGW, and no other answer to IKE_SA_INIT was.
 */
void ike_sa_found_authentic(IkeSa *sa);

/* It is up: tells the handler, and begins to listen for silence. 0 or a negative errno. */
int ike_sa_establish(IkeSa *sa);

/* A datagram or opened message that is passed over: a debug line, not too many of them. */
void ike_sa_drop(IkeSa *sa, const char *why);

/* An unauthenticated sign that something is wrong: kept for the report, and a reason to ask the
 * peer of an established SA (RFC 7296 2.4). `notify_type` 0: it was no notify. */
void ike_sa_hint(IkeSa *sa, uint16_t notify_type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- flight.c ---- */

/* One that is free; NULL: all are under way. */
Flight *flight_new(IkeSa *sa);

/* Makes the calls. 0, or a negative errno: the flight is freed, and what tred was asked already is
 * of no consequence. */
int flight_start(Flight *flight, const TreCall *lead, FlightHandler handler, const TreCall *along,
                 size_t n_along);

/* Drops what it waits for. A free one is fine. */
void flight_free(Flight *flight);

/* No answer goes to that task any more. */
void flights_forget_task(IkeSa *sa, const Task *task);

/* ---- the tasks ---- */

extern const TaskKind init_task;  /* init_task.c: IKE_SA_INIT, steps 1 and 2 */
extern const TaskKind rival_task; /* the same, for another answer to another IKE SA's request */
extern const TaskKind auth_task;  /* auth_task.c: IKE_AUTH, steps 3 to 6 */

/* NULL is fine. */
void init_state_free(InitState *init);

/* A state with the first answer that no IKE SA goes on with yet, which is taken; NULL: there is
 * none, or no memory. */
InitState *init_state_for_rival(IkeSa *sa);

/* Looks at a datagram that came when the task did not wait for one any more; sa->init is there. */
void init_take_late(IkeSa *sa, Bytes datagram, const Endpoint *sender);

/* What auth_task needs of tred before it can make its request, into `calls` (AUTH_CALLS_MAX of
 * them): they go along with Agree. Returns how many there are. */
enum { AUTH_CALLS_MAX = 3 };
size_t auth_first_calls(const IkeSa *sa, const NatFinding *nat, TreCall *calls);

/* informational.c */
extern const TaskKind liveness_task; /* is the peer there? (RFC 7296 2.4) */
extern const TaskKind delete_task;   /* of the IKE SA */
extern const TaskKind refuse_task;   /* the peer is told that it did not verify */

/* Asks whether the peer is there, if nothing else is under way that shows it. */
void ike_sa_check_liveness(IkeSa *sa);

/* Has the IKE SA deleted after the task that is under way; `end` and the reason that was said are
 * reported when that is done. 0 or a negative errno. */
int ike_sa_delete(IkeSa *sa, IkeSaEnd end);

/* True if the SA is on its way out by our own doing. */
bool ike_sa_is_closing(const IkeSa *sa);

/* ---- requests.c ---- */

/* Takes up an opened request of the peer's, `datagram` from `sender`, which is handed over. */
void peer_request_received(IkeSa *sa, const TreReply *opened, uint8_t *datagram, size_t size,
                           const Endpoint *sender);

/* True if `datagram` is the request that was answered last; its sender then got the same answer
 * again, if that is not held. */
bool peer_request_repeated(IkeSa *sa, Bytes datagram, const Endpoint *sender);

void peer_queue_init(IkeSa *sa);
void peer_queue_deinit(IkeSa *sa);
