"""Two network namespaces, a link between them that takes its time, and targets at its far end."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

from bench_kit.errors import BenchError
from bench_kit.processes import LIBC, Server, in_child
from side_by_side.backends import nginx

CLONE_NEWNET = 0x40000000
NEAR, FAR = "10.79.0.1", ("10.79.0.2", "10.79.0.3")
PORT = 8000


class Distance:
    """Namespaces and targets that are `delay_us` away, each way. This process is in the near one."""

    targets = [f"{address}:{PORT}" for address in FAR]

    def __init__(self, directory: Path, delay_us: int):
        self._names = [f"first-byte-{os.getpid()}-{end}" for end in ("near", "far")]
        self._directory = directory
        self._delay_us = delay_us
        self._link: subprocess.Popen | None = None
        self._server: Server | None = None
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)

    def start(self) -> None:
        """Makes it; raises BenchError where that is impossible."""
        near, far = self._names
        for name in self._names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        for address in FAR[1:]:
            _ip("-n", far, "address", "add", f"{address}/32", "dev", "lo")
        command = [sys.executable, str(Path(__file__).with_name("link.py")), str(self._delay_us)]
        self._link = subprocess.Popen(
            [*command, near, f"{NEAR}/24", far, f"{FAR[0]}/24"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=in_child,
        )
        if self._link.stdout.readline() != b"ready\n":
            raise BenchError("the link between the namespaces could not be made")
        self._start_server(far)
        _enter(os.open(f"/run/netns/{near}", os.O_RDONLY))

    def _start_server(self, namespace: str) -> None:
        into = ["ip", "netns", "exec", namespace]
        self._server = nginx("targets", self._directory, FAR, PORT, into)

    def stop(self) -> None:
        """Ends what was begun."""
        if self._server:
            self._server.stop()
        if self._link:
            self._link.kill()
            self._link.wait()
        _enter(self._home)
        for name in self._names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _enter(namespace: int) -> None:
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        raise BenchError(f"setns: {os.strerror(ctypes.get_errno())}")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"ip {' '.join(arguments)}: {done.stderr.strip()} (root is needed)")
