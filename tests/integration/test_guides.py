"""The guides of docs/: each tried from its first line to its last."""

import os
from pathlib import Path

from lab.case import LabTest
from lab.guide import Guide

VICI = Path("/run/charon.vici")  # where swanctl looks for strongSwan


class GuideTest(LabTest):
    def follow(self, name):
        guide = Guide(name)
        status = guide.follow()
        self.assertEqual(status, 0, f"a command of the guide failed:\n{guide.report()}")
        self.assertTrue(guide.steps)
        self.assertTrue(all(step.printed is not None for step in guide.steps), guide.report())
        self.assertEqual(guide.differences(), [], guide.report())

    def test_the_guide_for_manufacturing_does_what_it_says(self):
        self.follow("guide-manufacturing.md")

    def test_the_guide_for_operators_does_what_it_says(self):
        # A strongSwan that runs; what it knows is replaced by what the guide tells it.
        gateway = self.start_segw()
        os.symlink(gateway.directory / "vici", VICI)
        self.addCleanup(VICI.unlink)
        self.follow("guide-operator.md")
