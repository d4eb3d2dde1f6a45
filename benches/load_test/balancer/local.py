"""A balancer that is started here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench_kit.errors import BenchError
from bench_kit.processes import free_port, http_status
from side_by_side import measure, peers

from ..program import Program
from ..target import Url
from .admin import Admin
from .usage import Usage, core_times

HOST = "127.0.0.1"
PATH = "/small"


class Local:
    """A balancer of our own on loopback, with its default configuration but for CORES."""

    is_ours = True
    is_here = True

    def __init__(self, binary: Path, targets: list[str], directory: Path):
        self.binary = binary
        self._targets = targets
        self._directory = directory
        self._server: Program | None = None
        self.url = Url(HOST, 0, PATH)
        self.addresses = (HOST,)
        self.admin: Admin | None = None

    def set_cores(self, cores: int, meanwhile: Callable[[], None]) -> None:
        """Starts it anew and waits until requests pass through it."""
        self.stop()
        port = free_port([HOST])
        admin_port = free_port([HOST])
        while admin_port == port:
            admin_port = free_port([HOST])
        env = {**peers.balancer_env(self._targets, port, admin_port), "CORES": str(cores)}
        log = self._directory / f"balancer-{cores}.log"
        self.url = Url(HOST, port, PATH)
        self.admin = Admin(Url(HOST, admin_port, "/"), HOST)
        self._server = Program("the balancer", [str(self.binary)], log, env)
        self._server.wait_until(self.admin.is_ready, "ready")
        self._server.wait_until(lambda: http_status(HOST, port, PATH) == 200, "forwarding")
        verify_cores(self.admin, cores)

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def pids(self) -> list[int]:
        """Its processes, to count their CPU time."""
        return self._server.pids() if self._server else []

    def usage(self) -> Usage:
        """From /proc and /metrics; raises BenchError when it has ended."""
        try:
            return self._usage()
        except (BenchError, OSError, IndexError):  # whichever of its files was the first to go
            said = self._server.tail() if self._server else "  (it was not started)"
            raise BenchError(f"the balancer ended during the run:\n{said}")

    def _usage(self) -> Usage:
        told = self.admin.metrics() if self.admin else None
        pids = self.pids()
        cores = core_times(pids[0])
        return Usage(
            cpu_us=sum(cpu.total_us for cpu in measure.sample_cpu(pids).values()),
            cores=cores,
            resident_kib=float(measure.sample_memory(pids).rss_kib),
            connections=told.core_connections if told else [],
            moved=told.moved if told else None,
            failed=told.failed if told else None,
        )


def verify_cores(server: Admin, cores: int) -> None:
    """Raises BenchError where /metrics tells another number of cores than was asked for."""
    told = server.metrics()
    if told is not None and len(told.core_connections) != cores:
        raise BenchError(f"CORES={cores} was set, /metrics tells {len(told.core_connections)} cores")
