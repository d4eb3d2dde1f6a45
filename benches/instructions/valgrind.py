"""A valgrind that can run the balancer, and the clock it runs with."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench_kit.errors import BenchError

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stateless-load-balancer"
# valgrind keeps its one lock while a thread waits for a ring. With ordinary slices of 100,000 blocks
# no other thread would ever have its turn.
SLICE = "--scheduling-quantum"
RELEASE = "trixie"
SOURCE = (
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
    f"http://deb.debian.org/debian {RELEASE} main\n"
)
CLOCK_SOURCE = Path(__file__).with_name("clock.c")


def command() -> list[str]:
    """How valgrind is started; brought from a newer Debian where the installed one is too old."""
    installed = shutil.which("valgrind")
    if installed and _is_new_enough([installed]):
        return [installed]
    folder = CACHE / "valgrind"
    brought = ["env", f"VALGRIND_LIB={folder}/usr/libexec/valgrind", f"{folder}/usr/bin/valgrind.bin"]
    if not Path(brought[-1]).exists():
        _bring(folder)
    if not _is_new_enough(brought):
        raise BenchError(f"valgrind 3.22 or later is needed: {folder} has none that runs here")
    return brought


def _is_new_enough(valgrind: list[str]) -> bool:
    done = subprocess.run([*valgrind, "--help-debug"], capture_output=True, text=True, check=False)
    return SLICE in done.stdout


def _bring(folder: Path) -> None:
    """Unpacks Debian's package into `folder`, beside the system's own packages."""
    apt = folder.with_name("valgrind-apt")
    shutil.rmtree(apt, ignore_errors=True)
    (apt / "lists" / "partial").mkdir(parents=True)
    (apt / "cache" / "archives" / "partial").mkdir(parents=True)
    (apt / "sources.list").write_text(SOURCE)
    options = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    }
    flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    try:
        _run(["apt-get", "-qq", *flags, "update"], apt)
        _run(["apt-get", "-qq", *flags, "download", f"valgrind/{RELEASE}"], apt)
        (package,) = apt.glob("valgrind_*.deb")
        _run(["dpkg-deb", "-x", str(package), str(folder)], apt)
    finally:
        shutil.rmtree(apt, ignore_errors=True)


def _run(command: list[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)}:\n{done.stderr.strip()}")


def clock(directory: Path) -> Path:
    """The library that slows the cores' clock, compiled into `directory`."""
    library = directory / "clock.so"
    _run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(CLOCK_SOURCE)], directory)
    return library
