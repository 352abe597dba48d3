/* What the files that make up an association share: association.c (the table), establish.c
 * (IKE_SA_INIT and IKE_AUTH), maintain.c (what comes after). */
#pragma once

#include "ikeclient/association.h"
#include "ikeclient/informational.h"
#include "ikeclient/init.h"
#include "ikeclient/pacing.h"
#include "ikeclient/report.h"
#include "ikeclient/transport.h"

typedef enum AssociationState {
    STATE_IDLE,
    STATE_PREPARING,    /* tred is asked who we are, and for SPI, nonce and KE */
    STATE_INIT_SENT,    /* IKE_SA_INIT is out */
    STATE_REGROUPING,   /* tred makes a KE in another group */
    STATE_AGREEING,     /* tred looks at an IKE_SA_INIT response */
    STATE_SIGNING,      /* tred makes and seals the IKE_AUTH request */
    STATE_AUTH_SENT,    /* IKE_AUTH is out */
    STATE_VERIFYING,    /* tred looks at the SeGW's certificate and AUTH */
    STATE_ADDING_CHILD, /* tred takes the Child SA */
    STATE_ESTABLISHED,
    STATE_REFUSING, /* the SeGW is told that it did not verify */
    STATE_DELETING, /* our Delete is out, or about to be */
    STATE_CLOSED,
    STATES
} AssociationState;

typedef enum AssociationEvent {
    EVENT_START,
    EVENT_DESCRIBED, /* tred's answers … */
    EVENT_BEGUN,
    EVENT_GROUP_CHOSEN,
    EVENT_AGREED,
    EVENT_AGREE_REFUSED,
    EVENT_TRANSPORT_OPENED,
    EVENT_SPI_ALLOCATED,
    EVENT_SIGNED,
    EVENT_SEALED, /* … a request of ours */
    EVENT_VERIFIED,
    EVENT_PEER_REFUSED,
    EVENT_CHILD_ADDED,
    EVENT_CHILD_REFUSED,
    EVENT_INIT_COOKIE, /* what the SeGW says … */
    EVENT_INIT_GROUP,
    EVENT_INIT_ANSWER,
    EVENT_RESPONSE, /* … opened by tred */
    EVENT_REQUEST,
    EVENT_SILENCE, /* nothing was heard of the SeGW for a while */
    EVENT_GAVE_UP, /* the last retransmission went unanswered */
    EVENT_STOP,
    EVENTS
} AssociationEvent;

/* What an event brings along; each action knows which of these it gets. */
typedef struct AssociationInput {
    const TreReply *reply;
    const InitResponse *init;
    Bytes datagram;
} AssociationInput;

/* An action's way of saying that it has set the state itself. */
enum { ASSOCIATION_STATE_SET = 1 };

enum {
    HINT_SIZE = 256,
    REASON_SIZE = 1024,
    SUITE_SIZE = 128,
    OPENS_MAX = 16,        /* datagrams that wait for tred; more are dropped */
    CLOSING_TRIES_MAX = 3, /* a Delete is not worth waiting for as long as a connection */
};

/* One datagram before tred. */
typedef struct PendingOpen {
    Association *association; /* NULL: free */
    uint8_t *request;         /* a copy, if it is a request: to know it again when it is repeated */
    size_t request_size;
} PendingOpen;

struct Association {
    sd_event *event;
    Tre *tre;
    const Config *config;
    const AssociationHandlers *handlers;
    void *userdata;
    bool initial_contact;

    AssociationState state;
    bool checking;      /* a liveness check is under way */
    bool stopping;      /* to be deleted as soon as it can be */
    AssociationEnd end; /* what to report when STATE_DELETING or _REFUSING is over */
    char reason[REASON_SIZE];
    char hint[HINT_SIZE]; /* the last unauthenticated sign of what may be wrong */
    uint16_t hint_error;  /* its notify type; 0: it was none */
    RateLimit drops;

    Transport *transport;
    Endpoint segw;
    Retransmit retransmit;
    sd_event_source *liveness;
    uint64_t last_heard; /* an authentic message, CLOCK_MONOTONIC, µs */
    Datagrams request;   /* ours that is unanswered, or was last */
    bool request_open;
    uint32_t request_id;
    PendingOpen opens[OPENS_MAX];
    uint8_t *answered; /* the peer's last request … */
    size_t answered_size;
    Datagrams answer; /* … and what we answered (RFC 7296 2.1) */
    bool hold_delete;
    bool answer_held; /* the answer to a Delete waits */
    PeerRequest peer_request;
    uint8_t peer_exchange_type; /* of the request that is being answered */

    TreIdentity identity;
    char exchange[TRE_PATH_SIZE];
    InitExchange init;
    InitResponse candidate; /* the answer that tred looks at, or has agreed on */
    uint64_t spi_r;         /* 0 until tred has agreed */
    NatFinding nat;
    const char *auth_scheme; /* static, for the log */
    char suite[SUITE_SIZE];
    ChildOffer child_offer;
    ChildAnswer child;
    bool has_child;
    char peer_identity[STEP_NAME_SIZE];
    double established_ms;
    Steps steps;
    uint8_t scratch[IKE_MESSAGE_MAX]; /* where messages are written */
};

/* association.c */

/* Does what the table says. */
void association_dispatch(Association *a, AssociationEvent event, const AssociationInput *input);

/* Makes a call for the exchange; the answer becomes an event. 0 or a negative errno. */
int association_call(Association *a, TreCall *call);

/* Starts to watch the request in a->request, which has been sent. */
int association_await(Association *a, uint32_t message_id, unsigned tries_max);

void association_send_request(Association *a);
void association_send_answer(Association *a);

/* Says why it ends, or is about to. */
void association_explain(Association *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Ends it now, for the reason that was said. Always ASSOCIATION_STATE_SET. */
int association_end(Association *a, AssociationEnd end);

/* Starts to listen for silence. 0 or a negative errno. */
int association_watch(Association *a);

/* A datagram or opened message that is passed over: a debug line, not too many of them. */
void association_drop(Association *a, const char *why);

/* receive.c: the transport's handlers */
void association_receive(void *userdata, Bytes datagram);
void association_hint(void *userdata, int error);

/* establish.c: actions */
int action_describe(Association *a, const AssociationInput *input);
int action_begin(Association *a, const AssociationInput *input);
int action_send_init(Association *a, const AssociationInput *input);
int action_send_init_again(Association *a, const AssociationInput *input);
int action_choose_group(Association *a, const AssociationInput *input);
int action_take_group(Association *a, const AssociationInput *input);
int action_agree(Association *a, const AssociationInput *input);
int action_keep_waiting(Association *a, const AssociationInput *input);
int action_sign(Association *a, const AssociationInput *input);
int action_float(Association *a, const AssociationInput *input);
int action_take_spi(Association *a, const AssociationInput *input);
int action_seal_auth(Association *a, const AssociationInput *input);
int action_send_auth(Association *a, const AssociationInput *input);
int action_verify(Association *a, const AssociationInput *input);
int action_add_child(Association *a, const AssociationInput *input);
int action_establish(Association *a, const AssociationInput *input);

/* maintain.c: actions */
int action_refuse_peer(Association *a, const AssociationInput *input);
int action_refuse_child(Association *a, const AssociationInput *input);
int action_delete(Association *a, const AssociationInput *input);
int action_send_closing(Association *a, const AssociationInput *input);
int action_check(Association *a, const AssociationInput *input);
int action_send_check(Association *a, const AssociationInput *input);
int action_alive(Association *a, const AssociationInput *input);
int action_dead(Association *a, const AssociationInput *input);
int action_answer(Association *a, const AssociationInput *input);
int action_finish(Association *a, const AssociationInput *input);
int action_stop_later(Association *a, const AssociationInput *input);
int action_stop_now(Association *a, const AssociationInput *input);
int action_give_up(Association *a, const AssociationInput *input);

/* Begins to delete the IKE SA; `end` and the reason that was said are reported when that is done.
 * ASSOCIATION_STATE_SET or a negative errno. */
int association_delete(Association *a, AssociationEnd end);
