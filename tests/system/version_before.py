"""What would the version before of our packages have been? The same programs, and another shipped configuration.

So that what an upgrade does (maintainer scripts, restarts, configuration files that both sides changed) can be seen without
packages of an older release."""

import re
import subprocess
from pathlib import Path

CHANGED = "# This stood here in the version before.\n"


def make_version_before(packages, folder):
    """Makes, in `folder`, an older version of each package in the list of paths."""
    for package in packages:
        tree = Path(folder) / "tree"
        subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
        _make_older(tree / "DEBIAN" / "control")
        for configuration in tree.glob("etc/tred/*.conf"):
            configuration.write_text(CHANGED + configuration.read_text())
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, folder], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["rm", "-r", tree], check=True)


def _make_older(control):
    text = control.read_text()
    version = re.search(r"^Version: (.+)$", text, re.MULTILINE).group(1)
    control.write_text(re.sub(rf"(^Version: |= ){re.escape(version)}(?=[\n)])", rf"\g<1>{version}~before", text,
                              flags=re.MULTILINE))
