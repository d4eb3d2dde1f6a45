"""A virtual machine that runs suites: what is in it, how it is started, how it ends."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import CannotRun, Failed, packages
from .architecture import Architecture
from .archive import Initramfs
from .programs import in_child, output, succeeds
from .report import Console, Row
from .suites import Suite

MEMORY_MIB = 3072
# To start and to stop, beyond what the suites have.
BOOT_SECONDS = 60.0
# For a kernel to start where KVM works: ten times what it takes.
KVM_SECONDS = 8.0
# What programs written in Rust and in C need.
LIBRARIES = ("libc.so.6", "libm.so.6", "libgcc_s.so.1")
STOPPED = threading.Event()
RUNNING: list[subprocess.Popen[str]] = []
FOLDERS = ("/proc", "/sys", "/dev", "/tmp", "/root", "/run", "/etc", "/usr/bin")


def write_initramfs(
    path: Path, architecture: Architecture, shell: Path, suites: list[Suite], scratch: Path
) -> None:
    """Writes what the machine starts with: shell, libraries, programs and the list of suites."""
    with path.open("wb") as file:
        initramfs = Initramfs(file)
        for folder in FOLDERS:
            initramfs.folder(folder)
        initramfs.copy("/init", Path(__file__).with_name("init"))
        initramfs.copy("/bin/busybox", shell)
        initramfs.link("/bin/sh", "busybox")
        initramfs.file("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
        initramfs.file("/etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n")
        for name in (*LIBRARIES, architecture.loader):
            initramfs.copy(f"/lib/{name}", _library(architecture, name))
        initramfs.link("/lib64", "lib")
        for program in sorted({program for suite in suites for program in suite.programs}):
            # At the path where it was built: the tests know that of the balancer.
            initramfs.copy(str(program), _stripped(architecture, program, scratch))
        initramfs.file("/app/environment", _environment(suites).encode())
        initramfs.file("/app/suites", "".join(map(_line, suites)).encode())
        initramfs.end()


def _library(architecture: Architecture, name: str) -> Path:
    """The one that programs for the architecture are linked with on this machine."""
    why = f"{name} for {architecture.name} is needed"
    found = Path(output([architecture.compiler, f"-print-file-name={name}"], why).strip())
    if not found.is_absolute():
        raise CannotRun(f"{why}: {architecture.compiler} knows of none")
    return found


def _stripped(architecture: Architecture, program: Path, scratch: Path) -> Path:
    """A copy without what only debuggers read: it is most of the program."""
    copy = scratch / f"{architecture.name}-{program.name}"
    command = [architecture.strip, "--strip-debug", "-o", str(copy), str(program)]
    if not succeeds(command, 60):
        raise Failed(f"what was built cannot be stripped: {' '.join(command)}")
    return copy


def _environment(suites: list[Suite]) -> str:
    variables = {name: value for suite in suites for name, value in suite.variables.items()}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _line(suite: Suite) -> str:
    words = [suite.name, f"{suite.seconds:.0f}", str(suite.programs[0]), *suite.arguments]
    return f"suite {shlex.join(words)}\n"


def prepare(architecture: Architecture, work: Path, suites: list[Suite]) -> list[str]:
    """Writes what the machine starts with; the command that starts it."""
    kernel = packages.kernel(work, architecture)
    scratch = work / "run"
    initramfs = scratch / f"{architecture.name}.cpio"
    shell = packages.busybox(work, architecture)
    write_initramfs(initramfs, architecture, shell, suites, scratch)
    return [
        *_machine(architecture, kernel), "-m", str(MEMORY_MIB), "-initrd", str(initramfs),
        "-append", f"console={architecture.console} quiet loglevel=1 panic=-1",
    ]


def run(command: list[str], suites: list[Suite], log: Path, tell: Callable[[Row], None]) -> Console:
    """Boots a machine that runs the suites; `tell` hears of each as it ends."""
    console = Console({suite.name: suite.seconds for suite in suites})
    limit = BOOT_SECONDS + sum(suite.seconds for suite in suites)
    began = time.monotonic()
    with log.open("w") as kept:
        for line, now in _lines(command, limit):
            kept.write(f"{now - began:7.2f} {line}\n")
            if row := console.read(line, now):
                tell(row)
    if not STOPPED.is_set():
        for row in console.close(time.monotonic()):
            tell(row)
    return console


def _machine(architecture: Architecture, kernel: Path) -> list[str]:
    """The command for a machine that is as fast as can be had here, without what it starts with."""
    command = [
        architecture.emulator, *architecture.machine, "-nographic", "-no-reboot", "-nic", "none",
        "-kernel", str(kernel),
    ]
    accelerated = [*command, "-accel", "kvm", "-smp", "2"]
    if architecture.can_be_accelerated and os.access("/dev/kvm", os.R_OK | os.W_OK):
        # It may be there and yet start no machine: below another hypervisor that does not pass it
        # on. Without a file system the kernel stops as soon as it has started.
        trial = [*accelerated, "-append", f"console={architecture.console} panic=-1"]
        if succeeds(trial, KVM_SECONDS):
            return accelerated
    # A second processor makes an emulated machine slower.
    return [*command, "-accel", "tcg", "-smp", "1"]


def _lines(command: list[str], limit: float) -> Iterator[tuple[str, float]]:
    """What the machine prints, with the time of each line; it is killed after `limit` seconds."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True, preexec_fn=in_child,
    ) as machine:
        timer = threading.Timer(limit, machine.kill)
        timer.start()
        RUNNING.append(machine)
        if STOPPED.is_set():
            machine.kill()
        try:
            assert machine.stdout is not None
            for line in machine.stdout:
                yield line.rstrip("\r\n"), time.monotonic()
        finally:
            timer.cancel()
            machine.kill()
            RUNNING.remove(machine)


def stop_all() -> None:
    """Ends the machines that run in other threads, and those that are about to."""
    STOPPED.set()
    for machine in list(RUNNING):
        machine.kill()
