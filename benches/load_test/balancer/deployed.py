"""A balancer that is deployed."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench_kit.errors import BenchError

from .. import program
from ..target import Url, is_loopback
from .admin import Admin, Metrics, get
from .usage import Usage, parse_stat

SET_CORES_SECONDS = 180.0
READY_SECONDS = 60.0
STAT_SECONDS = 10.0


class Deployed:
    """A balancer that somebody else started; only what it is asked to tell is known of it."""

    is_ours = False

    def __init__(
        self,
        url: Url,
        addresses: tuple[str, ...],
        admin_server: Admin | None,
        set_cores_command: str | None,
        stat_command: str | None,
        directory: Path,
    ):
        self.url = url
        self.addresses = addresses
        self.admin = admin_server
        self.is_here = all(is_loopback(address) for address in addresses)
        self._set_cores = set_cores_command
        self._stat = stat_command
        self._directory = directory

    def set_cores(self, cores: int | None, meanwhile: Callable[[], None]) -> None:
        """Runs the operator's command and waits until /metrics tells so many cores, ready."""
        if cores is not None and self._set_cores is not None and self.admin is not None:
            text = self._set_cores.replace("{cores}", str(cores))
            log = self._directory / f"set-cores-{cores}.log"
            name = f"--set-cores {shlex.quote(text)}"
            program.run(name, ["sh", "-c", text], log, SET_CORES_SECONDS, meanwhile=meanwhile)
            wait_for_cores(self.admin, cores, meanwhile)
        self.addresses = tuple(answering(self.url, self.addresses))

    def stop(self) -> None:
        """It is not ours to end."""

    def pids(self) -> list[int]:
        """None of this machine, as far as is known."""
        return []

    def usage(self) -> Usage:
        """From /metrics, and from the command that prints /proc/PID/stat where there is one."""
        told = self.admin.metrics() if self.admin else None
        told = told or Metrics()
        cpu_us = None if told.cpu_seconds is None else told.cpu_seconds * 1e6
        resident = None if told.resident_bytes is None else told.resident_bytes / 1024
        if self._stat is not None:
            cpu_us, resident = parse_stat(stat_line(self._stat))
        return Usage(cpu_us, [], resident, told.core_connections, told.moved, told.failed)


def stat_line(command: str) -> str:
    """What the operator's command prints; raises BenchError when it fails."""
    try:
        done = subprocess.run(
            ["sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=STAT_SECONDS, check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"--process-stat {command!r}: did not end within {STAT_SECONDS:.0f} s")
    if done.returncode != 0:
        raise BenchError(
            f"--process-stat {command!r}: ended with status {done.returncode}: {done.stderr.strip()}"
        )
    return done.stdout


def wait_for_cores(server: Admin, cores: int, meanwhile: Callable[[], None]) -> None:
    """Waits until /readyz is 200 and /metrics tells so many cores; else raises BenchError."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        told = server.metrics()
        if told is not None and len(told.core_connections) == cores and server.is_ready():
            return
        if time.monotonic() > deadline:
            saw = "no answer" if told is None else f"{len(told.core_connections)} cores"
            raise BenchError(
                f"--set-cores ended well, but within {READY_SECONDS:.0f} s {server.url} was not "
                f"ready with {cores} cores; the last it told: {saw}"
            )
        meanwhile()
        time.sleep(program.POLL_SECONDS)


def answering(url: Url, addresses: tuple[str, ...]) -> list[str]:
    """Those of the addresses where a GET of the URL is a 2xx; raises BenchError where none is."""
    good, said = [], []
    for address in addresses:
        try:
            status, _ = get(url, address, url.path)
            if 200 <= status < 300:
                good.append(address)
            else:
                hint = " (redirects are not followed)" if 300 <= status < 400 else ""
                said.append(f"{address}: status {status}{hint}")
        except OSError as error:
            said.append(f"{address}: {error.strerror or error}")
    if not good:
        raise BenchError(f"{url} does not answer with a status of 2xx: {'; '.join(said)}")
    return good
