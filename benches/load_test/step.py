"""One measured run: warm-up, load, and what the balancer, the generator and the machine used."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench_kit import taskclock
from bench_kit.errors import BenchError
from bench_kit.processes import process_tree
from side_by_side import measure

from . import program
from .balancer.deployed import Deployed
from .balancer.local import Local
from .balancer.usage import CoreTime, Usage
from .generator import oha
from .generator.latencies import Outcome, outcome, read_table
from .plan import Step

SAMPLE_SECONDS = 1.0
BEFORE_END_SECONDS = 0.2  # the last sample has to be of the load
CPUS = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Result:
    """What a run came to. Shares are 0 to 1, `…_cpus` counts CPUs kept busy on the mean; None and
    empty is what could not be known. `is_here`: on the generator's machine."""

    step: Step
    rate: float | None
    outcome: Outcome
    cpu_us_per_request: float | None
    cpu_source: str | None
    resident_kib: float | None
    busy: float | None
    waiting: float | None
    busy_by_core: list[float]
    connections_by_core: list[float]
    moved: int | None
    failed_connections: int | None
    generator_cpus: float
    machine_busy: float
    others_cpus: float | None
    is_here: bool


@dataclass(frozen=True)
class Moment:
    """What had been used when. `ours_us`: this program and all that it started."""

    at: float
    usage: Usage
    generator_us: float
    ours_us: float
    machine_us: float


class Runner:
    """Runs steps against one balancer; `use_perf` where perf may count the balancer's CPU time."""

    def __init__(self, balancer: Local | Deployed, generator: Path, directory: Path,
                 use_perf: bool, tick: Callable[[], None]):
        self._balancer = balancer
        self._oha = generator
        self._directory = directory
        self._use_perf = use_perf and balancer.is_ours
        self._tick = tick

    def run(self, step: Step, load: oha.Load, warmup: int) -> Result:
        """Warms up, loads, reads; raises BenchError when something ends that should not."""
        if warmup:
            self._load(replace(load, seconds=warmup), "warm-up", _Watch())
        watch = _Watch(self._moment)
        _, task_clock_us = taskclock.count(
            self._balancer.pids(), self._use_perf, lambda: self._load(load, "load", watch)
        )
        failures = oha.parse_errors(self._json("load").read_text(errors="replace"))
        ended = outcome(read_table(self._table("load")), failures, load.seconds, load.rate)
        return summarize(step, load, ended, watch, task_clock_us, self._balancer)

    def _json(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def _table(self, name: str) -> Path:
        return self._directory / f"{name}.db"

    def _load(self, load: oha.Load, name: str, watch: _Watch) -> None:
        self._table(name).unlink(missing_ok=True)
        self._json(name).unlink(missing_ok=True)
        words = oha.arguments(load, self._json(name), self._table(name))
        watch.begin(load.seconds)
        generator = program.Program("oha", [str(self._oha), *words], self._directory / "oha.log")

        def meanwhile() -> None:
            watch.look(generator.pids())
            self._tick()

        try:
            generator.finish(oha.limit_seconds(load), meanwhile)
        finally:
            generator.stop()
        watch.end()

    def _moment(self, generator: list[int]) -> Moment:
        try:
            generator_us = sum(measure.process_cpu(pid).total_us for pid in generator)
        except (FileNotFoundError, ProcessLookupError):
            generator_us = 0.0  # it ended just now; an earlier moment counts
        ours_us = 0.0
        for pid in process_tree(os.getpid()):
            try:
                ours_us += measure.process_cpu(pid).total_us
            except (FileNotFoundError, ProcessLookupError):
                continue
        # The balancer last: its answer may take long, and the times have to be of one moment.
        at, machine_us = time.monotonic(), measure.machine_busy_us()
        return Moment(at, self._balancer.usage(), generator_us, ours_us, machine_us)


class _Watch:
    """Takes a moment before the load, every second during it, and after it."""

    def __init__(self, moment: Callable[[list[int]], Moment] | None = None):
        self._take = moment
        self._seconds = 0
        self.first: Moment | None = None
        self.during: list[Moment] = []
        self.last: Moment | None = None

    def begin(self, seconds: int) -> None:
        """The load starts right after."""
        self._seconds = seconds
        if self._take:
            self.first = self._take([])

    def look(self, generator: list[int]) -> None:
        """Takes a moment when the next one is due."""
        if self._take is None or self.first is None or not generator:
            return
        due = self.first.at + SAMPLE_SECONDS * (len(self.during) + 1) - BEFORE_END_SECONDS
        if len(self.during) == self._seconds or time.monotonic() < due:
            return
        moment = self._take(generator)
        if time.monotonic() - self.first.at > self._seconds:
            # So late that the generator may have closed its connections by then.
            moment = replace(moment, usage=replace(moment.usage, connections=[]))
        self.during.append(moment)

    def end(self) -> None:
        """The generator has ended."""
        if self._take:
            self.last = self._take([])


def summarize(
    step: Step, load: oha.Load, ended: Outcome, watch: _Watch, task_clock_us: float | None,
    balancer: Local | Deployed,
) -> Result:
    """What the moments and the requests say together."""
    first, last, during = watch.first, watch.last, watch.during
    if first is None or last is None or not during:
        raise BenchError("oha ended before its time was over")
    loaded = during[-1]  # later oha only writes its table
    span_us = (loaded.at - first.at) * 1e6
    cpu_us, source = task_clock_us, "perf task-clock"
    if cpu_us is None:
        source = "schedstat" if balancer.is_ours else "the balancer's own count"
        cpu_us = difference(first.usage.cpu_us, last.usage.cpu_us)
    busy_by_core = shares(first.usage.cores, loaded.usage.cores, span_us, lambda core: core.running)
    waiting = shares(first.usage.cores, loaded.usage.cores, span_us, lambda core: core.waiting)
    machine_us = loaded.machine_us - first.machine_us
    # A balancer that somebody else started on this machine would be taken for a stranger.
    are_others_known = balancer.is_ours or not balancer.is_here
    others_us = machine_us - (loaded.ours_us - first.ours_us)
    resident = [m.usage.resident_kib for m in during if m.usage.resident_kib is not None]
    return Result(
        step=step,
        rate=load.rate,
        outcome=ended,
        cpu_us_per_request=cpu_us / ended.answered if cpu_us is not None and ended.answered else None,
        cpu_source=None if cpu_us is None else source,
        resident_kib=max(resident) if resident else None,
        busy=busy_share(busy_by_core, first.usage.cpu_us, loaded, span_us, step.cores),
        waiting=statistics.mean(waiting) if waiting else None,
        busy_by_core=busy_by_core,
        connections_by_core=mean_connections([moment.usage.connections for moment in during]),
        moved=whole_difference(first.usage.moved, last.usage.moved),
        failed_connections=whole_difference(first.usage.failed, last.usage.failed),
        generator_cpus=loaded.generator_us / span_us,
        machine_busy=min(1.0, machine_us / (span_us * (os.cpu_count() or CPUS))),
        others_cpus=max(0.0, others_us / span_us) if are_others_known else None,
        is_here=balancer.is_here,
    )


def busy_share(
    by_core: list[float], before_us: float | None, loaded: Moment, span_us: float,
    cores: int | None,
) -> float | None:
    """How busy the balancer's cores were: by their threads, else by the CPU time it tells."""
    if by_core:
        return statistics.mean(by_core)
    used_us = difference(before_us, loaded.usage.cpu_us)
    count = len(loaded.usage.connections) or cores
    return used_us / span_us / count if used_us is not None and count else None


def shares(
    before: list[CoreTime], after: list[CoreTime], span_us: float,
    of: Callable[[CoreTime], int],
) -> list[float]:
    """For each core, its part of the time; empty where the cores are not the same."""
    if len(before) != len(after):
        return []
    return [(of(new) - of(old)) / 1000 / span_us for old, new in zip(before, after)]


def mean_connections(samples: list[list[int]]) -> list[float]:
    """Open connections of each core, the mean of the samples that have all cores."""
    width = max((len(sample) for sample in samples), default=0)
    whole = [sample for sample in samples if len(sample) == width and width]
    return [statistics.mean(column) for column in zip(*whole)]


def difference(before: float | None, after: float | None) -> float | None:
    """What was added; None where unknown, and where a count began anew."""
    if before is None or after is None or after < before:
        return None
    return after - before


def whole_difference(before: int | None, after: int | None) -> int | None:
    """The same for whole numbers."""
    added = difference(before, after)
    return None if added is None else int(added)
