"""One count: the balancer in valgrind, before a target and a client in lockstep."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench_kit.processes import Server, free_port, http_status

from . import profile
from .lockstep import HOST, Core, Pair, Target

READY_SECONDS = 60.0
# How long a core waits when it has nothing to do, shortened by the slowed clock.
SHORT_WAIT_SECONDS = 0.001


@dataclass(frozen=True)
class Machine:
    """With what the balancer is run, and where files go."""

    valgrind: list[str]
    clock: Path
    directory: Path


@dataclass(frozen=True)
class Figure:
    """What one unit of work costs."""

    instructions: float
    turns: float
    system_calls: float


@dataclass(frozen=True)
class Unit:
    """What is counted: `work` does it so many times."""

    name: str
    few: int
    many: int
    work: Callable[[int, int, Target, Core], None]


def _request(times: int, port: int, target: Target, core: Core) -> None:
    pair = Pair(port, target, core)
    for _ in range(times):
        pair.request()
    pair.close()


def _connection(times: int, port: int, target: Target, core: Core) -> None:
    for _ in range(times):
        pair = Pair(port, target, core)
        pair.request()
        pair.close()


def _turn(times: int, _port: int, _target: Target, _core: Core) -> None:
    time.sleep(times * SHORT_WAIT_SECONDS)


UNITS = [
    Unit("request", 500, 10_500, _request),
    Unit("connection", 200, 4_200, _connection),
    Unit("idle turn", 200, 10_200, _turn),
]


def count(machine: Machine, binary: Path) -> dict[str, Figure]:
    """What each unit costs this binary, by the unit's name."""
    return {unit.name: _figure(machine, binary, unit) for unit in UNITS}


def _figure(machine: Machine, binary: Path, unit: Unit) -> Figure:
    few, many = (_run(machine, binary, unit, times) for times in (unit.few, unit.many))
    more = many - few
    # How many turns there were while nothing happened, only the count itself tells.
    units = more.turns if unit.work is _turn else unit.many - unit.few
    return Figure(more.instructions / units, more.turns / units, more.system_calls / units)


def _run(machine: Machine, binary: Path, unit: Unit, times: int) -> profile.Counts:
    directory = machine.directory / f"{binary.name}-{unit.name.replace(' ', '-')}-{times}"
    directory.mkdir(exist_ok=True)
    for old in directory.glob("profile*"):
        old.unlink()
    port = free_port([HOST])
    admin = free_port([HOST])
    while admin == port:
        admin = free_port([HOST])
    target = Target()
    server = Server(
        "balancer",
        [*_callgrind(machine, directory), str(binary)],
        directory / "log",
        env=_environment(machine, unit, target, port, admin),
    )
    try:
        server.wait_until(
            lambda: http_status(HOST, admin, "/readyz") == 200, "ready", READY_SECONDS
        )
        core = Core(server)
        unit.work(times, port, target, core)
    finally:
        server.stop()
        target.close()
    return profile.core(directory, machine.clock)


def _callgrind(machine: Machine, directory: Path) -> list[str]:
    return [
        *machine.valgrind,
        "--tool=callgrind",
        f"--callgrind-out-file={directory}/profile",
        "--separate-threads=yes",
        "--collect-systime=yes",
        "--fair-sched=yes",
        "--scheduling-quantum=500",
    ]


def _environment(
    machine: Machine, unit: Unit, target: Target, port: int, admin: int
) -> dict[str, str]:
    """One core; nothing that depends on how long something takes."""
    return {
        "LD_PRELOAD": str(machine.clock),
        **({"SHORT_WAITS": "1"} if unit.work is _turn else {}),
        "HOST": HOST,
        "PORT": str(port),
        "ADMIN_HOST": HOST,
        "ADMIN_PORT": str(admin),
        "CORES": "1",
        "NODE_FILTER": "static",
        "TARGETS": f"{HOST}:{target.listener.getsockname()[1]}",
        "HEALTH_CHECK_PORT": str(target.health.getsockname()[1]),
        "HEALTH_CHECK_PERIOD": "1000",
        "POOL_SIZE": "0",
        "RUST_LOG": "warn",
        "SHUTDOWN_TIMEOUT": "1",
    }
