"""The load generator: oha, where it is, how it is run, and what it wrote.

oha's CSV has neither the errors nor the time a request was due, its SQLite table has the latter and
its JSON the former: both are asked for. What is known of it, and looked for in the results:

- In an open loop a request is due when oha's clock ticks, and its latency counts from there
  (`--latency-correction`), also while all connections are busy. A tick itself may be late, by up to
  a millisecond as a rule: `lateness` in latencies.py says by how much.
- Requests that are due but not sent when the time is over are dropped without a word: latencies.py
  finds them by counting.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench_kit.errors import BenchError

from .. import program
from ..target import Url, bracketed

VERSION = "1.16.0"
REQUEST_TIMEOUT_SECONDS = 10
INSTALL_SECONDS = 1800.0
# After the load, oha writes its table: some 200,000 rows a second here.
WRITING_SECONDS = 120.0


@dataclass(frozen=True)
class Load:
    """One run of oha. `rate` is requests a second of an open loop; None is a closed one."""

    url: Url
    addresses: tuple[str, ...]
    connections: int
    seconds: int
    rate: float | None = None
    new_connections: bool = False


def cache_folder() -> Path:
    """Where what is built once is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "stateless-load-balancer"


def find() -> Path | None:
    """The pinned version on the PATH or in the cache folder."""
    for found in (shutil.which("oha"), shutil.which("oha", path=str(cache_folder() / "bin"))):
        if found and version(Path(found)) == f"oha {VERSION}":
            return Path(found)
    return None


def version(path: Path) -> str:
    """What `oha --version` prints."""
    done = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def install(log: Path) -> Path:
    """Builds the pinned version into the cache folder; raises BenchError when that fails.

    Its `--no-default-features` does not compile (1.16.0), so it comes with rustls.
    """
    cache = cache_folder()
    build = cache / "oha-build"
    command = ["cargo", "install", "--locked", "--root", str(cache), f"oha@{VERSION}"]
    try:
        program.run("cargo install oha", command, log, INSTALL_SECONDS,
                    env={"CARGO_TARGET_DIR": str(build)})
    finally:
        shutil.rmtree(build, ignore_errors=True)
    found = find()
    if found is None:
        raise BenchError(f"cargo installed no oha {VERSION} into {cache}/bin")
    return found


def arguments(load: Load, json_path: Path, table: Path) -> list[str]:
    """oha's command line without its path."""
    words = ["--no-tui", "--no-color", "-z", f"{load.seconds}s", "-w", "-r", "0"]
    words += ["-c", str(load.connections), "-t", f"{REQUEST_TIMEOUT_SECONDS}s"]
    if load.rate is not None:
        words += ["-q", f"{load.rate:.3f}"]
        words.append("--latency-correction")
    if load.new_connections:
        words.append("--disable-keepalive")
    for address in load.addresses:
        # It would look the name up again: only the addresses that were agreed to are connected to.
        host, target = bracketed(load.url.host), bracketed(address)
        words += ["--connect-to", f"{host}:{load.url.port}:{target}:{load.url.port}"]
    words += ["--output-format", "json", "--output", str(json_path), "--db-url", str(table)]
    return [*words, str(load.url)]


def limit_seconds(load: Load) -> float:
    """How long a run may take until it is given up."""
    return load.seconds + REQUEST_TIMEOUT_SECONDS + WRITING_SECONDS


def parse_errors(text: str) -> dict[str, int]:
    """Requests without an answer, by kind, from oha's JSON; raises BenchError when it is none."""
    try:
        kinds = json.loads(text)["errorDistribution"]
        return {str(kind): int(count) for kind, count in kinds.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(f"oha's JSON is not understood ({error!r}): {text[:200]}")
