"""CPU time and memory of process trees, from /proc.

The scheduler counts a process's time in nanoseconds (`schedstat`, summed over its threads); `stat`
has it in 10 ms ticks and split into user and system by sampling. So the total is the scheduler's
and the split is the ticks'. `taskclock` has a better total where perf may be used. Kernel threads
and softirq work that runs outside the process are in none of them: `machine_busy_us` shows them
(with everyone else's work).
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from bench_kit.errors import BenchError

TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """CPU time used so far: microseconds of all processes, split into user and system."""

    user_us: float
    system_us: float

    @property
    def total_us(self) -> float:
        """User and system."""
        return self.user_us + self.system_us

    def scaled_to(self, total_us: float) -> Cpu:
        """The same split of another total."""
        share = self.user_us / self.total_us if self.total_us else 0.5
        return Cpu(total_us * share, total_us * (1 - share))

    def __add__(self, other: Cpu) -> Cpu:
        return Cpu(self.user_us + other.user_us, self.system_us + other.system_us)


def parse_stat_ticks(text: str) -> tuple[int, int]:
    """utime and stime in ticks from /proc/PID/stat, of all threads, ended ones too (proc(5))."""
    # The command's name is in parentheses and may hold spaces and parentheses itself.
    fields = text[text.rindex(")") + 1:].split()
    return int(fields[11]), int(fields[12])


def parse_schedstat_ns(text: str) -> int:
    """Time on CPU in nanoseconds: the first field of a task's schedstat."""
    return int(text.split(maxsplit=1)[0])


def split_cpu(total_ns: int, user_ticks: int, system_ticks: int) -> Cpu:
    """The scheduler's total, split as the sampled ticks say.

    Threads that have ended are in the ticks but not in `total_ns`, so the larger of both counts.
    """
    ticks = user_ticks + system_ticks
    total_us = max(total_ns / 1000, float(ticks * TICK_US))
    share = user_ticks / ticks if ticks else 0.5
    return Cpu(total_us * share, total_us * (1 - share))


def process_cpu(pid: int) -> Cpu:
    """CPU time of one process with all its threads, io_uring's workers included."""
    root = Path(f"/proc/{pid}")
    user, system = parse_stat_ticks((root / "stat").read_text())
    total_ns = 0
    for task in (root / "task").iterdir():
        try:
            total_ns += parse_schedstat_ns((task / "schedstat").read_text())
        except OSError:
            continue  # the thread ended, or this kernel has no schedstat: the ticks count
    return split_cpu(total_ns, user, system)


def cpu_between(before: dict[int, Cpu], after: dict[int, Cpu]) -> Cpu:
    """What was used between two samples; raises BenchError when a process ended between them."""
    if before.keys() != after.keys():
        raise BenchError(
            f"processes came or went during a run: {sorted(before)} before, {sorted(after)} after"
        )
    used = Cpu(0.0, 0.0)
    for pid, cpu in after.items():
        # Two samples of the tick split can disagree by a tick; a total never shrinks.
        total = cpu.total_us - before[pid].total_us
        user = min(max(cpu.user_us - before[pid].user_us, 0.0), total)
        used += Cpu(user, total - user)
    return used


def sample_cpu(pids: list[int]) -> dict[int, Cpu]:
    """CPU time so far, by process; raises BenchError when one has ended."""
    try:
        return {pid: process_cpu(pid) for pid in pids}
    except (FileNotFoundError, ProcessLookupError) as error:
        raise BenchError(f"a measured process ended: {error}")


def machine_busy_us() -> float:
    """Time that all CPUs together were not idle, in microseconds (ticks)."""
    return parse_machine_busy_ticks(Path("/proc/stat").read_text()) * TICK_US


def parse_machine_busy_ticks(text: str) -> int:
    """user, nice, system, irq, softirq and steal of /proc/stat's first line (proc(5))."""
    fields = [int(field) for field in text.splitlines()[0].split()[1:]]
    return sum(fields[:8]) - fields[3] - fields[4]


@dataclass(frozen=True)
class Memory:
    """Memory that is resident, in KiB. Pss divides a shared page among those that share it."""

    rss_kib: int
    pss_kib: int

    def __add__(self, other: Memory) -> Memory:
        return Memory(self.rss_kib + other.rss_kib, self.pss_kib + other.pss_kib)


def parse_smaps_rollup(text: str) -> Memory:
    """Rss and Pss of /proc/PID/smaps_rollup."""
    values = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB$", text, re.MULTILINE))
    return Memory(int(values["Rss"]), int(values["Pss"]))


def sample_memory(pids: list[int]) -> Memory:
    """Resident memory of all `pids` together."""
    total = Memory(0, 0)
    for pid in pids:
        try:
            total += parse_smaps_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())
        except OSError as error:
            raise BenchError(f"cannot read the memory of process {pid}: {error.strerror}")
    return total


def idle_cpu_percent(pids: list[int], seconds: float, cores: int) -> float:
    """CPU that is used while nothing happens, in percent of each of `cores`."""
    before, start = sample_cpu(pids), time.monotonic()
    time.sleep(seconds)
    used = cpu_between(before, sample_cpu(pids))
    return used.total_us / ((time.monotonic() - start) * 1e6) / cores * 100
