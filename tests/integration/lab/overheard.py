"""All that a program sends and receives, whatever it goes over."""

import re

from lab.process import scratch

MESSAGE_MAX = 70_000  # octets of a buffer; IKE and D-Bus messages here have less


class Overheard:
    """`under` are the words before the command of the program that is listened to."""

    def __init__(self):
        folder = scratch("overheard")
        folder.chmod(0o777)
        self.path = folder / "calls"
        # -D: the program stays the one that was started.
        self.under = ("strace", "-D", "-qq", "-xx", "-s", str(MESSAGE_MAX), "-o", self.path,
                      "-e", "trace=sendmsg,recvmsg,sendto,recvfrom,read,write,readv,writev")

    def octets(self):
        """One after the other, so that a message whose parts were read singly is whole."""
        words = re.findall(r'"((?:\\x[0-9a-f]{2})+)"(?!\.)', self.path.read_text())
        return b"".join(bytes.fromhex(word.replace("\\x", "")) for word in words)
