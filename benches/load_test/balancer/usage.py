"""What the balancer has used: CPU time, memory, connections of each core."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from bench_kit.errors import BenchError
from side_by_side import measure

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
RSS_FIELD = 21  # of /proc/PID/stat, counted from the one after the command's name (proc(5))


@dataclass(frozen=True)
class CoreTime:
    """Nanoseconds of one core's thread: on its CPU, and waiting for it while others had it."""

    running: int
    waiting: int


@dataclass(frozen=True)
class Usage:
    """What the balancer has used so far; None and empty where that cannot be known."""

    cpu_us: float | None = None
    cores: list[CoreTime] = field(default_factory=list)
    resident_kib: float | None = None
    connections: list[int] = field(default_factory=list)
    moved: int | None = None
    failed: int | None = None


def core_times(pid: int) -> list[CoreTime]:
    """The threads `core-N`, those of one name together, in the order of their cores."""
    found: dict[int, CoreTime] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
            if not (match := re.fullmatch(r"core-(\d+)", name)):
                continue
            running, waiting = (task / "schedstat").read_text().split()[:2]
        except OSError:
            continue  # the thread ended, or this kernel has no schedstat
        before = found.get(int(match[1]), CoreTime(0, 0))
        found[int(match[1])] = CoreTime(
            before.running + int(running), before.waiting + int(waiting)
        )
    return [found[core] for core in sorted(found)]


def parse_stat(text: str) -> tuple[float, float]:
    """CPU microseconds and resident KiB from /proc/PID/stat (ticks of 10 ms, as on all Linux)."""
    try:
        user, system = measure.parse_stat_ticks(text)
        resident = int(text[text.rindex(")") + 1:].split()[RSS_FIELD])
    except (ValueError, IndexError):
        raise BenchError(f"--process-stat printed no line of /proc/PID/stat: {text.strip()[:200]!r}")
    return float((user + system) * 10_000), resident * PAGE_BYTES / 1024
