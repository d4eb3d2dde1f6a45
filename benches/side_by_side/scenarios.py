"""What every peer is made to do, and the numbers one such run gives."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from bench_kit import taskclock
from bench_kit.errors import BenchError

from . import peers
from .idle import IdleConnections
from .load import run_wrk
from .measure import (
    cpu_between,
    idle_cpu_percent,
    machine_busy_us,
    sample_cpu,
    sample_memory,
)

IDLE_CONNECTIONS = 3000


@dataclass(frozen=True)
class Scenario:
    """One kind of load; `path` is None where connections are only held open."""

    name: str
    about: str
    connections: int
    path: str | None
    headers: tuple[str, ...] = ()


SCENARIOS = [
    Scenario("keepalive-64", "64 keep-alive connections, small bodies", 64, "/small"),
    Scenario("keepalive-1000", "1,000 keep-alive connections, small bodies", 1000, "/small"),
    # The backend closes first, right behind its answer, so the peer's side towards the backend
    # does not wait in TIME_WAIT; wrk may close as soon as it has the answer, and then its own
    # side waits: Linux reuses such ports on loopback after a second (tcp_tw_reuse=2).
    Scenario(
        "new-connections",
        "a new connection for every request, 64 at a time",
        64,
        "/small",
        ("Connection: close",),
    ),
    Scenario("bulk-10MiB", "10 MiB bodies over 8 connections", 8, "/large"),
    Scenario("idle-3000", "3,000 connections that carried a request and rest", IDLE_CONNECTIONS, None),
]


@dataclass(frozen=True)
class Plan:
    """How long each run lasts, in seconds, and whether perf counts CPU time."""

    seconds: float
    warmup: float
    use_perf: bool


@dataclass(frozen=True)
class Run:
    """The numbers of one run of one peer, by metric, and what went wrong."""

    scenario: str
    peer: str
    round: int
    values: dict[str, float]
    errors: dict[str, int]


def run(
    scenario: Scenario, peer: str, round_number: int, plan: Plan, running: peers.Running
) -> Run:
    """Runs a scenario against a peer that was just started."""
    pids = running.server.pids()
    start = sample_memory(pids)
    measured = _load if scenario.path else _idle
    values, errors = measured(scenario, plan, running)
    values["start_rss_kib"] = start.rss_kib
    values["start_pss_kib"] = start.pss_kib
    return Run(scenario.name, peer, round_number, values, {k: v for k, v in errors.items() if v})


def _load(
    scenario: Scenario, plan: Plan, running: peers.Running
) -> tuple[dict[str, float], dict[str, int]]:
    url = f"http://{peers.HOST}:{running.port}{scenario.path}"
    warm = run_wrk(url, scenario.connections, plan.warmup, scenario.headers)
    pids = running.server.pids()
    before, busy = sample_cpu(pids), machine_busy_us()
    result, clock_us = taskclock.count(
        pids,
        plan.use_perf,
        lambda: run_wrk(url, scenario.connections, plan.seconds, scenario.headers),
    )
    scheduled, busy = cpu_between(before, sample_cpu(pids)), machine_busy_us() - busy
    if clock_us is not None and clock_us < scheduled.total_us / 2:
        raise BenchError(f"perf missed work: {clock_us} us, the scheduler {scheduled.total_us} us")
    used = scheduled if clock_us is None else scheduled.scaled_to(clock_us)
    memory = sample_memory(pids)
    errors = {name: result.errors[name] + warm.errors[name] for name in result.errors}
    if result.requests == 0:
        return {}, {**errors, "no request was answered": 1}
    return {
        "requests_per_s": result.requests / result.seconds,
        "mb_per_s": result.bytes / result.seconds / 1e6,
        "cpu_us": used.total_us / result.requests,
        "schedstat_cpu_us": scheduled.total_us / result.requests,
        "user_us": used.user_us / result.requests,
        "system_us": used.system_us / result.requests,
        "machine_us": busy / result.requests,
        "p50_us": result.p50_us,
        "p99_us": result.p99_us,
        "rss_kib": memory.rss_kib,
        "pss_kib": memory.pss_kib,
    }, errors


def _idle(
    scenario: Scenario, plan: Plan, running: peers.Running
) -> tuple[dict[str, float], dict[str, int]]:
    pids = running.server.pids()
    before = sample_memory(pids)
    connections = IdleConnections(peers.HOST, running.port, scenario.connections)
    try:
        time.sleep(plan.warmup)  # what opening them left to do is not idling
        cpu, clock_us = taskclock.count(
            pids, plan.use_perf, lambda: idle_cpu_percent(pids, plan.seconds, peers.CORES)
        )
        if clock_us is not None:
            cpu = clock_us / (plan.seconds * 1e6) / peers.CORES * 100
        after = sample_memory(pids)
        lost = connections.lost()
    finally:
        connections.close()
    return {
        "kib_per_connection": (after.rss_kib - before.rss_kib) / scenario.connections,
        "pss_kib_per_connection": (after.pss_kib - before.pss_kib) / scenario.connections,
        "idle_cpu_percent": cpu,
        "rss_kib": after.rss_kib,
        "pss_kib": after.pss_kib,
    }, {"connections lost": lost}


def directory_of(root: Path, scenario: Scenario, peer: str, round_number: int) -> Path:
    """Where one run keeps its configuration and log."""
    return root / f"{scenario.name}-{round_number}-{peer}"
