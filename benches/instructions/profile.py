"""What callgrind has written about one run: the instructions and system calls of the core."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bench_kit.errors import BenchError

NAME = re.compile(r"(ob|fn)=\((\d+)\)(?: (.+))?$")


@dataclass(frozen=True)
class Counts:
    """Of the thread that turns: what it has executed, without the slowed clock's own code."""

    instructions: int
    """In user space."""
    system_calls: int
    """Without reading the clock, for which valgrind hides the kernel's cheaper way."""
    turns: int
    """Waits for the ring: one per turn of the loop."""

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            self.instructions - other.instructions,
            self.system_calls - other.system_calls,
            self.turns - other.turns,
        )


def core(directory: Path, clock: Path) -> Counts:
    """The counts of the thread that waits for a ring most, from the profiles in `directory`."""
    threads = [parse(path.read_text(), clock.name) for path in directory.glob("profile-*")]
    if not threads:
        raise BenchError(f"callgrind wrote no profile of a thread to {directory}")
    return max(threads, key=lambda counts: counts.turns)


def parse(text: str, left_out: str) -> Counts:
    """The counts of one thread's profile; `left_out` is the object whose instructions are not its
    own (see "Callgrind Format Specification": costs of a call follow its `calls=` line)."""
    names: dict[tuple[str, str], str] = {}
    current = {"ob": "", "fn": ""}
    instructions = system_calls = turns = 0
    is_of_call = False
    for line in text.splitlines():
        if name := NAME.match(line):
            kind, number, text = name.groups()
            if text:
                names[kind, number] = text
            current[kind] = names[kind, number]
        elif line.startswith("calls="):
            is_of_call = True
        elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            _, own, *others = line.split()
            calls = int(others[0]) if others else 0
            if is_of_call:
                is_of_call = False
                continue
            if not current["ob"].endswith(left_out):
                instructions += int(own)
            if "clock_gettime" not in current["fn"]:
                system_calls += calls
            if current["fn"] == "syscall":
                turns += calls
        elif name := re.match(r"c(ob|fn)=\((\d+)\) (.+)$", line):
            kind, number, text = name.groups()
            names[kind, number] = text
    return Counts(instructions, system_calls, turns)
