"""Where C code can be wrong at a single point: the checks, bounds, wipes and statuses of a file."""

import dataclasses
import re

KINDS = ("check", "comparison", "bound", "logic", "wipe", "status")
DEPENDENCY = "dependency"  # what happens where memory or OpenSSL fails; no test can have most of it

FAILURE = r"(?:free\([\w>.-]+\);\s*)*return (?:-E(?:NOMEM|IO)|TPM_RC_NO_\w+|NULL);"
# What is logged, and what only the compiler looks at.
LEFT_OUT = re.compile(r"log_\w+\(|static_assert|^\s*(for|enum|typedef|static const)\b|assert\(")
# What only logs: one statement, by a function that is named so.
LOGS = r"(?:log_\w+|\w+_log)\([^;]*\);"
ONLY_LOGS = re.compile(rf"\s*(?:\{{\s*{LOGS}\s*\}}|{LOGS})(?:\s*else\s*(?:\{{\s*{LOGS}\s*\}}|{LOGS}))?(?!\s*else)")
LOG_FUNCTION = re.compile(r"^static void (?:log_\w+|\w+_log)\([^;{]*\)\n\{.*?^\}", re.MULTILINE | re.DOTALL)
# A status on its way up: to take the check out is a fault of its own, to invert it breaks everything.
ON_ITS_WAY = re.compile(r"\b(r|rc) (<|==|!=) $")
COMPARISON = re.compile(r" (==|!=|<=|>=|<|>) ")
INVERTED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
SHIFTED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
# The lesser or the greater of two: at their border both are the same.
LESSER = re.compile(r"(?=(\S+) (?:<=?|>=?) (\S+) \? (?:\(\w+\))?(?:\1 : \2|\2 : \1)[;,)])")
# The same as a statement: the greater of both, or the lesser, is kept.
KEPT = re.compile(r"\bif \(([\w>.-]+) [<>]=? ([\w>.-]+)\)\s*\2 = \1;")
# 0 is standard input, which each program has from its start (base/program.h): no other descriptor is.
DESCRIPTOR = re.compile(r"\b(?:\w+_)?fd $")
WIPE = re.compile(r"\b(OPENSSL_cleanse|explicit_bzero|cipher_stop|secret_free|secret_clear)\(")
STATUS = re.compile(r"\breturn (-E\w+|false|true);")
GOOD = {"false": "true", "true": "false"}


@dataclasses.dataclass(frozen=True)
class Mutant:
    path: str
    line: int  # from 1
    kind: str
    before: str  # the text of that line
    after: str

    def __str__(self):
        return (f"{self.path}:{self.line} {self.kind}: {self.before.strip()}\n"
                f"    became {self.after.strip()}")


def blanked(text):
    """`text` with comments, strings and preprocessor lines made of blanks; nothing moves."""
    blank = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^#(?:\\\n|[^\n])*',
                       re.DOTALL | re.MULTILINE)
    return blank.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def closing(text, start):
    """The place after the parenthesis that closes the one at `start`."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    return len(text)


def conditions(code):
    """(start, end) of what stands in the parentheses of each if and while, and of each return."""
    for match in re.finditer(r"\b(?:if|while) (?=\()", code):
        yield match.end(), closing(code, match.end())
    for match in re.finditer(r"\breturn ([^;]*);", code):
        yield match.start(1), match.end(1)
    for match in re.finditer(r"\bbool \w+ = ([^;]*);", code):
        yield match.start(1), match.end(1)


def leads_to_end(code, end):
    """What follows a condition turns the caller away."""
    return re.match(r"\s*\{?\s*(?:return|goto|break|continue|r = -E)\b[^;]*;", code[end:])


def of_dependency(kind, code, end):
    """A mutant's kind, by what follows its condition, which ends at `end`."""
    return DEPENDENCY if re.match(rf"\s*\{{?\s*{FAILURE}", code[end:]) else kind


def replacements(code):
    """(start, end, text, kind) of every single change."""
    for match in re.finditer(r"\bif (?=\()", code):
        start, end = match.end(), closing(code, match.end())
        if leads_to_end(code, end):
            # The whole condition, whatever it is made of.
            yield start, end, "(0 && " + "{}" + ")", of_dependency("check", code, end)
    borderless = {match.end(1) for pattern in (LESSER, KEPT) for match in pattern.finditer(code)}
    for start, end in conditions(code):
        logs = ONLY_LOGS.match(code, end)
        if logs and not re.search(r"\w\(", code[start:end]):
            continue
        for match in COMPARISON.finditer(code, start, end):
            place = match.span(1)
            if ON_ITS_WAY.search(code, max(0, match.start() - 4), match.end()) and code[match.end():].startswith("0"):
                continue
            yield *place, INVERTED[match.group(1)], of_dependency("comparison", code, end)
            is_of_descriptor = DESCRIPTOR.search(code, start, match.start() + 1) and code.startswith("0", match.end())
            if not is_of_descriptor and match.group(1) in SHIFTED and match.start() not in borderless:
                yield *place, SHIFTED[match.group(1)], of_dependency("bound", code, end)
        for match in re.finditer(r"&&|\|\|", code[start:end]):
            yield (start + match.start(), start + match.end(),
                   "||" if match.group() == "&&" else "&&", of_dependency("logic", code, end))
    for match in WIPE.finditer(code):
        end = closing(code, match.end() - 1)
        if code[end:end + 1] == ";":
            yield match.start(), end, "(void)0", "wipe"
    for match in STATUS.finditer(code):
        kind = DEPENDENCY if re.fullmatch(FAILURE, match.group()) else "status"
        yield *match.span(1), GOOD.get(match.group(1), "0"), kind


def mutants(path, text):
    """Every mutant of a file, in order."""
    code = blanked(text)
    logging = [match.span() for match in LOG_FUNCTION.finditer(code)]
    starts = [match.end() for match in re.finditer(r"\A|\n", text)]
    for start, end, new, kind in replacements(code):
        if any(head <= start < tail for head, tail in logging):
            continue
        line = sum(1 for place in starts if place <= start)
        head = starts[line - 1]
        tail = text.find("\n", end)
        before = text[head:tail]
        if LEFT_OUT.search(before) or not before.startswith(" "):
            continue
        whole = text[:start] + new.replace("{}", text[start:end]) + text[end:]
        after = whole[head:tail + len(whole) - len(text)]
        yield Mutant(path, line, kind, before, after), whole
