"""ikeclient on the bus, as far as whoever asks for its State can tell: each time it is asked, its next state of a list,
and the last one for ever. In "established@NAME" its traffic goes by the interface NAME, and it has a DNS server.
It says what it is told."""

import os
import sys

try:
    from lab.process import Process
    from lab.programs import CLIENT, CLIENT_PATH
except ImportError:  # run as the program itself
    Process, CLIENT, CLIENT_PATH = object, *sys.argv[1:3]


class StandinClient(Process):
    def __init__(self, *states):
        super().__init__("standin", [sys.executable, os.path.abspath(__file__), CLIENT, CLIENT_PATH, *states],
                         user="henb-ike")
        self.wait_for("ready")


def serve(states):
    from jeepney import DBusAddress, HeaderFields, new_error, new_method_call, new_method_return
    from jeepney.io.blocking import open_dbus_connection
    from jeepney.low_level import MessageType

    bus = open_dbus_connection("SYSTEM")
    daemon = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus",
                         interface="org.freedesktop.DBus")
    bus.send_and_get_reply(new_method_call(daemon, "RequestName", "su", (CLIENT, 0)))
    print("ready", flush=True)
    while True:
        message = bus.receive()
        if message.header.message_type is not MessageType.method_call:
            continue
        member = message.header.fields[HeaderFields.member]
        if member == "GetAll":
            state, _, interface = (states.pop(0) if len(states) > 1 else states[0]).partition("@")
            properties = {"Name": ("s", "default"), "State": ("s", state), "LastError": ("s", ""),
                          "Interface": ("s", interface),
                          "DnsServers": ("as", ["10.200.0.53"] if interface else [])}
            bus.send(new_method_return(message, "a{sv}", (properties,)))
        elif member in ("Connect", "Disconnect"):
            print(member, flush=True)
            bus.send(new_method_return(message))
        else:
            bus.send(new_error(message, "org.freedesktop.DBus.Error.UnknownMethod"))


if __name__ == "__main__":
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    serve(sys.argv[3:])
