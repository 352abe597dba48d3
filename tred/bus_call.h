/* What every method and property on the bus is made of. */
#pragma once

#include "base/bytes.h"
#include "tred/bus_connection.h"
#include "tred/exchange.h"
#include "tred/identity.h"

#include <stddef.h>
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

/* The refusal of BeginExchange that goes with `state`. */
int bus_error_of_identity(IdentityState state);

/* A filter of the bus's and of channels, to be asked before all others. A call that wants no reply
 * is dropped, unless it gives something back: of the others the bus lets a connection have only so
 * many under way (max_replies_per_connection), and of these any number. */
int bus_admit_filter(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* The unique name that has made a call, over the bus or a channel. Over a channel, what the message
 * says of its sender is what the caller wrote, and does not count. Lives as long as the call. */
const char *call_sender(sd_bus_message *call);

/* Among types, in place of D-Bus's "ay": octets, as Bytes; and of "aay": a list of such. */
enum { BUS_OCTETS = 'A', BUS_OCTETS_LIST = 'L' };

typedef struct BusOctetsList {
    size_t count;
    const Bytes *items;
} BusOctetsList;

/* Appends octets as "aay" to a reply or to a property's value. 0 or -errno. */
int bus_append_list(sd_bus_message *reply, BusOctetsList list);

/* Reads arguments of basic types, and octets as views that live as long as the message. 0 or
 * -errno. */
int bus_read(sd_bus_message *call, const char *types, ...);

/* Answers a call with values of the types y, q, b, u, h, t, s, o, octets and lists of
 * octets. 0 or -errno. */
int bus_reply(sd_bus_message *call, const char *types, ...);

/* Answers a call that was not answered when it came: as bus_reply(), or with an `error` of
 * bus_error_set()'s. */
void bus_answer(sd_bus_message *call, int error, const char *reason, const char *types, ...);

/* The same with `error` if that is set, else with the errno. */
void bus_answer_error(sd_bus_message *call, int r, const sd_bus_error *error);

/* A property, whose value is read from the object. A list ends with a row without a name. */
typedef struct BusProperty {
    const char *name;
    int (*append)(sd_bus_message *reply, const void *object);
} BusProperty;

/* Appends the value of the property of that name. 0 or more, or -errno. */
int bus_property_append(const BusProperty *properties, const char *name, sd_bus_message *reply,
                        const void *object);

enum { BUS_ANNOUNCED_MAX = 24 };

/* Which properties of an object have changed since it was last looked: PropertiesChanged carries
 * these, and no others (D-Bus Specification, "org.freedesktop.DBus.Properties"). Each property's
 * value when it was last looked at, as text; NULL: never. */
typedef struct BusAnnounced {
    char *values[BUS_ANNOUNCED_MAX];
} BusAnnounced;

/* Looks at the properties of `vtable` that announce their changes (at most BUS_ANNOUNCED_MAX, with
 * getters), and names those that have another value than before in `ret` (BUS_ANNOUNCED_MAX + 1
 * pointers into the vtable), NULL after the last. One whose value can't be had counts as changed.
 * Returns how many there are. */
size_t bus_announced_look(BusAnnounced *announced, sd_bus *bus, const sd_bus_vtable *vtable,
                          void *userdata, char **ret);

void bus_announced_deinit(BusAnnounced *announced);
