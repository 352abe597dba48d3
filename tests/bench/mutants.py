"""Makes single-point mutants of the trusted processes' code, and says which the tests let live.

Left out by rule (mutation.py): log lines, what decides nothing but whether one is written,
assertions and tables; the border of a minimum or maximum
(`a < b ? a : b`, `if (a > b) b = a;`), where both are the same; that of a descriptor, which is
never 0; and, unless they are asked for by name, what becomes of memory or OpenSSL that fails."""

import argparse
import filecmp
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mutation

ROOT = Path(__file__).resolve().parents[2]
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {**os.environ, "PATH": PATH, "CC": "gcc"}
HANGS_AFTER_SECONDS = 90  # at least; a test has five times of what it took without a mutant
INTEGRATION_SECONDS = 600
NEAR = 3  # programs that are built and run first: most mutants die there
EVERYWHERE = {"tred", "service"}  # words of names that tell no file from another
# By folder: its share of the sample, what unit tests it beside tests/unit/FOLDER, and what
# integration tests.
FOLDERS = {
    "tred": (10, ["tests/unit/device/"],
             ["test_refusals", "test_hostile_client", "test_authentication", "test_addresses",
              "test_verification", "test_policy", "test_anchors", "test_processes", "test_bus_objects",
              "test_create_child", "test_segws", "test_limits", "test_channel", "test_rekey_scripted",
              "test_mobike"]),
    "device": (3, ["tests/unit/tred/", "tests/unit/policy/", "tests/unit/provisioning/"],
               ["test_device", "test_tred_tpm", "test_policy", "test_anchors", "test_slow_tpm", "test_tpm_faults",
                "test_tpm_commands", "test_exit_status"]),
    "verify": (6, ["trectl/", "tests/unit/provisioning/"],
               ["test_verifier", "test_verification", "test_refusals", "test_segws", "test_exit_status"]),
    "policy": (5, ["tests/unit/provisioning/", "tests/unit/tred/"],
               ["test_policy", "test_anchors", "test_provision_verify", "test_tpm_faults"]),
    "tpm": (5, ["tests/unit/policy/", "tests/unit/provisioning/"],
            ["test_tpm_commands", "test_policy", "test_tpm_faults", "test_slow_tpm", "test_proof"]),
    "net": (4, [], ["test_network", "test_tred_net", "test_dataplane", "test_protection", "test_mobike",
                    "test_children", "test_exit_status"]),
    "esp": (4, ["tests/unit/dataplane/"],
            ["test_dataplane", "test_traffic", "test_marks", "test_mtu", "test_lifetime", "test_exit_status"]),
    "crypto": (3, ["tests/unit/tred/", "tests/unit/esp/", "tests/unit/policy/", "tests/unit/verify/"],
               ["test_authentication", "test_suites"]),
    "dataplane": (3, ["tests/unit/esp/", "tests/unit/net/", "tests/unit/tred/"],
                  ["test_dataplane", "test_tred_net", "test_lifetime", "test_mobike"]),
    "base": (2, ["tests/unit/tred/", "tests/unit/net/", "tests/unit/verify/", "tests/unit/provisioning/"],
             ["test_processes", "test_exit_status"]),
    "ikewire": (2, ["tests/unit/tred/", "tests/unit/ikeclient/"],
                ["test_hostile_client", "test_create_child"]),
}


def copy_changed(source, target):
    """Copies a file that is another there: what ninja has built of the rest stays good."""
    if not os.path.exists(target) or not filecmp.cmp(source, target, shallow=False):
        shutil.copyfile(source, target)
        shutil.copymode(source, target)


class Copy:
    """The tree in a place of its own, built; one file of it is changed at a time."""

    def __init__(self, folder, folders, with_unit_tests=True):
        self.places = tuple(place for name in folders
                            for place in (f"tests/unit/{name}/", *FOLDERS[name][1]))
        self.tree, self.build = folder / "tree", folder / "tree" / "build"
        self.hung = False  # the last test that failed did so by not ending: a person has to look whether it was slow
        self.held = {}  # integration tests, and whether they pass without a mutant
        shutil.copytree(ROOT, self.tree, ignore=shutil.ignore_patterns(".git", "build*"),
                        copy_function=copy_changed, dirs_exist_ok=True)
        if not (self.build / "build.ninja").exists():
            subprocess.run(["meson", "setup", self.build, self.tree, "-Dwerror=false", "-Doptimization=0",
                            "-Ddebug=false", f"-Dvectors={ROOT.parent / 'shared' / 'vectors'}"],
                           env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
        self.tests = []
        if not self.ninja("build.ninja") or not self.ninja(
                *{name for programs, _, _ in self.unit_tests() for name in programs if with_unit_tests}):
            sys.exit(f"the tree does not build: ninja -C {self.build}")
        if not with_unit_tests:
            return
        # What fails without a mutant would kill each of them.
        self.tests = [(programs, command, max(HANGS_AFTER_SECONDS, 5 * took))
                      for programs, command, seconds in self.unit_tests()
                      if (took := self.seconds_of(command, seconds)) is not None]
        print(f"{len(self.tests)} of {len(list(self.unit_tests()))} unit test programs pass",
              flush=True)

    def integration(self, pattern):
        return [self.tree / "tests/integration/run", self.build, "--failfast", "-k", pattern]

    def seconds_of(self, command, seconds):
        """What a test takes, or None where it fails."""
        begun = time.monotonic()
        return None if self.fails(command, seconds) else time.monotonic() - begun

    def ninja(self, *targets):
        return subprocess.run(["ninja", "-C", self.build, *targets], env=ENVIRONMENT, check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def introspected(self, what):
        return json.loads((self.build / "meson-info" / f"intro-{what}.json").read_text())

    def unit_tests(self):
        """(programs that it depends on, command, timeout) of each unit test of the folders that are
        mutated; its own program first."""
        files = {target["id"]: str(Path(target["filename"][0]).relative_to(self.build))
                 for target in self.introspected("targets")
                 if Path(target["filename"][0]).is_relative_to(self.build)}
        for test in self.introspected("tests"):
            if "tred:unit" in test["suite"] and test["depends"]:
                programs = [files[name] for name in test["depends"]]
                own = [name for name in programs if test["cmd"][0].endswith(name)]
                if (own + programs)[0].startswith(self.places):
                    yield own + programs, test["cmd"], test["timeout"]

    def fails(self, command, seconds):
        """Whether a test fails, or does not come to an end."""
        try:
            return subprocess.run(command, cwd=self.build, env=ENVIRONMENT, check=False,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL,
                                  timeout=seconds).returncode not in (0, 77)
        except subprocess.TimeoutExpired:
            return True

    def kills(self, command, seconds):
        """Twice, or what fails beside other load would count; once where it hangs."""
        begun = time.monotonic()
        if not self.fails(command, seconds):
            return False
        self.hung = time.monotonic() - begun > seconds
        return self.hung or self.fails(command, seconds)

    def groups(self, path):
        """Tests of the file `path`, by how near they are: by name, of its folder, of others."""
        folder, name = path.removesuffix(".c").split("/")
        for place in (f"tests/unit/{folder}/", *FOLDERS[folder][1]):
            group = [test for test in self.tests if test[0][0].startswith(place)]
            group.sort(key=lambda test: -len(os.path.commonprefix(
                [name, Path(test[0][0]).name.removeprefix("test_")])))
            yield from filter(None, (group[:NEAR], group[NEAR:]))

    def killer_of(self, path, patterns):
        """The first test that fails, None if none does, or "build" where there is nothing to run.

        `patterns` pick integration tests by part of their names."""
        begun = time.time()
        for group in self.groups(path):
            if not self.ninja(*{name for programs, _, _ in group for name in programs}):
                return "build"
            for programs, command, seconds in group:
                # What was not linked anew has nothing of the mutant in it.
                changed = any((self.build / name).stat().st_mtime >= begun for name in programs)
                if changed and self.kills(command, seconds):
                    return programs[0]
        if patterns and not self.ninja():
            return "build"
        for pattern in patterns:
            if self.kills(self.integration(pattern), INTEGRATION_SECONDS):
                return pattern
        return None

    def holds(self, pattern):
        """Whether integration tests are there, and pass without a mutant: is asked of those that fail with one."""
        if pattern not in self.held:
            self.held[pattern] = self.ninja() and not self.kills(self.integration(pattern), INTEGRATION_SECONDS)
            if not self.held[pattern]:
                print(f"{pattern} fails without a mutant, and is left out", flush=True)
        return self.held[pattern]

    def killer_that_holds(self, path, text, patterns):
        """killer_of() the mutant `text`, without the integration tests that would kill any."""
        original = path.read_text()
        while True:
            patterns = [pattern for pattern in patterns if self.held.get(pattern, True)]
            path.write_text(text)
            killer = self.killer_of(str(path.relative_to(self.tree)), patterns)
            path.write_text(original)
            if killer not in patterns or self.holds(killer):
                return killer


def matching(path):
    """The integration tests of the file `path`: those that share a word with its name, then its folder's."""
    folder, name = path.removesuffix(".c").split("/")
    words = set(name.split("_"))
    common = {module.stem: words & set(module.stem.split("_"))
              for module in sorted((ROOT / "tests/integration").glob("test_*.py"))}
    near = [module for module, shared in common.items() if shared - EVERYWHERE]
    near.sort(key=lambda module: -len(common[module]))
    return [f"{module}." for module in near + [each for each in FOLDERS[folder][2] if each not in near]]


def sample(folders, files, kinds, count, seed):
    """`count` mutants: folders by their share, kinds evenly; of `files` alone where some are named."""
    chance = random.Random(seed)
    pools = {}
    for folder in folders:
        for path in sorted((ROOT / folder).glob("*.c")):
            if files and str(path.relative_to(ROOT)) not in files:
                continue
            for mutant, text in mutation.mutants(str(path.relative_to(ROOT)), path.read_text()):
                if mutant.kind in kinds:
                    pools.setdefault(folder, {}).setdefault(mutant.kind, []).append((mutant, text))
    chosen = []
    while len(chosen) < count and any(pools.values()):
        there = [folder for folder in folders if pools.get(folder)]
        folder = chance.choices(there, [FOLDERS[name][0] for name in there])[0]
        kind = chance.choice(sorted(pools[folder]))
        pool = pools[folder][kind]
        chosen.append(pool.pop(chance.randrange(len(pool))))
        if not pool:
            del pools[folder][kind]
    return chosen


def again(path):
    """Those that lived in an earlier run, by what it printed; lines may have moved since, so that of
    several with the same text the nearest is meant."""
    said = re.findall(r"^LIVES \d+/\d+ (\S+):(\d+) \w+: (.*)\n    became (.*)$",
                      Path(path).read_text(), re.MULTILINE)
    found = {}
    for name, line, before, after in said:
        source = ROOT / name
        there = [(mutant, text) for mutant, text in mutation.mutants(name, source.read_text())
                 if (mutant.before.strip(), mutant.after.strip()) == (before, after)] if source.exists() else []
        if there:  # the others have moved to another file
            mutant, text = min(there, key=lambda each: abs(each[0].line - int(line)))
            found[mutant] = text
    return list(found.items())


def hunt(copy, mutants, patterns_of):
    """Tries each, with the integration tests patterns_of(path); returns how many were killed, and
    those that were not."""
    killed, alive = 0, []
    for number, (mutant, text) in enumerate(mutants, 1):
        begun = time.monotonic()
        killer = copy.killer_that_holds(copy.tree / mutant.path, text, patterns_of(mutant.path))
        word = {None: "LIVES", "build": "unfit"}.get(killer, "dead")
        hung = " hung" if word == "dead" and copy.hung else ""
        print(f"{word:5} {number}/{len(mutants)} {mutant}\n    {killer or 'no test'}{hung}, "
              f"{time.monotonic() - begun:.0f} s", flush=True)
        killed += word == "dead"
        if word == "LIVES":
            alive.append(mutant)
    return killed, alive


def listed(text):
    return text.split(",")


def main():
    parser = argparse.ArgumentParser(description="Single-point mutants; which do the tests let live?")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1, help="another seed, another sample")
    parser.add_argument("--folders", type=listed,
                        default=list(FOLDERS))
    parser.add_argument("--files", type=listed, default=[], help="of these alone: tred/auth.c,…")
    parser.add_argument("--kinds", type=listed, default=list(mutation.KINDS),
                        help=f"of {', '.join(mutation.KINDS)}; or {mutation.DEPENDENCY}: what becomes "
                        "of memory or OpenSSL that fails")
    parser.add_argument("--integration", action="store_true",
                        help="what no unit test kills goes to integration tests, too (as root)")
    parser.add_argument("--no-unit", action="store_true",
                        help="integration tests alone: for what an earlier run has shown no unit test to kill")
    parser.add_argument("--tests", type=listed, default=[], metavar="P,P",
                        help="integration tests by part of their names, instead of those that match a file")
    parser.add_argument("--again", metavar="FILE",
                        help="only those that lived in the run that printed FILE")
    parser.add_argument("--keep", metavar="FOLDER", type=Path,
                        help="work there, and leave what was built for the next run")
    parser.add_argument("--list", action="store_true", help="only show the sample")
    arguments = parser.parse_args()
    mutants = again(arguments.again) if arguments.again else sample(
        arguments.folders, arguments.files, arguments.kinds, arguments.count, arguments.seed)
    print(f"{len(mutants)} mutants, seed {arguments.seed}", flush=True)
    if arguments.list:
        print(*(mutant for mutant, _ in mutants), sep="\n")
        return
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="mutants-"))
    try:
        copy = Copy(folder, {mutant.path.split("/")[0] for mutant, _ in mutants}, not arguments.no_unit)
        killed, alive = hunt(copy, mutants, lambda path: arguments.tests or (
            matching(path) if arguments.integration or arguments.no_unit else []))
    finally:
        if not arguments.keep:
            shutil.rmtree(folder)
    print(*(f"LIVES {mutant}" for mutant in alive), sep="\n")
    print(f"{killed} of {killed + len(alive)} mutants were killed")
    sys.exit(1 if alive else 0)


if __name__ == "__main__":
    main()
