/* The IKE client's own face on the bus: dbus/org.tred.IkeClient1.xml. Each connection is an object;
 * the first one is also the client's own. */
#pragma once

#include "base/cleanup.h"
#include "ikeclient/connection.h"

#include <systemd/sd-bus.h>

typedef struct BusFace BusFace;
typedef struct BusObject BusObject; /* a connection; the face's own */

/* Shows nothing yet on `bus`, which is borrowed and must outlive it. 0 or a negative errno. */
int bus_face_new(sd_bus *bus, BusFace **ret);
void bus_face_free(BusFace *face);
DEFINE_POINTER_CLEANUP(BusFace, bus_face_free);

/* Puts an object on the bus. The connection is borrowed and must outlive the face. 0 or a negative
 * errno. */
int bus_face_add(BusFace *face, Connection *connection, BusObject **ret);

/* Takes the bus name. 0, or a negative errno: -EEXIST if another ikeclient has it, -EACCES if the
 * bus policy does not let this user have it. */
int bus_face_claim_name(sd_bus *bus);

void bus_object_changed(BusObject *object);
void bus_object_established(BusObject *object);
void bus_object_closed(BusObject *object, const char *reason);
