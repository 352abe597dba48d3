"""Does debian/ agree with what it stands for? Arguments: the root of the sources, and of the build."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from run_documents import say

ROOT, BUILD = Path(sys.argv[1]), Path(sys.argv[2])
CONTROL = (ROOT / "debian" / "control").read_text()


def build_depends():
    block = re.search(r"^Build-Depends:\n((?: .*\n)+)", CONTROL, re.MULTILINE).group(1)
    return set(re.findall(r"^ ([a-z0-9.+-]+)", block, re.MULTILINE))


def build_files():
    return [path for path in ROOT.rglob("meson.build") if not path.relative_to(ROOT).parts[0].startswith("build")]


def package_of(library):
    """The Debian package with this pkg-config file; None if it can't be told here."""
    folder = subprocess.run(["pkg-config", "--variable=pcfiledir", library], stdout=subprocess.PIPE, text=True, check=False)
    owner = subprocess.run(["dpkg", "--search", f"{folder.stdout.strip()}/{library}.pc"], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True, check=False)
    return owner.stdout.split(":")[0] or None


def libraries():
    """{what meson asks for: its package}"""
    names = {name for path in build_files() for name in re.findall(r"\bdependency\('([\w.-]+)'", path.read_text())}
    return {name: package_of(name) for name in names - {"threads"}}  # the C library's


def untagged():
    """(how many files are installed, those that are in no package)"""
    packages = set(re.findall(r"^Package: (.+)$", CONTROL, re.MULTILINE))
    plan = json.loads((BUILD / "meson-info" / "intro-install_plan.json").read_text())
    files = {path: entry["tag"] for group in plan.values() for path, entry in group.items()}
    return len(files), sorted(path for path, tag in files.items() if tag not in packages)


def unattended_units():
    """(how many units can be enabled, those that a package's removal would leave running, and its upgrade as they were)"""
    plan = json.loads((BUILD / "meson-info" / "intro-install_plan.json").read_text())
    units = {Path(source).name: entry["tag"] for group in plan.values() for source, entry in group.items()
             if Path(source).suffix in {".service", ".socket", ".timer", ".target"} and "[Install]" in Path(source).read_text()}
    calls = dict(re.findall(r"^\tdh_installsystemd --package=(\S+)(.*)$", (ROOT / "debian" / "rules").read_text(), re.MULTILINE))
    # A call that names no unit is for all of the package.
    return len(units), sorted(unit for unit, package in units.items()
                              if package not in calls or ("." in calls[package] and unit not in calls[package].split()))


def other_versions():
    """What the packages' version is, if meson's is another."""
    packages = re.match(r"\S+ \(([^)]+)\)", (ROOT / "debian" / "changelog").read_text()).group(1)
    project = re.search(r"^  version : '([^']+)'", (ROOT / "meson.build").read_text(), re.MULTILINE).group(1)
    return 1, [f"{packages} and {project}"] if packages != project else []


def overwritten():
    """A second "meson install" over what the owner of the machine wrote."""
    wrong = []
    for shipped in ("dbus/units/tred.conf", "ikeclient/ikeclient.conf"):
        with tempfile.TemporaryDirectory() as folder:
            installed = Path(folder) / "etc/tred" / Path(shipped).name
            for text in ((ROOT / shipped).read_text(), "the owner's\n"):
                subprocess.run([ROOT / "scripts/install-configuration", ROOT / shipped], check=True,
                               stdout=subprocess.DEVNULL, env={**os.environ, "DESTDIR": folder})
                wrong += [shipped] if installed.read_text() != text else []
                installed.write_text("the owner's\n")
    return 2, wrong


def main():
    found, wanted = libraries(), build_depends()
    development = {package for package in wanted if re.fullmatch(r"lib.*-dev", package)}
    good = [
        say("every library that meson asks for is in Build-Depends", len(found),
            sorted(f"{name} of {package}" for name, package in found.items() if package not in wanted)),
        say("every library in Build-Depends is one that meson asks for", len(development),
            sorted(development - set(found.values()))),
        say("every file that is installed is in a package", *untagged()),
        say("every unit that can be enabled is stopped and restarted with its package", *unattended_units()),
        say("meson install leaves a configuration file that is there as it is", *overwritten()),
        say("the packages have the version of the project", *other_versions()),
    ]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
