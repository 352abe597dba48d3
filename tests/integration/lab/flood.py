"""Many calls at once, as a hostile client makes them: written to the bus in one go."""

import threading

from jeepney import DBusAddress, MessageFlag, MessageType, Properties, new_method_call

from lab.bus import Connection
from lab.programs import EXCHANGE, MANAGER, TRED, TRED_PATH

MANAGER_ADDRESS = DBusAddress(TRED_PATH, bus_name=TRED, interface=MANAGER)


def begin_exchange(group=14):
    return new_method_call(MANAGER_ADDRESS, "BeginExchange", "q", (group,))


def close(number):
    address = DBusAddress(f"{TRED_PATH}/exchange/{number}", bus_name=TRED, interface=EXCHANGE)
    return new_method_call(address, "Close")


def get_all():
    return Properties(MANAGER_ADDRESS).get_all()


class Flood:
    """All of `messages` from each of `connections` of `user`, as fast as the bus takes them.

    Nobody reads what is answered; with `reply` False no answer is asked for either."""

    def __init__(self, messages, user="henb-ike", connections=1, reply=False):
        self.connections = [Connection(user) for _ in range(connections)]
        self.octets = b"".join(self.serialised(message, 100 + i, reply)
                               for i, message in enumerate(messages))
        self.threads = [threading.Thread(target=self.send, args=(each,), daemon=True)
                        for each in self.connections]

    def serialised(self, message, serial, reply):
        if not reply:
            message.header.flags = MessageFlag.no_reply_expected
        return message.serialise(serial)

    def send(self, connection):
        try:
            connection.connection.sock.sendall(self.octets)
        except OSError:  # stopped
            pass

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def goes_on(self):
        """The bus has not yet taken all of it."""
        return any(thread.is_alive() for thread in self.threads)

    def wait(self):
        """Until the bus has taken all of it."""
        for thread in self.threads:
            thread.join()
        return self

    def stop(self):
        for each in self.connections:
            each.close()
        self.wait()


class Reader:
    """A connection that takes in whatever it is answered, `window` calls being under way at a time."""

    def __init__(self, message, user="nobody", window=100):
        self.connection, self.message, self.window = Connection(user), message, window
        self.answered, self.stopped = 0, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def goes_on(self):
        return self.thread.is_alive()

    def run(self):
        link = self.connection.connection
        for _ in range(self.window):
            link.send(self.message)
        while not self.stopped:
            reply = link.receive(timeout=20)
            if reply.header.message_type in (MessageType.method_return, MessageType.error):
                self.answered += 1
                link.send(self.message)

    def stop(self):
        self.stopped = True
        self.thread.join()
        self.connection.close()
