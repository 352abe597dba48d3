"""Do the folders include each other as docs/architecture.md says, and no file itself by way of others?

Argument: the root of the sources."""

import re
import sys
from pathlib import Path

from run_documents import say


def table(text):
    """{folder: the folders that it may include}, from the table of docs/architecture.md."""
    section = text.split("\n## Folders and what they may use\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", section, re.MULTILINE)
    return {folder: set(re.findall(r"`(\w+)`", allowed)) for folder, allowed in rows}


def includes(root, folders):
    """[(file, included file)] of the project's own, each from the root."""
    found = []
    for folder in folders:
        for file in sorted((root / folder).glob("*.[ch]")):
            names = re.findall(r'^#include "([^"]+)"', file.read_text(), re.MULTILINE)
            found += [(str(file.relative_to(root)), name if "/" in name else f"{folder}/{name}")
                      for name in names]
    return found


def room(file):
    """A file without its ending; what is internal to a room is in it."""
    return re.sub(r"(_internal)?\.[ch]$", "", file)


def wrong_arrows(edges, allowed):
    folder = lambda file: file.split("/")[0]
    return len(edges), [f"{file} includes {name}" for file, name in edges
                        if folder(file) != folder(name) and folder(name) not in allowed[folder(file)]]


def downward(allowed):
    """The table itself: no folder may reach itself."""
    edges = [(folder, name) for folder, names in allowed.items() for name in names]
    return len(allowed), [" and ".join(sorted(circle)) for circle in circles(edges)]


def circles(edges):
    """The sets of nodes that reach each other (Tarjan's strongly connected components)."""
    graph = {}
    for a, b in edges:
        graph.setdefault(a, set()).add(b)
        graph.setdefault(b, set())
    order, low, stack, found = {}, {}, [], []

    def visit(node):
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in graph[node]:
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            cut = stack.index(node)
            if len(stack) - cut > 1 or node in graph[node]:
                found.append(set(stack[cut:]))
            del stack[cut:]

    for node in graph:
        if node not in order:
            visit(node)
    return found


def header_circles(edges):
    headers = [(a, b) for a, b in edges if a.endswith(".h")]
    return len(headers), [" and ".join(sorted(circle)) for circle in circles(headers)]


def room_circles(edges):
    rooms = {(room(a), room(b)) for a, b in edges if room(a) != room(b)}
    return len(rooms), [" and ".join(sorted(circle)) for circle in circles(rooms)]


def main():
    root = Path(sys.argv[1])
    allowed = table((root / "docs/architecture.md").read_text())
    edges = includes(root, allowed)
    folders = {path.parent.name for path in root.glob("*/*.c")}
    good = [say("every folder of the sources is in the table of docs/architecture.md", len(folders),
                sorted(folders - set(allowed))),
            say("no arrow between folders goes up", *downward(allowed)),
            say("no file includes one of a folder that its own may not use", *wrong_arrows(edges, allowed)),
            say("no headers include each other", *header_circles(edges)),
            say("no files include each other", *room_circles(edges))]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
