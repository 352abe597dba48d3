/* Two exchanges that are each other's peers: one IKE SA, of which the HeNB is the initiator, as if
 * it had come of CREATE_CHILD_SA, and what both say in the next one. */
#pragma once

#include "ikewire/message.h"
#include "tred/exchange_internal.h"

enum { ENDS_MESSAGE_MAX = 16384 };

typedef struct Ends {
    ExchangeContext context;
    Segw with; /* both ends; all selectors are allowed */
    Exchange *henb, *segw;
    size_t max_datagram; /* 0: as large as may be */
    Reason reason;
} Ends;

void ends_init(Ends *ends);
void ends_deinit(Ends *ends);

/* The same for one test, whose state they are. */
int ends_test_init(void **state);
int ends_test_deinit(void **state);

/* The program's, as cmocka's group setup and teardown know them. */
int ends_group_init(void **state);

/* A CREATE_CHILD_SA message; tests change what they are about. */
typedef struct CreateSpec {
    IkeSaPayload sa;
    uint8_t nonce[EXCHANGE_NONCE_SIZE];
    size_t nonce_size;
    uint16_t group; /* IKE_GROUP_NONE: no KE */
    uint8_t ke[DH_PUBLIC_MAX];
    size_t ke_size;
    bool selectors; /* TSi and TSr */
    IkeTs ts_i, ts_r;
    Bytes sa_body;            /* in the place of `sa` as it would be written; empty: that */
    uint32_t rekeyed;         /* REKEY_SA; 0: none */
    uint8_t rekeyed_protocol; /* 0: ESP */
    uint16_t notify;          /* one more; 0: none */
    uint8_t omit;             /* a payload type to leave out; 0: none */
} CreateSpec;

/* A message about a Child SA, under an SPI that is given out for it, all of IPv4, AES-GCM-16 128;
 * with a KE and a transform of `group`, if it is not IKE_GROUP_NONE. */
CreateSpec child_spec(Ends *ends, Exchange *exchange, uint16_t group);

/* A message about an IKE SA: AES-GCM-16 128, HMAC-SHA2-256, `group`. */
CreateSpec ike_spec(Ends *ends, Exchange *exchange, uint16_t group);

/* Our SPI in it. */
uint64_t spec_spi(const CreateSpec *spec);

/* Seals it as a request or a response; 0 and *ret, which is the caller's, or an ExchangeError. */
int create_seal(Ends *ends, Exchange *exchange, const CreateSpec *spec, bool response,
                SealedMessage *ret);

/* The other end's Unprotect of what was sealed. */
int create_open(Ends *ends, Exchange *exchange, const SealedMessage *sealed);

/* The same as the peer of `to` would say it, whatever tred would seal. */
void create_say(Ends *ends, Exchange *to, const CreateSpec *spec, bool response);

/* Seals and opens: from `from` to the other end. */
int create_send(Ends *ends, Exchange *from, const CreateSpec *spec, bool response);

/* Request and response, each asserted to succeed. */
void create_both(Ends *ends, Exchange *from, const CreateSpec *request, const CreateSpec *response);

/* AddChild, and what the data plane (there is none, so it answers at once) says to it. */
int child_add(Ends *ends, Exchange *exchange, uint64_t spi_in);

/* UseChild, likewise. */
int child_use(Ends *ends, Exchange *exchange, uint64_t spi_in);

/* Whoever waits for the answer of a data plane that gives none. */
void wait_forever(int error, const char *reason, void *userdata);

/* The child of that SPI, whose keys stay in the exchange, as there is no data plane. */
const Child *child_of(const Exchange *exchange, uint64_t spi_in);
