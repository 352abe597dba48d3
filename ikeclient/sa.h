/* All that the files know of one IKE SA, and its end: the queue of our requests, the calls to tred
 * that go out at once, and what the peer asks (task.h, requests.h). */
#pragma once

#include "base/reason.h"
#include "ikeclient/child_list.h"
#include "ikeclient/config.h"
#include "ikeclient/create.h"
#include "ikeclient/endpoint.h"
#include "ikeclient/ike_sa_end.h"
#include "ikeclient/initial_exchanges.h"
#include "ikeclient/pacing.h"
#include "ikeclient/report.h"
#include "ikeclient/transport.h"
#include "ikeclient/tre.h"
#include "ikewire/message.h"

#include <net/if.h>

enum {
    SUITE_SIZE = 128,
    FLIGHTS_MAX = 16,      /* datagrams that wait for tred; more are dropped */
    INIT_ANSWERS_MAX = 4,  /* that tred's Agree takes, to one request */
    CLOSING_TRIES_MAX = 3, /* a Delete is not worth waiting for as long as a connection */
};

typedef struct Task Task;
typedef struct TaskKind TaskKind;

enum { TASK_ALONG_MAX = 2 };

/* A handler's result: 0, or a negative errno that ends the SA. After a call of task_done() the task
 * must not be touched any more. */
typedef int (*TaskStep)(Task *task, const TreReply *reply);

/* What a task does, as a table. Whatever is NULL has no place in it. */
struct TaskKind {
    const char *name;              /* "liveness check" */
    size_t size;                   /* of the struct that starts with a Task */
    unsigned tries_max;            /* transmissions at most, however many are configured */
    int (*begin)(Task *task);      /* it is this task's turn */
    TaskStep done[TRE_METHODS];    /* tred did what the task called for … */
    TaskStep refused[TRE_METHODS]; /* … or refused; NULL: the SA ends with what tred said */
    void (*sent)(Task *task);      /* the sealed request is out for the first time */
    /* A datagram in clear, while the request is out. */
    int (*clear)(Task *task, Bytes datagram, const Endpoint *sender);
    /* What tred is asked along with the opening of a response, into `calls` (TASK_ALONG_MAX of
     * them); returns how many there are. */
    size_t (*along)(const Task *task, TreCall *calls);
    TaskStep response;              /* the response, opened by tred */
    void (*unanswered)(Task *task); /* the last wait is over: ends the SA */
};

typedef enum TaskPhase {
    TASK_WAITING,   /* for its turn */
    TASK_PREPARING, /* tred is at work for it */
    TASK_SENT,      /* the request is out */
    TASK_ANSWERED,  /* the response is there; tred looks at it */
} TaskPhase;

struct Task {
    Task *next;
    IkeSa *sa;
    const TaskKind *kind;
    TaskPhase phase;
};

/* What all tasks of an SA share. */
typedef struct TaskQueue {
    Task *first;       /* under way; NULL: none */
    Datagrams request; /* of the task under way */
    bool open;         /* it is unanswered */
    uint32_t message_id;
    Retransmit retransmit;
    void (*late)(IkeSa *sa); /* the request that is out may not get through; NULL: nobody asks */
    void (*idle)(IkeSa *sa); /* the last one is over; likewise */
} TaskQueue;

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

typedef struct PeerRequest {
    bool deletes_ike;   /* the IKE SA is gone once our answer is sent (step 7) */
    bool deletes_child; /* some of our Child SAs are gone: those of … */
    size_t n_deleted;
    uint32_t deleted[IKE_SPIS_MAX]; /* … these inbound SPIs of ours */
    size_t awaited;      /* answers of tred's before ours is sent: others send in their place */
    bool redirects;      /* N(REDIRECT): we are to go to … */
    Redirect redirect;   /* … that SeGW */
    bool has_lifetime;   /* N(AUTH_LIFETIME): the authentication ends in … */
    uint32_t lifetime;   /* … that many seconds */
    bool has_addresses;  /* the SeGW has, beside the one that it was sent from, … */
    Addresses addresses; /* … these */
    bool auth_failed;    /* N(AUTHENTICATION_FAILED): the SeGW has thrown us out (2.21.2) */
    const char *what;    /* for a log line: a static phrase */
} PeerRequest;

/* A CREATE_CHILD_SA request of the peer's while tred makes what the answer needs. */
typedef struct PeerCreate {
    bool pending;
    CreateKind kind;
    uint32_t rekeyed; /* CREATE_REKEYED_CHILD: our SPI of the one that is rekeyed */
    size_t awaited;   /* answers of tred's before the response can be made */
    bool refused;     /* one of them */
    Nonce nonce;      /* the peer's */
    IkeProposal chosen;
    ChildAnswer child; /* from our side: TSi is the request's TSr */
    uint32_t spi_in;
    CreateMaterial material;
} PeerCreate;

/* The peer's requests: one at a time, as we announce no larger window (RFC 7296 2.3). */
typedef struct PeerQueue {
    IkeSa *sa;
    uint8_t *answered; /* the last request … */
    size_t answered_size;
    Datagrams answer; /* … and what we answered (RFC 7296 2.1) */
    bool hold_delete;
    bool answer_held;        /* it waits */
    void (*sent)(IkeSa *sa); /* what follows once it is out */
    PeerRequest request;     /* that is being answered */
    PeerCreate create;
    Endpoint sender;    /* of it: the answer goes there (RFC 7296 2.11) */
    unsigned n_strange; /* how often it was sent again to a request that was cut in another way, or
                           came from elsewhere */
} PeerQueue;

/* What is put off, as the peer has no time for it now (TEMPORARY_FAILURE, RFC 7296 2.25). */
typedef struct PutOff {
    uint64_t since; /* the first of those in a row, CLOCK_MONOTONIC, µs; 0: none */
    uint64_t until;
    unsigned times;
    unsigned group_changes; /* in a row, that the peer asked for */
} PutOff;

/* The groups that the peer asked for by INVALID_KE_PAYLOAD; IKE_GROUP_NONE: it has not. */
typedef struct WantedGroups {
    uint16_t child;
    uint16_t ike;
} WantedGroups;

/* What became of our requests for one of the Child SAs that are configured (create_child.h). */
typedef struct ConfiguredChild {
    uint64_t not_before; /* the next one, CLOCK_MONOTONIC, µs */
    uint64_t made;       /* when it was there last; 0: never */
    unsigned tries;      /* in a row */
    Reason reason;       /* why it is not there; "" where nothing is known, or it is */
} ConfiguredChild;

/* A new IKE SA that tred has made from one (RFC 7296 2.18), before it is known what becomes of it.
 */
struct MadeIkeSa {
    char exchange[TRE_PATH_SIZE]; /* tred's object; "": there is none */
    bool by_peer;                 /* who began the exchange */
    uint64_t spi_i;
    uint64_t spi_r;
    char suite[SUITE_SIZE];
    Nonce lowest; /* of the two of that exchange */
};

typedef struct LivenessCount {
    uint64_t packets;
    uint64_t last; /* when one went by, µs; or when the SA came up */
} LivenessCount;

/* Who says when an authentication ends. */
typedef enum IkeSaLimit {
    IKE_SA_LIMIT_SEGW,        /* by N(AUTH_LIFETIME); the last one counts (RFC 4478 3) */
    IKE_SA_LIMIT_CERTIFICATE, /* its own end, or that of ours */
    IKE_SA_LIMITS
} IkeSaLimit;

/* The listening for silence (liveness.h). */
typedef struct LivenessWatch {
    IkeSa *sa;
    sd_event_source *timer;
    uint64_t silence;      /* µs, after which the peer is asked; 0: as configured */
    bool moved;            /* to another port since ESP has come last */
    uint64_t since;        /* when it was begun */
    LivenessCount in, out; /* of all Child SAs */
} LivenessWatch;

/* NAT_DETECTION_DESTINATION_IP as the SeGW last answered on this way (nat_mapping.h).
 */
typedef struct NatMapping {
    bool known;
    uint8_t hash[NAT_HASH_SIZE];
    unsigned changes; /* in a row */
} NatMapping;

/* A move to another address that tred is at (mobike.h). */
typedef struct MobikeMove {
    IkeSa *sa;
    bool under_way;
    bool untold;           /* the SeGW has not answered UPDATE_SA_ADDRESSES since the last one */
    Endpoint remote;       /* the SeGW's address from then on */
    unsigned waits;        /* for tred, which moves others */
    sd_event_source *turn; /* when it is asked again */
} MobikeMove;

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
    Endpoint redirected_from; /* the SeGW that sent us here; family 0: none */
    size_t n_wanted;          /* inner addresses that are asked for again */
    InnerAddress wanted[CHILD_ADDRESSES_MAX];

    /* what there is */
    Transport *transport; /* shared with the one that it was rekeyed from, and with its heir */
    TreIdentity identity;
    char segw_identity[STEP_NAME_SIZE]; /* that tred said at TRE_BEGIN; "": [segw]'s */
    uint8_t *segw_anchors;              /* and so the anchors' hashes, one after the other */
    size_t n_segw_anchors;
    char exchange[TRE_PATH_SIZE];    /* tred's object; "": none yet */
    char forked_from[TRE_PATH_SIZE]; /* that of another IKE SA, to whose request this one follows
                                        another answer up; "": it has a request of its own */
    uint64_t spi_i;
    uint64_t spi_r; /* 0 until tred has agreed */
    NatFinding nat;
    NatMapping mapping;
    bool mobike;     /* the SeGW and we support it */
    Addresses own;   /* that the SeGW was told of, beside the one in use */
    Addresses segws; /* the SeGW's, all that is known of */
    char suite[SUITE_SIZE];
    bool segw_hashes; /* it sent SIGNATURE_HASH_ALGORITHMS (RFC 7427) */
    char peer_identity[STEP_NAME_SIZE];
    bool established;
    ChildSa *children;
    Reason refusal;           /* why there was no child from the start */
    ChildAnswer assigned;     /* what IKE_AUTH granted */
    char interface[IFNAMSIZ]; /* that traffic goes by, as tred says */

    /* how it is rekeyed */
    bool responder;      /* the peer began the rekeying that made it, and has the flag I in it */
    uint64_t since;      /* when it was established, CLOCK_MONOTONIC, µs */
    uint64_t lifetime;   /* from then on, µs; 0: for ever */
    bool due;            /* the operator says so */
    bool renewal;        /* the peer does not rekey: a new authentication is to replace it */
    bool retired;        /* … and has */
    PutOff put_off;      /* any rekeying */
    WantedGroups groups; /* the next time */
    ConfiguredChild configured[CHILD_PLACES];
    MadeIkeSa made_by_us; /* of two that are there, one is to be the heir */
    MadeIkeSa made_by_peer;
    IkeSa *heir;        /* has the Child SAs; NULL: none, or it is gone */
    IkeSa *predecessor; /* whose heir this is; NULL: none, or it is gone */
    sd_event_source *upkeep;

    /* what is under way */
    InitState *init; /* until the peer is known by an authentic message; NULL then */
    TaskQueue tasks;
    PeerQueue peer;
    Flight flights[FLIGHTS_MAX];
    LivenessWatch watch;
    MobikeMove move;
    bool stranded; /* it was said that there is no source but an inner address, and is still so */
    uint64_t renew_at[IKE_SA_LIMITS]; /* when a new authentication is due, µs */
    uint64_t last_heard;              /* an authentic message, CLOCK_MONOTONIC, µs */
    Endpoint heard_at;                /* where the SeGW's last request came from; family 0: none */
    uint64_t next_hint;               /* from when on a hint causes another liveness check */

    /* how it ends */
    bool closed;
    bool silent;          /* a request of ours was not answered */
    IkeSaEnd end;         /* what to report when a closing task is over */
    Reason reason;        /* why it ends, or is about to */
    Reason hint;          /* the last unauthenticated sign of what may be wrong */
    bool hinted;          /* that there was one has been said */
    uint16_t refuse_with; /* the notify of refuse_task; 0: AUTHENTICATION_FAILED */
    uint8_t refuse_type;  /* of the payload that it names, if it is UNSUPPORTED_CRITICAL_PAYLOAD */

    double established_ms;
    Steps steps;
    RateLimit drops;
    uint8_t *scratch; /* IKE_MESSAGE_MAX octets, where messages are written; not zeroed, so that
                         memory that no message needs is never touched */
};

/* The authentication ends in `seconds`: a new one is due before, and `due` is told so. */
void ike_sa_limit(IkeSa *sa, IkeSaLimit by, uint64_t seconds);

/* Hands a REDIRECT on; false, with the reason set: it was one too many. */
bool ike_sa_follow(IkeSa *sa, const Redirect *redirect);

/* For how long an answer to a request is waited for, all retransmissions included, in seconds. */
double ike_sa_patience(const IkeSa *sa);

/* For how long a request of an established SA may stay unanswered, in ms, so that [connection]
 * liveness is kept, counted from the last sign of life; 0: until it was sent often enough. */
uint64_t ike_sa_request_limit_ms(const IkeSa *sa);

/* Sets the reason for a SeGW that did not answer that request: what came instead, and what to look
 * at. */
void ike_sa_explain_silence_to_init(IkeSa *sa);
void ike_sa_explain_silence_to_auth(IkeSa *sa);

/* Ends it now, for the reason that was said. */
void ike_sa_end(IkeSa *sa, IkeSaEnd end);

/* Ends it, as something failed with that negative errno. */
void ike_sa_fail(IkeSa *sa, int error);

/* A datagram or opened message that is passed over: a debug line, not too many of them. */
void ike_sa_drop(IkeSa *sa, const char *why);

/* Has tred close its exchange, if it has begun one, and those of IKE SAs that were made from it and
 * are nobody's yet. */
void ike_sa_close_exchange(const IkeSa *sa);
