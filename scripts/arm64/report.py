"""What the console of the virtual machine says of the suites, and the table made of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

RESULT = re.compile(r"^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored")
# Alone on its line, or behind "test NAME ... " with a single test thread.
SKIP = re.compile(r"^(?:test .* \.\.\. )?skipped: [^ ]+: ")
KILLED = 128 + 9


@dataclass
class Row:
    """How one suite went."""

    suite: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    note: str = ""
    lines: list[str] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Takes a line that the suite printed."""
        self.lines.append(line)
        if match := RESULT.match(line):
            passed, failed, ignored = map(int, match.groups())
            self.passed += passed
            self.failed += failed
            self.skipped += ignored
        elif SKIP.match(line):
            # It passes in libtest's eyes.
            self.passed -= 1
            self.skipped += 1

    def end(self, status: int | None, seconds: float, limit: float) -> None:
        """The suite ended with this status; `None`: the machine did before it."""
        self.seconds = seconds
        counted = any(RESULT.match(line) for line in self.lines)
        if status is None:
            self._fail("the machine ended before it")
        elif status == KILLED and not counted:
            self._fail(f"killed: it had {limit:.0f} s")
        elif status != 0 and self.failed == 0:
            self._fail(f"ended with status {status}")
        elif not counted or self.passed + self.failed + self.skipped == 0:
            self._fail("no test was run")

    def _fail(self, note: str) -> None:
        self.passed = max(self.passed, 0)
        self.failed = max(self.failed, 1)
        self.note = note


class Console:
    """Reads the console line by line."""

    def __init__(self, limits: dict[str, float]):
        """`limits`: the suites that are to run, and how many seconds each may take."""
        self._limits = limits
        self._began = 0.0
        self._current: Row | None = None
        self.rows: list[Row] = []
        self.kernel = "none"
        self.page_kib = 0
        self.complaints: list[str] = []

    def read(self, line: str, now: float) -> Row | None:
        """Takes a line at a time in seconds; the row of a suite that this line ends."""
        words = line.split(" ")
        if words[0] == "@@" and len(words) > 1:
            return self._mark(words[1], words[2:], now)
        if self._current is not None:
            self._current.read(line)
        return None

    def _mark(self, kind: str, rest: list[str], now: float) -> Row | None:
        if kind == "kernel":
            _, self.kernel, page = (*rest, "", "", "")[:3]
            self.page_kib = int(page) if page.isdigit() else 0
        elif kind == "begin":
            self._current, self._began = Row(rest[0]), now
        elif kind == "end" and self._current is not None:
            return self._end(int(rest[1]), now)
        elif kind == "complaint":
            self.complaints.append(" ".join(rest))
        return None

    def _end(self, status: int | None, now: float) -> Row:
        row = self._current
        assert row is not None
        row.end(status, now - self._began, self._limits.get(row.suite, 0.0))
        self.rows.append(row)
        self._current = None
        return row

    def close(self, now: float) -> list[Row]:
        """The machine has ended; the rows of the suites that had not."""
        ended = len(self.rows)
        if self._current is not None:
            self._end(None, now)
        for name in self._limits:
            if all(row.suite != name for row in self.rows):
                row = Row(name)
                row.end(None, 0.0, 0.0)
                self.rows.append(row)
        return self.rows[ended:]


def table(parts: Iterable[tuple[str, Console]]) -> str:
    """One line for each suite of each architecture."""
    head = ("architecture", "kernel", "suite", "passed", "failed", "skipped", "seconds", "")
    lines = [head]
    for architecture, console in parts:
        for row in console.rows:
            counts = (row.passed, row.failed, row.skipped)
            numbers = (*map(str, counts), f"{row.seconds:.0f}")
            lines.append((architecture, console.kernel, row.suite, *numbers, row.note))
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines
    )
