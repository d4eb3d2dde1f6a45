"""Child processes: every one that is started here is ended here, by its id."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

from .errors import BenchError

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 5.0
LIBC = ctypes.CDLL(None, use_errno=True)


def in_child() -> None:
    """For preexec_fn: if this program is killed outright, its children are still told to end."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Server:
    """A server process and the workers it forks; output goes to a file that errors quote."""

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str] | None = None):
        self.name = name
        self.log = log
        try:
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    command,
                    env=None if env is None else {**os.environ, **env},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches us only, and we end it in order
                    preexec_fn=in_child,
                )
        except OSError as error:
            raise BenchError(f"cannot start {name} ({command[0]}): {error.strerror}")

    def pids(self) -> list[int]:
        """The process and all its descendants."""
        return process_tree(self._process.pid)

    def wait_until(self, ready, what: str, seconds: float = 20.0) -> None:
        """Waits until `ready()` is true; raises BenchError when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None:
                raise BenchError(
                    f"{self.name} ended with status {self._process.returncode} before {what}:\n"
                    f"{self.tail()}"
                )
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name}: not {what} after {seconds:.0f} s:\n{self.tail()}")
            time.sleep(0.02)

    def tail(self, lines: int = 15) -> str:
        """The last lines it printed."""
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(f"  {line}" for line in text) or "  (it printed nothing)"

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for what is left of the tree."""
        if self._process.poll() is not None:
            return
        family = self.pids()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in family:
            if pid != self._process.pid:
                _kill_if_running(pid)


def _kill_if_running(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def process_tree(pid: int) -> list[int]:
    """`pid` and its descendants, of those that still live."""
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        try:
            tasks = list(Path(f"/proc/{current}/task").iterdir())
        except OSError:
            continue  # ended meanwhile
        found.append(current)
        for task in tasks:
            with contextlib.suppress(OSError):  # a thread that ended meanwhile
                queue.extend(int(child) for child in (task / "children").read_text().split())
    return sorted(found)


def run_to_end(command: list[str], timeout: float) -> str:
    """Runs a program and returns what it printed; raises BenchError when it fails or hangs."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=in_child,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{command[0]} did not end within {timeout:.0f} s")
        finally:
            if process.poll() is None:
                process.kill()
    if process.returncode != 0:
        raise BenchError(f"{command[0]} ended with status {process.returncode}:\n{output}")
    return output


def free_port(addresses: list[str]) -> int:
    """A port that no one has bound on any of `addresses`.

    Taken from below the ephemeral range: a load generator's outgoing connections cannot take it
    between this check and the server's bind.
    """
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ceiling = low if low > 4096 else 32768
    for _ in range(200):
        port = random.randrange(max(2048, ceiling - 20000), ceiling)
        if all(_is_free(address, port) for address in addresses):
            return port
    raise BenchError(f"no free port below {ceiling} on {', '.join(addresses)}")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def http_status(address: str, port: int, path: str) -> int:
    """The status of one GET; 0 when there is no answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection((address, port), timeout=2) as connection:
            connection.sendall(request)
            first = connection.recv(64).split(b" ", 2)
    except OSError:
        return 0
    return int(first[1]) if len(first) > 1 and first[1].isdigit() else 0
