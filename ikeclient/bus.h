/* The IKE client's own face on the bus: dbus/org.tred.IkeClient1.xml. */
#pragma once

#include "base/cleanup.h"
#include "ikeclient/connection.h"

#include <systemd/sd-bus.h>

typedef struct BusFace BusFace;

/* Puts the object on `bus`. Everything is borrowed and must outlive it. 0 or a negative errno. */
int bus_face_new(sd_bus *bus, Connection *connection, BusFace **ret);
void bus_face_free(BusFace *face);
DEFINE_POINTER_CLEANUP(BusFace, bus_face_free);

/* Takes the bus name. 0, or a negative errno: -EEXIST if another ikeclient has it, -EACCES if the
 * bus policy does not let this user have it. */
int bus_face_claim_name(sd_bus *bus);

void bus_face_changed(BusFace *face);
void bus_face_established(BusFace *face);
void bus_face_closed(BusFace *face, const char *reason);
