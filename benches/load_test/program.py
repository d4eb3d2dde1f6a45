"""A program that is run to its end while something else goes on meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bench_kit.errors import BenchError
from bench_kit.processes import Server

POLL_SECONDS = 0.05


class Program(Server):
    """A child in a session of its own: Ctrl-C reaches us only, and `stop` ends its whole tree."""

    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def finish(self, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Waits for a good end; raises BenchError when it fails or takes longer."""
        deadline = time.monotonic() + seconds
        while (status := self.status()) is None:
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name}: did not end within {seconds:.0f} s:\n{self.tail()}")
            meanwhile()
            time.sleep(POLL_SECONDS)
        if status != 0:
            raise BenchError(f"{self.name}: ended with status {status}:\n{self.tail()}")


def run(
    name: str,
    command: list[str],
    log: Path,
    seconds: float,
    env: dict[str, str] | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Runs a program to its end and leaves nothing of it, whatever happens."""
    program = Program(name, command, log, env)
    try:
        program.finish(seconds, meanwhile)
    finally:
        program.stop()
