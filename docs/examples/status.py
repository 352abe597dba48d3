#!/usr/bin/python3
"""The tunnel at a glance, as any user: org.tred.TrE1(5). Needs python3-jeepney."""

from datetime import datetime
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection

def properties(bus, name):
    manager = DBusAddress("/org/tred", bus_name=name, interface="org.freedesktop.DBus.ObjectManager")
    objects, = bus.send_and_get_reply(new_method_call(manager, "GetManagedObjects")).body
    return {key: value for each in objects.values() for known in each.values() for key, (_, value) in known.items()}

with open_dbus_connection("SYSTEM") as bus:
    tre, client = properties(bus, "org.tred.TrE1"), properties(bus, "org.tred.IkeClient1")
print(f"{client['State']} with {client['SegwIdentity']} at {client['SegwAddress']}, {', '.join(client['Addresses'])}")
print(f"since {datetime.fromtimestamp(client['EstablishedSince'])}, {client['Suite']}, ESP {client['EspSuite']}")
print(f"TrE of {tre['Identity']}: {tre['State']}, certificate until {datetime.fromtimestamp(tre['CertificateExpires'])}")
