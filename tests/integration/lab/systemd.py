"""systemd on the bus, as far as whoever asks about units can tell: it says what a test wants it to."""

import os
import sys

try:
    from lab.process import Process
except ImportError:  # run as the program itself
    Process = object

NAME, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER, SERVICE = f"{NAME}.Manager", f"{NAME}.Service"


class Systemd(Process):
    """`units`: {name: (ActiveState, UnitFileState, Result, ExecMainStatus)}"""

    def __init__(self, units):
        words = [f"{name}={','.join(map(str, facts))}" for name, facts in units.items()]
        super().__init__("systemd", [sys.executable, os.path.abspath(__file__), *words])
        self.wait_for("ready")


def reply_to(message, units):
    """(signature, body) of the reply."""
    from jeepney import HeaderFields

    fields = message.header.fields
    member, body = fields[HeaderFields.member], message.body
    if member == "ListUnitsByNames":
        return "a(ssssssouso)", ([(name, "", "loaded" if name in units else "not-found",
                                   units.get(name, ("inactive",))[0], "", "", f"{PATH}/unit/{i}", 0, "", "/")
                                  for i, name in enumerate(body[0])],)
    if member == "GetUnitFileState":
        return "s", (units[body[0]][1],)
    # Get of the only unit that has failed.
    failed = next(facts for facts in units.values() if facts[0] == "failed")
    return "v", (("s", failed[2]) if body[1] == "Result" else ("i", int(failed[3])),)


def serve(units):
    from jeepney import DBusAddress, new_method_call, new_method_return
    from jeepney.io.blocking import open_dbus_connection
    from jeepney.low_level import MessageType

    bus = open_dbus_connection("SYSTEM")
    daemon = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus",
                         interface="org.freedesktop.DBus")
    bus.send_and_get_reply(new_method_call(daemon, "RequestName", "su", (NAME, 0)))
    print("ready", flush=True)
    while True:
        message = bus.receive()
        if message.header.message_type is MessageType.method_call:
            bus.send(new_method_return(message, *reply_to(message, units)))


if __name__ == "__main__":
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    serve({name: facts.split(",") for name, facts in (word.split("=") for word in sys.argv[1:])})
