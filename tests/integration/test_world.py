"""The world that these tests run in: it is a copy, and stays one."""

import os
import subprocess
import unittest
from pathlib import Path

from lab.process import run, scratch

WORLD = Path(__file__).with_name("world")


def others(lines):
    """Of a passwd or group, what the machine has without a world's users."""
    return "".join(line for line in lines.splitlines(keepends=True)
                   if not line.startswith(("tred:", "tred-net:", "tred-tpm:", "henb-ike:")))


def replace(path, text):
    """As useradd does: a new file in the other's place."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.chmod(0o644)
    new.rename(path)


class WorldTest(unittest.TestCase):
    def test_a_world_keeps_its_users_when_the_machine_changes_its_own(self):
        """This world is the machine to one that is made in it."""
        passwd = Path("/etc/passwd")
        before = passwd.read_text()
        self.addCleanup(replace, passwd, before)
        replace(passwd, others(before))
        inner = subprocess.Popen(
            [WORLD, os.environ["TRED_BUILD"], "bash", "-c",
             "while getent passwd tred-net || echo none; do read -r || break; done"],
            env={**os.environ, "TRED_WORLD": ""}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(inner.communicate, timeout=60)
        first = inner.stdout.readline()
        self.assertIn("tred-net:", first)
        for _ in range(100):
            replace(passwd, others(before))
            print(file=inner.stdin, flush=True)
            self.assertEqual(inner.stdout.readline(), first)

    def test_a_world_refuses_programs_that_are_older_than_their_sources(self):
        build = scratch("build")
        (build / "build.ninja").write_text(
            "rule copy\n command = cp $in $out\nbuild tred/tred: copy source\n"
            + "".join(f"build {name}: phony\n" for name in (
                "device/tred-tpm", "esp/tred-esp", "net/tred-net", "verify/tred-verify", "ikeclient/ikeclient",
                "provisioning/tre-provision", "trectl/trectl", "tests/bench/static_tunnel",
                "tests/bench/sign_many", "tests/gateway/responder")))
        (build / "source").write_text("new")
        done = run([WORLD, build, "true"], env={"TRED_WORLD": ""}, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("are older than their sources; build them first", done.stdout)
