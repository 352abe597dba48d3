"""The caller's end of a channel: a D-Bus connection to tred past the bus daemon."""

import socket
from itertools import count

from jeepney import DBusAddress, HeaderFields, MessageFlag, MessageType, new_method_call
from jeepney.low_level import Parser

from lab.bus import BusError
from lab.programs import MANAGER, TRED, TRED_PATH


class Channel:
    """Asked for over the bus by `connection`, to whose exchanges it leads."""

    def __init__(self, connection, seconds=20, words=b"\0AUTH ANONYMOUS 61\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"):
        descriptor, = connection.call(TRED, TRED_PATH, MANAGER, "OpenChannel")
        self.socket = socket.socket(fileno=descriptor.to_raw_fd())
        self.socket.settimeout(seconds)
        self.serials, self.parser = count(1), Parser()
        # All at once, as sd-bus does: of what comes in one read with BEGIN, its server reads no more
        # until more comes.
        self.socket.sendall(words)
        for word in (b"OK ", b"AGREE_UNIX_FD"):
            line = self._line()
            assert line.startswith(word), line

    def close(self):
        self.socket.close()

    stop = close

    def _line(self):
        line = b""
        while not line.endswith(b"\r\n"):
            if not (octet := self.socket.recv(1)):
                raise EOFError
            line += octet
        return line

    def send(self, path, interface, method, signature="", *arguments, sender=None, reply=True):
        """Calls, and does not wait; `sender` is what the message says of itself. Its serial."""
        message = new_method_call(DBusAddress(path, bus_name=TRED, interface=interface), method,
                                  signature or None, arguments)
        if sender:
            message.header.fields[HeaderFields.sender] = sender
        if not reply:
            message.header.flags = MessageFlag.no_reply_expected
        serial = next(self.serials)
        self.socket.sendall(message.serialise(serial=serial))
        return serial

    def receive(self):
        """The next message; EOFError once tred has closed its end."""
        while (message := self.parser.get_next_message()) is None:
            try:
                octets = self.socket.recv(65536)
            except ConnectionError:
                octets = b""
            if not octets:
                raise EOFError
            self.parser.add_data(octets, fds=[])
        return message

    def call(self, *arguments, **named):
        serial = self.send(*arguments, **named)
        while (reply := self.receive()).header.fields.get(HeaderFields.reply_serial) != serial:
            pass
        if reply.header.message_type is MessageType.error:
            raise BusError(reply.header.fields[HeaderFields.error_name],
                           reply.body[0] if reply.body else "")
        return reply.body

    def is_closed(self):
        try:
            while True:
                self.receive()
        except EOFError:
            return True
