"""Has each function that a header shows a caller in a file other than its own, and one that is no test?

Argument: the root of the sources."""

import re
import sys
from pathlib import Path

from run_documents import say
from run_includes import table
from run_reasons import without_comments

# What only tests call, as nothing else shows it.
FOR_TESTS = {
    "sa_sequence": "no test sends the 2^32 packets after which an SA ends",
}
FUNCTION = r"^(?!static|typedef|return)[A-Za-z_][\w \t\n*]*[ \n*](\w+)\([^;{}]*\)\s*"
DECLARED = re.compile(FUNCTION + r"(?:__attribute__[^;{}]*)?;", re.MULTILINE)
DEFINED = re.compile(FUNCTION + r"\{", re.MULTILINE)
STATIC = re.compile(r"^static\s[\w \t\n*]*[ \n*](\w+)\(", re.MULTILINE)
CLEANUP = re.compile(r"DEFINE_POINTER_CLEANUP\(\w+, (\w+)\)")


class Sources:
    def __init__(self, root, folders):
        files = [file for folder in folders for file in sorted((root / folder).rglob("*.[ch]"))]
        self.texts = {str(file.relative_to(root)): without_comments(file.read_text()) for file in files}
        self.words, self.defined, self.statics = {}, {}, {}
        for name, text in self.texts.items():
            for word in set(re.findall(r"\w+", text)):
                self.words.setdefault(word, set()).add(name)
            for function in DEFINED.findall(text) if name.endswith(".c") else []:
                self.defined.setdefault(function, set()).add(name)
            for function in STATIC.findall(text):
                self.statics.setdefault(function, set()).add(name)

    def shown(self):
        """[(header, function, its names)]: a clean-up that is made of it is another."""
        for header, text in self.texts.items():
            if header.endswith(".h") and not header.startswith("tests/"):
                cleanups = CLEANUP.findall(text)
                for name in dict.fromkeys(DECLARED.findall(text)):
                    yield header, name, [name, f"{name}p"] if name in cleanups else [name]

    def callers(self, header, function, names):
        """The files that call it, and whether one that defines it does. Who has a static function of that name calls that; a
        test's stub calls nobody."""
        own = self.defined.get(function, set())
        files = set().union(*(self.words.get(name, set()) - self.statics.get(name, set()) for name in names)) - own - {header}
        real = [file for file in own if not file.startswith("tests/")]
        calls = sum(len(re.findall(rf"\b{name}\b", self.texts[file])) for name in names for file in real)
        return files, calls > len(real)


def useless(sources):
    """(how many functions are shown, those that no other file calls, those that only tests call)."""
    seen, alone, tests = 0, [], []
    for header, function, names in sources.shown():
        seen += 1
        files, is_called = sources.callers(header, function, names)
        if not files:
            alone.append(f"{header}: {function}")
        elif not is_called and all(file.startswith("tests/") for file in files):
            tests.append(f"{header}: {function}")
    return seen, alone, tests


def main():
    root = Path(sys.argv[1])
    folders = table((root / "docs/architecture.md").read_text())
    seen, alone, tests = useless(Sources(root, [*folders, "tests"]))
    found = {line.split(": ")[1] for line in tests}
    good = [say("no header shows a function that no other file calls", seen, alone),
            say("no function is there for tests alone", seen,
                [line for line in tests if line.split(": ")[1] not in FOR_TESTS] +
                [f"{name} is not for tests alone" for name in sorted(FOR_TESTS.keys() - found)])]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
