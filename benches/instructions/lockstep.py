"""A client and a target in one hand: neither does anything before the balancer's core rests, so
that every run has the same turns."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

from bench_kit.errors import BenchError
from bench_kit.processes import Server

HOST = "127.0.0.1"
REQUEST = b"q" * 100
ANSWER = b"a" * 200
TIMEOUT_SECONDS = 20.0
# From <asm/unistd.h>, the same on every architecture.
IO_URING_ENTER = "426"


class Core:
    """The thread of the balancer that waits for a ring."""

    def __init__(self, server: Server):
        self._state: Path | None = None
        server.wait_until(lambda: self._find(server.pids()), "a core that waits")

    def _find(self, pids: list[int]) -> bool:
        for pid in pids:
            for state in Path(f"/proc/{pid}/task").glob("*/syscall"):
                with contextlib.suppress(OSError):  # a thread that has ended
                    if _is_resting(state):
                        self._state = state
                        return True
        return False

    def rest(self) -> None:
        """Returns once it has done what there was to do."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not _is_resting(self._state):
            if time.monotonic() > deadline:
                raise BenchError("the balancer's core does not come to rest")


def _is_resting(state: Path) -> bool:
    return state.read_text().split(" ", 1)[0] == IO_URING_ENTER


class Target:
    """Where the balancer connects; its health checks are answered on a port of their own."""

    def __init__(self):
        self.listener = socket.create_server((HOST, 0))
        self.listener.settimeout(TIMEOUT_SECONDS)
        self.health = socket.create_server((HOST, 0))
        self._checks = threading.Thread(target=self._answer_checks, daemon=True)
        self._checks.start()

    def _answer_checks(self) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        while True:
            try:
                connection, _ = self.health.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                connection.sendall(answer)

    def close(self) -> None:
        """Ends it and its thread."""
        self.health.shutdown(socket.SHUT_RDWR)
        self._checks.join()
        self.health.close()
        self.listener.close()


class Pair:
    """A client's connection and the target's that belongs to it."""

    def __init__(self, port: int, target: Target, core: Core):
        self._core = core
        self._client = socket.create_connection((HOST, port), TIMEOUT_SECONDS)
        self._target, _ = target.listener.accept()
        self._target.settimeout(TIMEOUT_SECONDS)
        core.rest()

    def request(self) -> None:
        """A request and its answer."""
        for sender, receiver, message in (
            (self._client, self._target, REQUEST),
            (self._target, self._client, ANSWER),
        ):
            sender.sendall(message)
            left = len(message)
            while left:
                received = len(receiver.recv(left))
                if not received:
                    raise BenchError("the balancer has ended a connection")
                left -= received
            self._core.rest()

    def close(self) -> None:
        """The client ends it, then the target does."""
        self._client.shutdown(socket.SHUT_WR)
        self._end(self._target)
        self._target.close()
        self._end(self._client)
        self._client.close()
        self._core.rest()

    def _end(self, receiver: socket.socket) -> None:
        if receiver.recv(1):
            raise BenchError("the balancer has forwarded what nobody sent")
        self._core.rest()
