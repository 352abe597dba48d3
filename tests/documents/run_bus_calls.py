"""Does a program that serves others ever wait for the bus?

Arguments: the root of the sources, and each program with its folder: tred/tred ikeclient/ikeclient.

A call that waits for its answer keeps everybody else waiting, and takes in all that comes meanwhile: with 65,536 messages
sd-bus gives the connection up. So every function of sd-bus that a program imports is on a list here of those that
return at once; those that wait are named with the one file that may call them, before the program serves or after."""

import re
import subprocess
import sys
from pathlib import Path

from run_documents import say

ROOT = Path(sys.argv[1])

RETURN_AT_ONCE = re.compile(r"""sd_bus_(
    add_(fallback_vtable|filter|match_async|node_enumerator|object_manager|object_vtable)|attach_event|
    close|close_unref|detach_event|get_(current_message|description|event|n_queued_write)|is_bus_client|negotiate_fds|new|
    call_async|call_method_async|emit_(properties_changed|properties_changed_strv|signal)|
    error_\w+|is_open|message_\w+|object_vtable_format|path_decode|path_encode|ref|unref|reply_method_\w+|send|
    set_(anonymous|description|exit_on_disconnect|fd|server)|slot_unref|start
)$""", re.VERBOSE)

# Function: the files that call it, before the program serves or when it has stopped to.
WAIT = {
    "sd_bus_open_system": {"ikeclient/main.c"},
    "sd_bus_open_system_with_description": {"tred/bus_connection.c"},
    "sd_bus_request_name": {"tred/bus_connection.c", "ikeclient/bus.c"},
    "sd_bus_flush_close_unref": {"tred/daemon.c", "ikeclient/main.c"},
}
# These ask the bus, or the sender's credentials from it.
MESSAGES_THAT_WAIT = ("sd_bus_message_get_creds",)


def imported(program):
    said = subprocess.run(["nm", "-D", "--undefined-only", program], check=True, capture_output=True,
                          text=True).stdout
    return set(re.findall(r"\bsd_bus_\w+", said))


def callers(folder, name):
    return {str(path.relative_to(ROOT)) for path in (ROOT / folder).glob("*.c")
            if re.search(rf"\b{name}\(", path.read_text())}


def methods(text):
    """What stands in the parentheses of each SD_BUS_METHOD."""
    for found in re.finditer(r"SD_BUS_METHOD\w*\(", text):
        depth, end = 1, found.end()
        while depth > 0:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield text[found.end():end - 1].strip()


def privileged(folder):
    """Methods whose caller sd-bus asks the bus about before it lets them be called."""
    for path in (ROOT / folder).glob("*.c"):
        for method in methods(path.read_text()):
            if "SD_BUS_VTABLE_UNPRIVILEGED" not in method:
                yield f"{path.name}: {method.split(',')[0]} lacks SD_BUS_VTABLE_UNPRIVILEGED"


def waiting(folder, names):
    for name in sorted(names):
        if name in WAIT:
            yield from (f"{file} calls {name}()" for file in callers(folder, name) - WAIT[name])
        elif not RETURN_AT_ONCE.match(name) or name in MESSAGES_THAT_WAIT:
            yield f"{folder} calls {name}(), which may wait: {callers(folder, name)}"


def good(program):
    folder, names = program.parent.name, imported(program)
    found = sum(1 for path in (ROOT / folder).glob("*.c") for _ in methods(path.read_text()))
    # Fewer are not what it is made of.
    return [say(f"{folder} calls nothing of sd-bus that waits while it serves", len(names) if len(names) >= 20 else 0,
                list(waiting(folder, names))),
            say(f"{folder} has no method whose caller sd-bus asks the bus about", found, list(privileged(folder)))]


sys.exit(0 if all([result for program in map(Path, sys.argv[2:]) for result in good(program)]) else 1)
