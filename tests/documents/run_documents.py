"""Do the man pages name all that there is to set, to call and to be refused with, and is what is named there?

Argument: the root of the sources."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(sys.argv[1])

# The tables of base/config.h, and the page that describes each.
TABLES = {
    "tred/config.c": "tred.conf.5",
    "ikeclient/config.c": "ikeclient.conf.5",
    "verify/profile.c": "tred-profile.5",
}
# The files that are shipped: the same keys, commented out.
SHIPPED = {
    "tred/config.c": "dbus/units/tred.conf",
    "ikeclient/config.c": "ikeclient/ikeclient.conf",
}
INTERFACES = {
    "org.tred.TrE1.Manager.xml": "org.tred.TrE1.5",
    "org.tred.TrE1.Exchange.xml": "org.tred.TrE1.5",
    "org.tred.IkeClient1.xml": "ikeclient.8",
}


def page(name):
    return (ROOT / "docs" / f"{name}.scd").read_text()


def sections(text):
    """{heading: what stands below it}; a configuration page has a heading for each section."""
    _, *parts = re.split(r"^# (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2]))


def keys(source):
    """[(section, key)] of a table."""
    return re.findall(r'^ +\{"([a-z0-9-]+(?: NAME)?)", +"([a-z0-9-]+)",', (ROOT / source).read_text(), re.MULTILINE)


def unshipped_keys(source, name):
    """(how many keys the table has, those that the file has not commented out below their section, with a word on each)"""
    shipped, section, explained = set(), "", False
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("["):
            section, explained = line.strip("[]"), False
        elif line.startswith("# "):
            explained = True
        elif explained and line.startswith("#"):
            shipped.add((section, line[1:].split(" ")[0]))
    items = [item for item in keys(source) if not item[0].endswith(" NAME")]
    return len(items), sorted(set(items) ^ shipped)


def missing_keys(source, name):
    """(how many keys the table has, those that the page lacks)"""
    items = keys(source)
    below = sections(page(name))
    return len(items), [f"[{section}] {key}" for section, key in items
                        if f"*{key}*" not in below.get(f"[{section}]", "")]


def missing_names(names, text):
    return len(names), [name for name in names if not re.search(rf"\*{name}\*", text)]


def members(file):
    return re.findall(r'<(?:property|method|signal) name="(\w+)"', (ROOT / "dbus" / file).read_text())


# What introspection says of changes, and what the vtable does.
CHANGES = {"true": "CHANGES", "invalidates": "SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION", "false": "0"}


def wrong_properties():
    """Properties of a connection that the interface, the vtable and the table behind PropertiesChanged have unlike."""
    described, told = set(), set()
    for item in ElementTree.parse(ROOT / "dbus/org.tred.IkeClient1.xml").iter("property"):
        notes = {note.get("name"): note.get("value") for note in item.iter("annotation")}
        described.add((item.get("name"), item.get("type"),
                       CHANGES.get(notes.get("org.freedesktop.DBus.Property.EmitsChangedSignal", "true"))))
    vtable = set(re.findall(r'SD_BUS_PROPERTY\("(\w+)", "(.+?)", get_property, 0,\s+(\w+)\)',
                            (ROOT / "ikeclient/bus.c").read_text()))
    types = {name: kind for name, kind, _ in vtable}
    for name, kind, text in re.findall(r'^    \{"(\w+)", (NULL|".+"), \w+, (\w+)\},$',
                                       (ROOT / "ikeclient/bus_properties.c").read_text(), re.MULTILINE):
        changes = CHANGES["true" if kind != "NULL" else "false" if text == "NULL" else "invalidates"]
        told.add((name, types.get(name) if kind == "NULL" else kind.strip('"'), changes))
    # Those of the object have functions of their own in the vtable.
    described = {row for row in described if row[0] not in ("Name", "Connections")}
    return len(described), sorted((described ^ vtable) | (vtable ^ told), key=str)


def errors():
    return re.findall(r'ERROR_PREFIX "(\w+)"', (ROOT / "tred/bus_call.c").read_text())


def wrong_words(name):
    """(how many words the table of algorithms has, those of the profile that the page lacks and others that it has)"""
    table = (ROOT / "ikewire/algorithm.h").read_text()
    rows = re.findall(r'^ +ROW\(\w+, .*?"(\w+)".*, (true|false)\)', table, re.MULTILINE)
    return len(rows), [word for word, profile in rows
                       if bool(re.search(rf"\b_{word}_\b", page(name))) != (profile == "true")]


def say(sentence, count, missing):
    """As cmocka says it, so that tests/unit/run counts it."""
    good = count > 0 and not missing
    print(f"[  {'     OK' if good else ' FAILED'} ] {re.sub(r'[^A-Za-z0-9]+', '_', sentence)}")
    if not good:
        print(f"  of {count}, these fail: {missing}")
    return good


def wrong_metrics():
    """Metrics that are written and not in trectl(8), or the other way round."""
    written = set(re.findall(r'(?:sample(?:_of)?|states_print|drops_print)\(stream, "(henb_\w+)"', (ROOT / "trectl/metrics.c").read_text()))
    written |= {f"{name}_total" for name in re.findall(r'\{"(henb_\w+)", "', (ROOT / "trectl/metrics.c").read_text())}
    named = set(re.findall(r"\bhenb_\w+", page("trectl.8")))
    return len(written), sorted(written ^ named)


def open_methods():
    """Methods of the manager that the policy denies by name to neither of the two users that may call some."""
    policy = (ROOT / "dbus/org.tred.TrE1.conf").read_text()
    denied = re.findall(r'<deny [^>]*send_interface="org\.tred\.TrE1\.Manager" send_member="(\w+)"', policy)
    text = (ROOT / "dbus/org.tred.TrE1.Manager.xml").read_text()
    names = re.findall(r'<method name="(\w+)"', text)
    return len(names), [name for name in names if denied.count(name) != 1]


def messages():
    """{name: id} of base/messages.h"""
    return dict(re.findall(r'^#define MESSAGE_(\w+) "([0-9a-f]{32})"$', (ROOT / "base/messages.h").read_text(),
                           re.MULTILINE))


def wrong_messages():
    """Ids that are not unlike all others, not used, not explained with what to do, or not in the man page's table."""
    ids, text = messages(), page("tred-journal.7")
    entries = dict(re.findall(r"^-- ([0-9a-f]{32})\n(.*?)(?=^-- |\Z)", (ROOT / "dbus/units/tred.catalog").read_text(),
                              re.MULTILINE | re.DOTALL))
    rows = dict(re.findall(r"^\*(\w+)\*\n\t_([0-9a-f]{32})_", text, re.MULTILINE))
    code = "".join(path.read_text() for folder in ("tred", "ikeclient") for path in (ROOT / folder).glob("*.c"))
    wrong = [f"{name}: {what}" for name, id in ids.items() for what, good in (
        ("is not unique", list(ids.values()).count(id) == 1),
        ("is not used", re.search(rf"\bMESSAGE_{name}\b", code)),
        ("is not in the catalogue", id in entries),
        ("is not explained", re.match(r"Subject: .+\nDefined-By: tred\nDocumentation: .+\n\n(?s:.+?)\n\n.+", entries.get(id, ""))),
        ("is not in tred-journal(7)", rows.get(name) == id)) if not good]
    wrong += [f"{id} is no message's" for id in set(entries) ^ set(ids.values())]
    wrong += [f"{name} is no message" for name in set(rows) - set(ids)]
    return len(ids), wrong


def wrong_fields():
    """Fields that the code sends and the man page lacks, or the other way round."""
    sent = set(re.findall(r'"(MESSAGE_ID|TRE_\w+)"', (ROOT / "base/log.c").read_text()))
    named = set(re.findall(r"^\*(MESSAGE_ID|TRE_\w+)\*$", page("tred-journal.7"), re.MULTILINE))
    return len(sent), sorted(sent ^ named)


def missing_files():
    """What the documents for who reads the sources name by a path, from the root or from tests/, and is not there."""
    names = ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "tests/README.md"]
    named = {(name, path) for name in names
             for path in re.findall(r"`((?:[a-z]+/)+[\w.*-]+)`", (ROOT / name).read_text()) if not path.startswith("build/")}
    return len(named), sorted(f"{name}: {path}" for name, path in named
                              if not any(any(place.glob(path)) for place in (ROOT, ROOT / "tests")))


def tests():
    """Names of tests, and of the files that they are in."""
    for path in sorted((ROOT / "tests").rglob("*")):
        if not re.fullmatch(r"(test_\w+\.(c|py)|run_\w+\.py)", path.name):
            continue
        yield path.stem
        text = path.read_text(errors="replace")
        for list_ in re.findall(r"CMUnitTest \w+\[\] = \{(.*?)^    \};", text, re.MULTILINE | re.DOTALL):
            yield from re.findall(r"\w\(\s*(\w+)", list_)
        yield from re.findall(r"^    def (test_\w+)\(", text, re.MULTILINE)
        yield from re.findall(r"'\} \] (\w+)", text)
        yield from (re.sub(r"[^A-Za-z0-9]+", "_", sentence) for sentence in re.findall(r'\bsay\(f?"([^"]+)"', text))


def patterns_of_no_test():
    """What the documents have a reader give as -k, and neither a test nor its file has in its name."""
    names = list(tests())
    named = {(name, quoted or word) for name in ("README.md", "CONTRIBUTING.md", "tests/README.md")
             for quoted, word in re.findall(r' -k (?:"([^"]+)"|([a-z_]+))', (ROOT / name).read_text())}
    return len(named), sorted(f"{name}: {pattern}" for name, pattern in named
                              if not any(pattern.replace(" ", "_") in test for test in names))


def long_walk():
    """(how many files the walk of one handshake names, how many that is too many: a newcomer is to read them all)."""
    section = (ROOT / "docs/architecture.md").read_text().split("\n## One handshake, file by file\n")[1].split("\n## ")[0]
    files = set(re.findall(r"`(\w+/\w+\.c)`", section))
    return len(files), sorted(files)[39:]


def constants(name):
    """{constant: value} of the enums of a header, as far as they are sums and products of numbers and of each other."""
    values = {}
    for constant, sum_ in re.findall(r"^    ([A-Z_]+) = ([A-Z_\d +*]+),", (ROOT / name).read_text(), re.MULTILINE):
        values[constant] = eval(sum_, {}, values)
    return values


def wrong_limits():
    """What is said of how many exchanges there may be, and of their descriptors, where that is not so."""
    limits = constants("tred/users.h")
    all_, user, own = limits["EXCHANGES_TOTAL_MAX"], limits["EXCHANGES_USER_MAX"], limits["DESCRIPTORS_OWN"]
    said = [("dbus/units/tred.service.in", f"LimitNOFILE={limits['DESCRIPTORS_MAX']}\n"),
            ("dbus/units/tred.service.in", f"Two for each of {all_:,} exchanges, and {own} of its own."),
            ("docs/tred.conf.5.scd", f"over all of its connections to the bus, 1 to {user}."),
            ("docs/tred.conf.5.scd", f"All users together may hold {all_}, or"),
            ("docs/tred.conf.5.scd", f"two for each, and {own} that are"),
            ("docs/tred.conf.5.scd", f"The last {limits['EXCHANGES_RESERVED']} of them are for users who hold fewer than"
                                     f" {limits['EXCHANGES_SMALL']}."),
            ("docs/architecture.md", f"at most {user:,}; {all_:,} for all, of which {limits['EXCHANGES_RESERVED']} are for"),
            ("docs/architecture.md", f"It is bounded by {all_:,} exchanges.")]
    return len(said), [f"{name}: {text}" for name, text in said
                       if text not in re.sub(r"\n\t", " ", (ROOT / name).read_text())]


def ragged_lists():
    """What scdoc makes of lines that are broken by ++ within an indented paragraph: the next one begins with a tab, which man
    sets as one. A list has - or . in front of each."""
    paths = sorted((ROOT / "docs").glob("*.scd"))
    lines = [(path, number, line) for path in paths for number, line in enumerate(path.read_text().splitlines(), 1)]
    return len(paths), [f"{path.name}:{number}" for (_, _, before), (path, number, line) in zip(lines, lines[1:])
                        if before.endswith("++") and line.startswith("\t")]


def main():
    good = [say(f"every key of {source} is in {name}", *missing_keys(source, name))
            for source, name in TABLES.items()]
    good += [say(f"every key of {source} is commented out and explained in {name}", *unshipped_keys(source, name))
             for source, name in SHIPPED.items()]
    good += [say(f"every member of {file} is in {name}", *missing_names(members(file), page(name)))
             for file, name in INTERFACES.items()]
    good.append(say("what PropertiesChanged says of a connection has the types of its interface", *wrong_properties()))
    good.append(say("every error of the bus is in org.tred.TrE1.5",
                    *missing_names(errors(), page("org.tred.TrE1.5"))))
    good.append(say("ikeclient.conf.5 names the algorithms of the profile and no other",
                    *wrong_words("ikeclient.conf.5")))
    good.append(say("trectl.8 names the metrics that are written and no other", *wrong_metrics()))
    good.append(say("every method of the manager is denied to one of its two callers", *open_methods()))
    good.append(say("every message has an id of its own an explanation and an entry in tred-journal.7", *wrong_messages()))
    good.append(say("tred-journal.7 names the fields of the journal that are sent", *wrong_fields()))
    good.append(say("how many exchanges and descriptors there may be is said as tred users.h has it", *wrong_limits()))
    good.append(say("no list in a man page is set with tabs", *ragged_lists()))
    good.append(say("every file that the documents for who reads the sources name is there", *missing_files()))
    good.append(say("every test that the documents have a reader run is there", *patterns_of_no_test()))
    good.append(say("the walk of one handshake names fewer than 40 files", *long_walk()))
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
