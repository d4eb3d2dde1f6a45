"""What the load test needs of this machine, and what it records about it."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
from pathlib import Path

from side_by_side import environment, peers
from side_by_side.environment import ROOT

from . import program
from .balancer.deployed import Deployed
from .balancer.local import Local
from .generator import oha
from .options import Options

BINARY = "stateless-load-balancer"
INSTALL_SECONDS = 600.0
BUILD_SECONDS = 3600.0
# What the binary is made from.
SOURCES = ["src", "control", "dataplane", "exchange", "Cargo.toml", "Cargo.lock"]


def need_nginx() -> None:
    """Installs the backends' program where it is missing; raises BenchError when it cannot."""
    environment.install(environment.missing_packages({"nginx": "nginx-light"}))


def generator(logs: Path) -> Path:
    """The path of oha; builds it where it is missing."""
    found = oha.find()
    if found is None:
        print(f"building oha {oha.VERSION} into {oha.cache_folder()}, once: takes some minutes ...",
              file=sys.stderr)
        found = oha.install(logs / "oha-build.log")
    return found


def balancer(given: Path | None, logs: Path) -> Path:
    """The binary to load: the one given, else a release build that is no older than its sources.

    It is built in a folder of its own and without AWS, which the load does not touch: a release
    binary with AWS must not be replaced by one without.
    """
    if given is not None:
        return given
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    built = target / "release" / BINARY
    if built.exists() and built.stat().st_mtime >= newest_source(ROOT):
        return built.resolve()
    own = target / "load-test"
    print("building the release binary, without AWS ...", file=sys.stderr)
    command = ["cargo", "build", "--release", "--locked", "--no-default-features", "--bin", BINARY,
               "--manifest-path", str(ROOT / "Cargo.toml"), "--target-dir", str(own)]
    program.run("cargo build", command, logs / "cargo.log", BUILD_SECONDS)
    return (own / "release" / BINARY).resolve()


def newest_source(root: Path) -> float:
    """When the latest change to a source was."""
    newest = 0.0
    for name in SOURCES:
        path = root / name
        files = [path] if path.is_file() else [*path.rglob("*.rs"), *path.rglob("Cargo.toml")]
        newest = max([newest, *(file.stat().st_mtime for file in files)])
    return newest


def describe(
    generator_path: Path, binary: Path | None, under_load: Local | Deployed, asked: Options
) -> dict[str, str]:
    """What the report says of the machine and the versions."""
    about = {
        "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "machine of the generator": f"{platform.machine()}, {len(os.sched_getaffinity(0))} CPUs, "
                                    f"{cpu_model()}",
        "kernel": platform.release(),
        "generator": oha.version(generator_path),
    }
    if binary is not None:
        nginx = peers.version(peers.NGINX, None).replace("nginx version: ", "")
        about["balancer"] = f"{peers.version(peers.BALANCER, binary)}, started here"
        about["backends"] = f"2 × {nginx}, on this machine"
    else:
        told = under_load.admin.metrics() if under_load.admin else None
        version = f", version {told.version}" if told and told.version else ""
        about["balancer"] = f"deployed: {asked.url}{version}"
        about["addresses"] = ", ".join(under_load.addresses)
    kind = "a new one for each request" if asked.new_connections else "kept"
    about["connections"] = f"{asked.connections}, {kind}"
    about["each run"] = f"{asked.seconds} s after {asked.warmup} s of warm-up"
    return about


def cpu_model() -> str:
    """The CPU's name, as /proc/cpuinfo has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines
             if line.startswith(("model name", "CPU part"))]
    return named[0] if named else "unknown CPU"


def repeat_command(words: list[str]) -> str:
    """The command line, without the folder that exists by now."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word == "--output":
            skip = True
        elif not word.startswith("--output="):
            kept.append(word)
    return shlex.join(["scripts/load-test", *kept])
