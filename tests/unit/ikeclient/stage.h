/* A stage for the IKE client: a tred and a SeGW that do as the test says, in one event loop, over
 * loopback. Their "sealed" messages are clear, so that both can read them. */
#pragma once

#include "ikeclient/endpoint.h"
#include "ikeclient/tre.h"
#include "octets.h"

#include <systemd/sd-event.h>

enum {
    STAGE_CALLS_MAX = 512,
    STAGE_EXCHANGES_MAX = 128,
    STAGE_CHILDREN_MAX = 16,
    STAGE_SPI_IN = 0x11223344, /* and those after it */
    STAGE_SPI_OUT = 0x55667788,
    STAGE_NONCE_SIZE = 32,
    STAGE_SPI_I = 0x1d1d1d1d,
};

typedef struct Stage Stage;

typedef struct StageReply StageReply;

/* An exchange of tred's: other calls are refused by its state. */
typedef struct StageExchange {
    uint64_t spi_i, spi_r;
    bool responder; /* we are, of the exchange that made it */
    bool agreed, opened, verified, closed;
    uint64_t peer_spi;   /* of the IKE SA that the last CREATE_CHILD_SA is about; 0: none */
    uint32_t peer_child; /* our SPI that the last response to the peer's CREATE_CHILD_SA has … */
    bool peer_rekeys;    /* … in the place of another */
    bool refused_create; /* the response to our CREATE_CHILD_SA has no SA */
    uint32_t next_request_id;
    uint32_t peer_request_id;
} StageExchange;

/* A Child SA that tred has been given. */
typedef struct StageChild {
    uint32_t spi_in;
    size_t exchange; /* the index of the one that has it */
    uint64_t dscps;  /* as SetDscps said of the SPI before */
    bool removed;
} StageChild;

struct Stage {
    Tre tre; /* first */
    sd_event *event;
    sd_event_source *deliver;
    unsigned turns;
    StageReply *replies; /* oldest first */
    /* what tred was asked, in order */
    size_t n_calls;
    TreMethod calls[STAGE_CALLS_MAX];
    unsigned done[TRE_METHODS]; /* how many of each it did not refuse */
    StageExchange exchanges[STAGE_EXCHANGES_MAX];
    size_t n_exchanges;
    StageChild children[STAGE_CHILDREN_MAX];
    size_t n_children;
    uint64_t dscps[STAGE_CHILDREN_MAX]; /* of SetDscps, by how many SPIs were given out before */
    uint32_t n_spis, n_ike_spis;        /* allocated, prepared */
    uint32_t sending;                   /* the one that traffic leaves by; 0: none */
    bool was_mute;     /* there was a moment in which there was a Child SA and none of them sent */
    uint16_t prepared; /* the group of the last PrepareCreateChildSa */
    uint8_t nonce;     /* what the nonces that it makes consist of */
    /* how tred behaves: the error it refuses a method with, and how many times (0: for ever) */
    const char *refuse[TRE_METHODS];
    unsigned refusals[TRE_METHODS];
    bool mute[TRE_METHODS]; /* it takes the call and does not answer */
    bool late[TRE_METHODS]; /* it answers other calls first */
    bool held[TRE_METHODS]; /* it answers when stage_release() is called */
    bool gone;              /* it is not on the bus */
    const char *data_plane;
    const char *suite; /* that it agrees on */
    bool stronger_child;
    const char *shared_address; /* that sockets of OpenTransport and MoveTransport are bound to */
    int shared_socket;          /* what OpenTransport gave last; -1: none */
    bool nat;                   /* as OpenTransport was told */
    Bytes segw_anchors; /* hashes that BeginExchange names for the SeGW, at most TRE_ANCHORS_MAX;
                         * empty: it has no section of its own */
    uint8_t agreed_request[2048];
    size_t agreed_request_size;

    /* the SeGW */
    int fd, nat_fd; /* its ports 500 and 4500 */
    uint16_t port, nat_port;
    sd_event_source *io, *nat_io;
    Endpoint henb; /* where the last datagram came from */
    bool henb_floated;
    uint64_t spi_i;
    unsigned received;
    uint8_t last[4096]; /* the last datagram, without marker */
    size_t last_size;
    /* what it does with a datagram; NULL: stage_segw() */
    void (*segw)(Stage *stage, Bytes datagram);
    bool silent_init, silent_auth;
    const IkeSaPayload *ike_offer, *esp_offer;
    uint16_t auth_error;   /* it answers IKE_AUTH with this notify and no AUTH */
    uint16_t child_error;  /* … or grants no child, for this reason */
    bool wide_selectors;   /* it grants more than was asked for */
    bool no_configuration; /* it sends no CFG_REPLY */
    uint8_t more_payload;  /* that its IKE_AUTH response has, too, empty; 0: none */
    bool more_critical;    /* … with the critical bit */
    uint16_t told;         /* the notify of the last INFORMATIONAL request; 0: none */
    uint8_t auth_method;   /* that tred signs by */
    uint8_t address[4];    /* that it assigns */
    bool mobike;           /* it supports MOBIKE, … */
    Addresses others;      /* … and has these addresses, too */
    bool told_addresses;   /* that it was told ours, … */
    Addresses henbs;       /* … which are these, … */
    unsigned times_told;   /* … how many times in INFORMATIONAL requests */
    uint16_t update_error; /* it answers UPDATE_SA_ADDRESSES with this notify; 0: it takes it */
    bool nat_appears;      /* … and finds a NAT */
    unsigned updates;      /* how many of them it got, … */
    bool update_fits;      /* … and whether the last one named where it came from */
    Bytes redirect;    /* the data of N(REDIRECT) in its IKE_AUTH response, then without a child */
    uint32_t lifetime; /* N(AUTH_LIFETIME) that it sends; 0: none */
    bool asked_nat;    /* that one asked for EXTERNAL_SOURCE_IP4_NAT_INFO */
    uint8_t asked[4];  /* the inner IPv4 address that the last IKE_AUTH request asked for */
    uint32_t liveness; /* TIMEOUT_PERIOD_FOR_LIVENESS_CHECK that it sends; 0: none */
    uint64_t packets_in, packets_out, idle_in_ms, idle_out_ms; /* what tred counts … */
    bool counting; /* … of one packet more each way at each look */
    bool saw_delete, saw_auth_failed;
    size_t esp_proposed;      /* how many proposals the last IKE_AUTH request has */
    bool saw_initial_contact; /* in the last IKE_AUTH request */
};

int stage_setup(Stage *stage);
void stage_teardown(Stage *stage);

/* The SeGW that grants what is asked: the behaviour unless `segw` is set. */
void stage_segw(Stage *stage, Bytes datagram);

/* Sends from the SeGW to where the last datagram came from, with the marker if that one had it. */
void stage_send(Stage *stage, Bytes datagram);

/* A "sealed" message of the SeGW's. */
void stage_send_sealed(Stage *stage, uint8_t exchange_type, bool response, uint32_t message_id,
                       const Draft *draft);

/* The same on any IKE SA; `initiator` says that the SeGW has the flag I in it. */
void stage_send_sealed_on(Stage *stage, uint64_t spi_i, uint64_t spi_r, bool initiator,
                          uint8_t exchange_type, bool response, uint32_t message_id,
                          const Draft *draft);

/* Reads a "sealed" message. */
void stage_unseal(Bytes datagram, IkeHeader *header, IkePayloads *ret);

/* The number of Child SAs that tred has. */
size_t stage_children(const Stage *stage);

/* What SetDscps had said of the Child SA that was added under that SPI; 0: nothing. */
uint64_t stage_dscps(const Stage *stage, uint32_t spi_in);

/* Has tred answer what it held back. */
void stage_release(Stage *stage, TreMethod method);

/* Turns the event loop until `*condition`; fails the test when that takes too long. */
void stage_run_until(Stage *stage, const bool *condition);

/* Turns it once; fails the test when that has been done too often. */
void stage_turn(Stage *stage);

/* Turns it until nothing happens any more for some turns. */
void stage_settle(Stage *stage);

size_t stage_count(const Stage *stage, TreMethod method);
