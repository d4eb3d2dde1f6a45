"""The tests on an arm64 kernel, and on the oldest kernel for amd64: `scripts/arm64-test --help`."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import CannotRun, Failed, cargo, machine, packages, report, std, suites
from .architecture import AMD64, ARM64, ARM64_16K, Architecture
from .programs import ROOT
from .report import Console, Row
from .suites import Suite

ABOUT = """\
Boots the Linux 6.1 of Debian 12 in qemu, in which io_uring works, and runs there
  arm64  the unit tests of exchange, dataplane and control, a tenth of the simulations' seeds each,
         and of tests/traffic what clients notice; the balancer is built for Graviton 2 and later,
         without AWS
  amd64  the same tests of tests/traffic, and dataplane's unit tests but its simulations, as
         `cargo test` builds them: on the oldest kernel that is supported
Installs what is missing of Debian's packages and Rust's arm64 target. Emulation shows what is right
and wrong, not what is fast. See docs/graviton.md.

Exit status: 0 passed, 1 failed, 2 wrong arguments, 3 cannot be run here."""

CHOICES = {it.name: it for it in (ARM64, ARM64_16K, AMD64)}
# The command that starts a machine, and what runs in it.
Prepared = tuple[list[str], list[Suite]]


def main(arguments: list[str] | None = None) -> int:
    """The whole program; returns its exit status."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return _run(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/arm64-test", description=ABOUT, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--only", choices=tuple(CHOICES),
        help="one of them; arm64-16k: a kernel with pages of 16 KiB, Linux 6.12 of Debian 13",
    )
    choice.add_argument(
        "--set-up", action="store_true",
        help="only install what is needed to build and run for arm64",
    )
    parser.add_argument(
        "--without-aws", action="store_true",
        help="build for amd64 without AWS, too: minutes faster where `cargo test` has not run",
    )
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    began = time.monotonic()
    parts: list[tuple[str, Console]] = []
    failures: list[str] = []
    left_out: list[str] = []
    with _alone_in(_work_folder()) as work:
        prepared: dict[str, Prepared] = {}
        for architecture in [CHOICES[options.only]] if options.only else [ARM64, AMD64]:
            try:
                prepared[architecture.name] = _prepare(architecture, work, options)
            except CannotRun as reason:
                left_out.append(f"skipped: arm64-test: {architecture.name}: {reason}")
            except Failed as reason:
                failures.append(f"arm64-test: {architecture.name}: {reason}")
        if not options.set_up:
            parts = _boot(prepared)
    if parts:
        print(report.table(parts))
    print(f"arm64-test: {time.monotonic() - began:.0f} s in all")
    for line in (*failures, *left_out):
        print(line)
    if failures or any(row.failed for _, console in parts for row in console.rows):
        return 1
    return 3 if left_out else 0


def _prepare(architecture: Architecture, work: Path, options: argparse.Namespace) -> Prepared:
    """Sets up and builds; nothing to run where only the set-up is wanted."""
    _set_up(architecture, work)
    if options.set_up:
        return [], []
    # Its compilation for one more architecture takes minutes, and its use needs no test of its own.
    with_aws = architecture is AMD64 and not options.without_aws
    with _step(f"{architecture.name}: build, {'with' if with_aws else 'without'} AWS"):
        built = cargo.build(architecture, with_aws)
    chosen = suites.choose(architecture, built)
    return machine.prepare(architecture, work, chosen), chosen


def _set_up(architecture: Architecture, work: Path) -> None:
    """Installs and fetches what is missing; raises CannotRun where that is impossible."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise CannotRun("this needs Linux on amd64; on arm64 scripts/test.sh runs every test")
    if shutil.which("cargo") is None:
        raise CannotRun("there is no cargo: install Rust")
    with _step(f"{architecture.name}: set up"):
        architecture.install_tools()
        packages.kernel(work, architecture)
        if architecture.target == ARM64.target:
            std.provide(work)


def _boot(prepared: dict[str, Prepared]) -> list[tuple[str, Console]]:
    """Runs the suites, each architecture's in a machine of its own, at the same time."""
    folder = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target", "arm64-test")
    folder.mkdir(parents=True, exist_ok=True)

    def run(name: str) -> Console:
        log = folder / f"{name}.log"
        console = machine.run(*prepared[name], log, functools.partial(_tell, name))
        if machine.STOPPED.is_set():
            return console
        print(f"{name}: Linux {console.kernel}, pages of {console.page_kib} KiB; {log}")
        for complaint in console.complaints:
            print(f"{name}: the kernel says: {complaint}")
        return console

    with _step("boot and test"), ThreadPoolExecutor() as threads:
        try:
            consoles = {name: threads.submit(run, name) for name in prepared}
            return [(name, console.result()) for name, console in consoles.items()]
        except BaseException:
            machine.stop_all()
            raise


def _tell(architecture: str, row: Row) -> None:
    """Says how a suite went; what it printed, where it failed."""
    counts = f"{row.passed} passed, {row.failed} failed, {row.skipped} skipped"
    lines = row.lines if row.failed else []
    end = f"   {architecture} {row.suite}: {counts}, {row.seconds:.0f} s {row.note}"
    print("\n".join([*lines, end.rstrip()]), flush=True)


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    print(f"== {name}", flush=True)
    began = time.monotonic()
    yield
    print(f"== {name}: {time.monotonic() - began:.1f} s", flush=True)


def _work_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "stateless-load-balancer", "arm64")


@contextlib.contextmanager
def _alone_in(work: Path) -> Iterator[Path]:
    """Has the folder to itself, and a folder `run` in it that is empty, before and after."""
    work.mkdir(parents=True, exist_ok=True)
    run = work / "run"
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another run in {work}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in (run, *work.glob("partial-*")):
            shutil.rmtree(left, ignore_errors=True)
        run.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(run)
