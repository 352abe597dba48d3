"""The system bus of the world: Debian's own configuration, and the project's policy as it is."""

import contextlib
import os
import pwd
import subprocess
from pathlib import Path

from jeepney import DBusAddress, MessageType, Properties, new_method_call
from jeepney.io.blocking import open_dbus_connection

from lab.process import Process, listens, scratch, wait_until

SOCKET = Path("/run/dbus/system_bus_socket")
ADDRESS = f"unix:path={SOCKET}"
ERROR_PREFIX = "org.tred.TrE1.Error."


class Bus:
    def __init__(self):
        SOCKET.unlink(missing_ok=True)
        self.process = Process("bus", ["dbus-daemon", "--config-file=/usr/share/dbus-1/system.conf",
                                       "--nofork", "--nopidfile", "--nosyslog"])
        wait_until(lambda: listens(SOCKET), "the bus")

    def stop(self):
        self.process.stop()


class BusError(Exception):
    """An error reply; `name` is its last word where the error is tred's."""

    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name = name.removeprefix(ERROR_PREFIX)
        self.text = text


@contextlib.contextmanager
def _effective_user(user):
    """Connections made meanwhile carry the credentials of `user`."""
    entry = pwd.getpwnam(user)
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


class Connection:
    """A client of the bus under any user's name."""

    def __init__(self, user, seconds=20):
        """A call is given up after `seconds`."""
        self.seconds = seconds
        with _effective_user(user):
            self.connection = open_dbus_connection(ADDRESS, enable_fds=True)

    @property
    def unique_name(self):
        return self.connection.unique_name

    def close(self):
        self.connection.close()

    def request(self, message):
        reply = self.connection.send_and_get_reply(message, timeout=self.seconds)
        if reply.header.message_type is MessageType.error:
            text = reply.body[0] if reply.body else ""
            raise BusError(reply.header.fields[4], text)
        return reply.body

    def call(self, destination, path, interface, method, signature="", *arguments):
        address = DBusAddress(path, bus_name=destination, interface=interface)
        return self.request(new_method_call(address, method, signature or None, arguments))

    def send(self, destination, path, interface, method, signature="", *arguments):
        """Calls and does not wait for the reply, which is dropped when another is waited for."""
        address = DBusAddress(path, bus_name=destination, interface=interface)
        self.connection.send(new_method_call(address, method, signature or None, arguments))

    def get(self, destination, path, interface, name):
        address = DBusAddress(path, bus_name=destination, interface=interface)
        (_, value), = self.request(Properties(address).get(name))
        return value

    def introspect(self, destination, path):
        text, = self.call(destination, path, "org.freedesktop.DBus.Introspectable", "Introspect")
        return text

    def has_owner(self, name):
        owned, = self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                           "NameHasOwner", "s", name)
        return owned


class Recording:
    """Every message of the bus from now on, in a pcap file."""

    def __init__(self):
        self.path = scratch("recording") / "bus.pcap"
        self.readings = 0
        with self.path.open("wb") as output:
            self.monitor = subprocess.Popen(["dbus-monitor", "--address", ADDRESS, "--pcap"],
                                            stdout=output, stderr=subprocess.DEVNULL)
        # The pcap header appears once the bus has made a monitor of the connection.
        wait_until(lambda: self.path.stat().st_size > 0, "the recording")

    def octets(self):
        """All that has crossed the bus until now. The monitor writes it later than it crossed: what is asked of the bus here
        comes after it, for the monitor as well."""
        self.readings += 1
        last = f"org.tred.Recorded{self.readings}"
        asker = Connection("root")
        asker.has_owner(last)
        asker.close()
        wait_until(lambda: last.encode() + b"\0" in self.path.read_bytes(), "the end of the recording")
        return self.path.read_bytes()

    def stop(self):
        self.monitor.terminate()
        self.monitor.wait()
