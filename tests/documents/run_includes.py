"""Do the folders include each other as docs/architecture.md says, and no file itself by way of others?

Argument: the root of the sources."""

import re
import sys
from pathlib import Path

from run_documents import say


def rows(text):
    """[(folder, the cell of those that it may include, the cell that says more)], from docs/architecture.md."""
    section = text.split("\n## Folders and what they may use\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|", section, re.MULTILINE)


def table(text):
    """{folder: the folders that it may include}."""
    return {folder: set(re.findall(r"`(\w+)`", allowed)) for folder, allowed, _ in rows(text)}


def parts(text):
    """{(folder, one that it may include): the only header of that}."""
    return {(folder, other): f"{other}/{header}" for folder, _, more in rows(text)
            for other, header in re.findall(r"of `(\w+)` only `(\w+\.h)`", more)}


def includes(root, folders):
    """[(file, included file)] of the project's own, each from the root."""
    found = []
    for folder in folders:
        for file in sorted((root / folder).glob("*.[ch]")):
            names = re.findall(r'^\s*#\s*include\s*"([^"]+)"', file.read_text(), re.MULTILINE)
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


def wrong_parts(edges, only):
    """(how many includes are bound to one header, those of another)."""
    bound = [(file, name, only[pair]) for file, name in edges
             if (pair := (file.split("/")[0], name.split("/")[0])) in only]
    return len(bound), [f"{file} includes {name}" for file, name, header in bound if name != header]


def strangers(edges):
    """(how many includes there are, those of what is internal to another folder)."""
    return len(edges), [f"{file} includes {name}" for file, name in edges
                        if name.endswith("_internal.h") and file.split("/")[0] != name.split("/")[0]]


def hidden(root, folders):
    """(how many files there are, includes of ours in angle brackets, or by a path that goes up)."""
    files = [file for folder in folders for file in sorted((root / folder).glob("*.[ch]"))]
    named = [(str(file.relative_to(root)), name) for file in files
             for name in re.findall(r'^\s*#\s*include\s*(<[^>]+|"[^"]*\.\.)', file.read_text(), re.MULTILINE)]
    return len(files), [f"{file} includes {name[1:]}" for file, name in named
                        if name[0] == '"' or (root / name[1:]).exists()]


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
    text = (root / "docs/architecture.md").read_text()
    allowed = table(text)
    edges = includes(root, allowed)
    folders = {path.parent.name for path in root.glob("*/*.c")}
    good = [say("every folder of the sources is in the table of docs/architecture.md", len(folders),
                sorted(folders - set(allowed))),
            say("no arrow between folders goes up", *downward(allowed)),
            say("no file includes one of a folder that its own may not use", *wrong_arrows(edges, allowed)),
            say("of a folder that is open to another in part no other part is included", *wrong_parts(edges, parts(text))),
            say("no file includes what is internal to another folder", *strangers(edges)),
            say("no file includes another in a way that hides its folder", *hidden(root, allowed)),
            say("no headers include each other", *header_circles(edges)),
            say("no files include each other", *room_circles(edges))]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
