/* tred on the system bus as a Tre. */
#pragma once

#include "base/cleanup.h"
#include "ikeclient/tre.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

typedef struct TreBus TreBus;

/* tred has left the bus (`exchange` NULL), or has closed one exchange by itself. */
typedef void (*TreBusLost)(void *userdata, const char *exchange, const char *reason);

/* The Child SA of `exchange` that receives at `spi_in` is due to be replaced, or (hard) carries
 * nothing any more. */
typedef void (*TreBusLifetime)(void *userdata, const char *exchange, uint32_t spi_in, bool hard);

/* A certificate that `exchange` rests on ends at `when` (seconds since 1970). */
typedef void (*TreBusExpires)(void *userdata, const char *exchange, uint64_t when);

/* Watches tred on `bus`, which is referenced. 0 or a negative errno. */
int tre_bus_new(sd_bus *bus, TreBusLost lost, TreBusLifetime lifetime, TreBusExpires expires,
                void *userdata, TreBus **ret);
void tre_bus_free(TreBus *tre);
DEFINE_POINTER_CLEANUP(TreBus, tre_bus_free);

/* The face that IKE SAs call. */
Tre *tre_bus_tre(TreBus *tre);
