/* Bus errors: their names, and a sentence each that says what was found and what to do. */
#pragma once

#include "tred/exchange.h"
#include "tred/identity.h"

#include <systemd/sd-bus.h>

/* Refusals that are the bus face's own, beside those of an exchange. */
typedef enum BusError {
    BUS_E_NOT_OWNER = EXCHANGE_ERRORS,
    BUS_E_TOO_MANY_EXCHANGES,
    BUS_E_BUSY, /* later, the same call may be taken */
    BUS_E_UNPROVISIONED,
    BUS_E_TPM_UNAVAILABLE,
    BUS_E_ANCHORS_REFUSED,
    BUS_E_ANCHORS_OUTDATED,
    BUS_E_NO_SUCH_SEGW,
    BUS_ERRORS
} BusError;

/* "org.tred.TrE1.Error.WrongState", …; NULL for a number that has no error. */
const char *bus_error_name(int error);

/* Turns what an exchange returned into a bus error: a positive number into the error of its name,
 * with `reason` or, if that is empty, the error's own sentence; a negative errno into a plain
 * failure. Returns what an sd-bus method handler has to return. */
int bus_error_set(sd_bus_error *ret, int error, const char *reason);

/* Answers a call that was not answered when it came: with `error` if that is set, else with the
 * errno. */
void bus_answer_error(sd_bus_message *call, int r, const sd_bus_error *error);

/* The refusal of BeginExchange that goes with `state`. */
int bus_error_of_identity(IdentityState state);
