"""The systemd units as they are installed: do they hold what their sandbox promises?"""

import shutil
import unittest

from lab.process import LAB, run

# In tenths, of systemd's 0 (nothing) to 10 (everything).
EXPOSURE_MAX = {"tred.service": 11, "tred-net.service": 15, "ikeclient.service": 15,
                "trectl-metrics.service": 10, "trectl-dns.service": 15}
UNITS = ("tred.service", "tred-net.service", "ikeclient.service")  # those that stay

# What is wrong with a unit only because the product is not installed in the world.
_NOT_INSTALLED = "is not executable: No such file or directory"


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
class UnitsTest(unittest.TestCase):
    def test_systemd_finds_each_unit_locked_down(self):
        for unit in EXPOSURE_MAX:
            done = run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                        f"--threshold={EXPOSURE_MAX[unit]}", LAB / "units" / unit], check=False)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_systemd_finds_no_fault_in_the_units(self):
        paths = [LAB / "units" / unit for unit in (*EXPOSURE_MAX, "tred-net.socket", "trectl-metrics.timer")]
        said = run(["systemd-analyze", "verify", "--man=no", *paths], check=False).stdout
        faults = [line for line in said.splitlines() if _NOT_INSTALLED not in line]
        self.assertEqual(faults, [])

    def test_tred_net_has_one_capability_and_tred_and_ikeclient_have_none(self):
        for unit, capabilities in (("tred.service", ""), ("tred-net.service", "CAP_NET_ADMIN"),
                                   ("ikeclient.service", "")):
            for directive in ("CapabilityBoundingSet", "AmbientCapabilities"):
                self.assertEqual(self.directives(unit, directive), [capabilities], unit)

    def test_each_unit_reports_that_it_is_ready_and_that_it_lives_and_comes_back(self):
        for unit in UNITS:
            self.assertEqual(self.directives(unit, "Type"), ["notify"])
            self.assertEqual(self.directives(unit, "Restart"), ["on-failure"])
            self.assertNotIn("0", self.directives(unit, "RestartSec"))
            self.assertTrue(self.directives(unit, "WatchdogSec"))

    def test_the_socket_of_tred_net_is_for_tred_alone(self):
        for name, value in (("SocketUser", "tred"), ("SocketMode", "0600")):
            self.assertEqual(self.directives("tred-net.socket", name), [value])

    def directives(self, unit, name):
        lines = (LAB / "units" / unit).read_text().splitlines()
        return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


if __name__ == "__main__":
    unittest.main()
