"""Is there one type and one builder for what is said to a person, and one way to end it?

Argument: the root of the sources."""

import re
import sys
from pathlib import Path

from run_documents import say
from run_includes import table

# Who else formats what a caller hands in, none of it a reason: log lines, and fields of a table.
OTHER_BUILDERS = {"base/reason.c", "base/log.c", "ikeclient/report.c", "verify/peer.c",
                  "provisioning/inventory.c", "provisioning/state.c", "provisioning/verify.c"}

LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"')
TEXT = re.compile(rf"{LITERAL.pattern}(?:\s+(?:PRI\w+\s+)?{LITERAL.pattern})*")  # those that stand together


def without_comments(text):
    """The same text, its comments blank and its lines where they were."""
    blank = lambda match: match[0] if match[0][0] == '"' else re.sub(r"[^\n]", " ", match[0])
    return re.sub(LITERAL.pattern + r"|'(?:[^'\\\n]|\\.)*'|/\*.*?\*/|//[^\n]*", blank, text, flags=re.DOTALL)


def found(sources, pattern):
    return [f"{name}:{text[:match.start()].count(chr(10)) + 1}: {match[0]}"
            for name, text in sources.items() for match in re.finditer(pattern, text)]


def builders(sources):
    others = {name: text for name, text in sources.items() if name not in OTHER_BUILDERS}
    return len(sources), found(others, r"\bv(?:sn?|as)printf\b")


def buffers(sources):
    """Sizes of their own, and texts that are no Reason."""
    return len(sources), (
        found(sources, r"\b\w+_(?:ERROR|REASON|DETAIL)_SIZE\b") +
        found(sources, r"(?<!const )\bchar (?:\*|(?=\w+\[))(?:\w+_)?(?:error|reason|why|detail)\b"))


def full_stops(sources):
    """A sentence (it has a blank or a conversion in it) that ends in one, and not in three."""
    texts = [(name, text, match) for name, text in sources.items() for match in TEXT.finditer(text)]
    return len(texts), [f"{name}:{text[:match.end()].count(chr(10)) + 1}: {match[0]}"
                        for name, text, match in texts
                        if re.search(r'[ %].*(?<!\.)\."$', match[0], re.DOTALL)]


def main():
    root = Path(sys.argv[1])
    folders = table((root / "docs/architecture.md").read_text())
    sources = {str(file.relative_to(root)): without_comments(file.read_text())
               for folder in folders for file in sorted((root / folder).glob("*.[ch]"))}
    good = [say("no second function builds a reason", *builders(sources)),
            say("no reason has a size or a buffer of its own", *buffers(sources)),
            say("no reason and no log line ends in a full stop", *full_stops(sources))]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
