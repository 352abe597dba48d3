"""Runs the integration tests, one line for each: what is promised, and whether it holds."""

import argparse
import fnmatch
import sys
import time
import unittest
from pathlib import Path


def sentence(test):
    name = getattr(test, "_testMethodName", str(test))
    return name.removeprefix("test_").replace("_", " ")


class LineResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed = 0
        self.failed = 0
        self.begun = time.monotonic()

    def startTest(self, test):
        super().startTest(test)
        self.begun = time.monotonic()

    def _line(self, word, test, note=""):
        seconds = time.monotonic() - self.begun
        print(f"{word:4} {sentence(test)} ({seconds:.1f} s){note}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1
        self._line("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line("skip", test, f": {reason}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._broken(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._broken(test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            trace = self._exc_info_to_string(err, test)
            self._broken(test, f"{subtest._subDescription()}\n{trace}")

    def _broken(self, test, trace):
        self.failed += 1
        self._line("FAIL", test)
        print(trace, flush=True)


def classes(suite):
    """The tests of each class, which have a setUpClass() in common, in their order."""
    found = {}
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            for key, tests in classes(test).items():
                found.setdefault(key, []).extend(tests)
        else:
            found.setdefault(type(test), []).append(test)
    return found


def part_of(suite, number, count):
    """The classes of one of `count` parts with about as many tests each."""
    parts = [[] for _ in range(count)]
    for tests in classes(suite).values():
        min(parts, key=len).extend(tests)
    return unittest.TestSuite(parts[number - 1])


def fraction(text):
    number, count = map(int, text.split("/"))
    if not 1 <= number <= count:
        raise ValueError(text)
    return number, count


def main():
    parser = argparse.ArgumentParser(description="The integration tests; see tests/README.md.")
    parser.add_argument("-k", dest="patterns", action="append", metavar="PATTERN",
                        help="only tests with PATTERN in their name; may be given several times")
    parser.add_argument("--part", type=fraction, default=(1, 1), metavar="N/M",
                        help="only the Nth of M parts; the others may run at the same time, each in its world")
    parser.add_argument("--failfast", action="store_true", help="end at the first test that fails")
    arguments = parser.parse_args()
    loader = unittest.TestLoader()
    if arguments.patterns:
        loader.testNamePatterns = [f"*{each.replace(' ', '_')}*" for each in arguments.patterns]
    suite = loader.discover(str(Path(__file__).parent), top_level_dir=str(Path(__file__).parent))
    names = [test.id() for tests in classes(suite).values() for test in tests]
    for pattern in loader.testNamePatterns or []:
        if not fnmatch.filter(names, pattern):
            print(f"No test has {pattern.strip('*')} in its name.\n0 passed, 0 failed, 0 skipped")
            sys.exit(1)
    result = LineResult()
    result.failfast = arguments.failfast
    part_of(suite, *arguments.part).run(result)
    print(f"{result.passed} passed, {result.failed} failed, {len(result.skipped)} skipped")
    sys.exit(1 if result.failed or result.passed == 0 else 0)


if __name__ == "__main__":
    main()
