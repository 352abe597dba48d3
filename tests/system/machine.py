"""Which virtual machine do the system tests run on, and how is it started and stopped?"""

import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "integration"))

from lab.process import listens

# What is called, here and in build-image, and Debian's package for it.
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "swtpm": "swtpm",
    "debootstrap": "debootstrap",
    "mke2fs": "e2fsprogs",
    "depmod": "kmod",
    "busybox": "busybox-static",
    "cpio": "cpio",
}


def missing_packages():
    """The Debian packages that this machine lacks for running a virtual one."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return sorted({package for tool, package in TOOLS.items() if not shutil.which(tool, path=path)})


class Machine:
    """A PC with a TPM 2.0 chip, a copy of the image as its disk, and a port for results.

    Use it as a context: on leaving, QEMU, the TPM and their files are gone. Disk and TPM keep what they
    hold from one run() to the next.
    """

    def __init__(self, image, payload, logs, time_limit, console=False):
        self.image = image
        self.payload = payload
        self.logs = logs
        self.deadline = time.monotonic() + time_limit
        self.time_limit = time_limit
        self.console = console  # a terminal, /dev/hvc0 in the machine, beside the results
        self.processes = []

    def __enter__(self):
        for name in "console.log", "journal.log", "qemu.log", "swtpm.log":
            with open(os.path.join(self.logs, name), "wb"):
                pass
        self.folder = tempfile.mkdtemp(prefix="tred-system.")
        os.mkdir(self._path("tpm"))
        subprocess.run(["cp", "--reflink=auto", "--sparse=always", f"{self.image}/root.ext4", self._path("disk")],
                       check=True)
        return self

    def __exit__(self, *_):
        self._stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self):
        """Switches the machine on and yields each line of its results port, until it is off again.

        Raises TimeoutError when the time limit, which is one for all runs, passes before that.
        """
        for name in "tpm.sock", "results.sock", "console.sock":
            if os.path.exists(self._path(name)):
                os.unlink(self._path(name))
        self._start_tpm()
        self._start_qemu()
        yield from self._lines()
        self._stop(patience=20)

    def _stop(self, patience=0):
        """Ends QEMU and then the TPM, after giving each `patience` seconds to end by itself."""
        while self.processes:
            process = self.processes.pop()
            for end, seconds in (lambda: None, patience), (process.terminate, 5), (process.kill, None):
                end()
                try:
                    process.wait(seconds)
                    break
                except subprocess.TimeoutExpired:
                    pass

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _start(self, log, *command):
        """Starts a process that ends by itself after the time limit, even when nobody is left to end it."""
        with open(os.path.join(self.logs, log), "ab") as output:
            process = subprocess.Popen(
                ["timeout", "--kill-after=5", str(self.time_limit), *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.processes.append(process)
        return process

    def _wait_for_socket(self, process, name):
        """Returns once `process` listens at the socket `name`."""
        while not listens(self._path(name)):
            if process.poll() is not None:
                raise RuntimeError(f"{process.args[3]} did not start; see its log in {self.logs}")
            if time.monotonic() > self.deadline:
                raise TimeoutError(f"{process.args[3]} made no socket {name}")
            time.sleep(0.02)

    def _start_tpm(self):
        process = self._start(
            "swtpm.log", "swtpm", "socket", "--tpm2", "--terminate",
            "--tpmstate", f"dir={self._path('tpm')}",
            "--ctrl", f"type=unixio,path={self._path('tpm.sock')}")
        self._wait_for_socket(process, "tpm.sock")

    def _start_qemu(self):
        # KVM may open and yet hang in the guest on machines that are virtual themselves: never rely on it.
        # A reboot ends QEMU, which starts afresh: after a reset, emulation is several times slower.
        # What the machine has flushed to its disk outlives QEMU, and need not outlive this host: nothing waits for a disk of its.
        # Westmere is the last processor with AES and without AVX, whose state costs emulation a sixth of its time.
        qemu = self._start(
            "qemu.log", "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-accel", "tcg,thread=multi", "-cpu", "Westmere", "-smp", "2", "-m", "1024",
            "-kernel", f"{self.image}/vmlinuz", "-initrd", f"{self.image}/initramfs",
            "-append", "console=ttyS0 quiet panic=-1 net.ifnames=0 mitigations=off"
                       " systemd.show_status=no audit=0"
                       " modprobe.blacklist=kvm_amd,kvm_intel,ata_piix,ata_generic,acpi_cpufreq,powernow_k8",
            "-drive", f"if=virtio,format=raw,cache=unsafe,file={self._path('disk')}",
            "-drive", f"if=virtio,format=raw,readonly=on,file={self.payload}",
            "-chardev", f"socket,id=tpm,path={self._path('tpm.sock')}",
            "-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm",
            "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=results,server=on,path={self._path('results.sock')}",
            "-device", "virtserialport,chardev=results,name=results",
            "-chardev", f"file,id=journal,append=on,path={self.logs}/journal.log",
            "-device", "virtserialport,chardev=journal,name=journal",
            "-chardev", f"file,id=console,append=on,path={self.logs}/console.log",
            "-serial", "chardev:console",
            *self._console_device())
        self._wait_for_socket(qemu, "results.sock")

    def _console_device(self):
        if not self.console:
            return []
        return ["-chardev", f"socket,id=terminal,server=on,wait=off,path={self._path('console.sock')}",
                "-device", "virtconsole,chardev=terminal"]

    def connect_console(self):
        """A socket to the machine's terminal, once run() has switched it on."""
        terminal = socket.socket(socket.AF_UNIX)
        terminal.connect(self._path("console.sock"))
        return terminal

    def _lines(self):
        with socket.socket(socket.AF_UNIX) as results:
            results.connect(self._path("results.sock"))
            rest = b""
            while True:
                left = self.deadline - time.monotonic()
                if left <= 0 or not select.select([results], [], [], left)[0]:
                    raise TimeoutError(f"the machine was still running after {self.time_limit} s")
                data = results.recv(65536)
                if not data:
                    break
                *complete, rest = (rest + data).split(b"\n")
                for line in complete:
                    yield line.decode(errors="replace").rstrip("\r")
            if rest:
                yield rest.decode(errors="replace")
