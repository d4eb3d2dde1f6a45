"""How far the run is: one line that is rewritten on a terminal, a line for each step elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from .plan import clock

BAR_WIDTH = 24
REDRAW_SECONDS = 0.2


class Progress:
    """Tells the elapsed and the whole time; `total` is an estimate that is never exceeded."""

    def __init__(self, total: float, output: TextIO | None = None):
        self._total = total
        self._output = output or sys.stderr
        self._is_terminal = self._output.isatty()
        self._start = time.monotonic()
        self._drawn_at = 0.0
        self._doing = ""

    def step(self, doing: str) -> None:
        """Something else begins."""
        self._doing = doing
        if self._is_terminal:
            self._draw()
        else:
            self._print(f"{clock(self._elapsed())} of {clock(self._shown_total())}  {doing}")

    def tick(self) -> None:
        """Call it often: it redraws now and then."""
        if self._is_terminal and time.monotonic() - self._drawn_at >= REDRAW_SECONDS:
            self._draw()

    def note(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        self._print(text)

    def clear(self) -> None:
        """Takes the bar away; the next tick brings it back."""
        if self._is_terminal:
            self._output.write("\r\x1b[K")
            self._output.flush()
            self._drawn_at = 0.0

    def _elapsed(self) -> float:
        return time.monotonic() - self._start

    def _shown_total(self) -> float:
        return max(self._total, self._elapsed())

    def _print(self, text: str) -> None:
        self._output.write(text + "\n")
        self._output.flush()

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        width = shutil.get_terminal_size().columns - 1
        line = bar_line(self._elapsed(), self._shown_total(), self._doing, width)
        self._output.write("\r\x1b[K" + line)
        self._output.flush()


def bar_line(elapsed: float, total: float, doing: str, width: int) -> str:
    """The bar, the times and what is going on, in `width` columns."""
    filled = int(BAR_WIDTH * elapsed / total) if total else BAR_WIDTH
    filled = min(filled, BAR_WIDTH)
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    return f"[{bar}] {clock(elapsed)}/{clock(total)} {doing}"[:max(width, 0)]
