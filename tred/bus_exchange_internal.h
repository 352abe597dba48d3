/* What bus_exchange*.c share: the methods of org.tred.TrE1.Exchange, and calls that wait. */
#pragma once

#include "tred/bus.h"

/* A method, called for its exchange's owner alone. It returns 0 when it has answered, or when
 * somebody will; or an ExchangeError or BusError, with `reason` or without; or -errno. */
typedef struct ExchangeMethod {
    const char *name;
    int (*run)(CallerExchange *held, sd_bus_message *call, Reason *reason);
    bool makes_keys; /* what it takes is counted as its user's time */
    /* So is what a refusal of it takes, as it may be made again and again; the call itself goes on
     * what BeginExchange was counted for. */
    bool counts_refusals;
    int log_refusal; /* a level, for a refusal but for WRONG_STATE; 0: none */
} ExchangeMethod;

int bus_exchange_choose_group(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_agree(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_fork(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_sign_auth(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_protect(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_unprotect(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_verify_peer(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_open_transport(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_allocate_spi(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_set_dscps(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_add_child(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_prepare_create(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_use_child(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_add_ike_sa(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_inherit_children(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_move_transport(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_remove_child(CallerExchange *held, sd_bus_message *call, Reason *reason);
int bus_exchange_close(CallerExchange *held, sd_bus_message *call, Reason *reason);

/* A call that is answered later. The exchange outlives it: whoever ends the exchange has it
 * answered before. */
struct PendingCall {
    CallerExchange *held;
    sd_bus_message *call;
    uint32_t spi_in;            /* of AddChild and UseChild */
    Verification *verification; /* of VerifyPeer; NULL once it is over */
};

/* NULL where memory has run out. */
PendingCall *pending_call_new(CallerExchange *held, sd_bus_message *call);
void pending_call_free(PendingCall *pending);
DEFINE_POINTER_CLEANUP(PendingCall, pending_call_free);

/* Tells the owner, and nobody else, by InterfacesAdded or InterfacesRemoved. */
void bus_exchange_object_tell(CallerExchange *held, bool added);

/* Carries an AddChild out that waited for the verdict, if there is one. */
void bus_exchange_child_resume(CallerExchange *held);

/* The property Children: each Child SA with its counters as they last came. */
int bus_append_children(sd_bus_message *reply, const void *object);
