"""systemd-resolved on the bus, as far as whoever tells it something can tell: it writes down what it is told."""

import os
import re
import sys
from pathlib import Path

try:
    from lab.process import Process
except ImportError:  # run as the program itself
    Process = object

NAME = "org.freedesktop.resolve1"
POLICY = Path("/etc/dbus-1/system.d") / f"{NAME}.conf"
# Root's, as resolved lets nobody else without polkit.
POLICY_TEXT = f"""<busconfig>
<policy user="root"><allow own="{NAME}"/><allow send_destination="{NAME}"/></policy>
</busconfig>
"""


class Resolved(Process):
    """To be started after a bus that was started with its policy (allow_on_the_bus())."""

    def __init__(self):
        super().__init__("resolved", [sys.executable, os.path.abspath(__file__)])
        self.wait_for("ready")

    def calls(self):
        """[(method, what it was told)], oldest first."""
        return re.findall(r"(?m)^(\w+Link\w*) (.*)$", self.output())


def allow_on_the_bus():
    POLICY.write_text(POLICY_TEXT)


def serve():
    from jeepney import DBusAddress, HeaderFields, new_method_call, new_method_return
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
            told = [[(kind, bytes(octets).hex()) for kind, octets in each] if each and isinstance(each, list) and
                    isinstance(each[0][1], (bytes, list)) else each for each in message.body]
            print(message.header.fields[HeaderFields.member], *told, flush=True)
            bus.send(new_method_return(message))


if __name__ == "__main__":
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    serve()
