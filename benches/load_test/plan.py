"""Which runs there are, in which order, and how long they take together."""

from __future__ import annotations

from dataclasses import dataclass

CLOSED, OPEN = "closed", "open"
# Starting a balancer, opening connections, reading what the generator wrote: seen with 10 s steps.
OVERHEAD_SECONDS = 2
TOTAL_LIMIT_SECONDS = 3600


@dataclass(frozen=True)
class Step:
    """One measured run. `cores` is None where the balancer is taken as it is deployed."""

    cores: int | None
    loop: str

    @property
    def name(self) -> str:
        """What it is called while it runs."""
        where = "as deployed" if self.cores is None else f"CORES={self.cores}"
        return f"{where}, {self.loop} loop"


def steps(cores: list[int | None]) -> list[Step]:
    """A closed loop and then an open one for each value."""
    return [Step(value, loop) for value in cores for loop in (CLOSED, OPEN)]


def total_seconds(cores: list[int | None], seconds: int, warmup: int) -> int:
    """How long all of them take, a little more rather than less."""
    return len(steps(cores)) * (seconds + warmup + OVERHEAD_SECONDS)


def default_cores(available: int) -> list[int]:
    """1, 2, 4 and so on, and all that there are."""
    values = [1]
    while values[-1] * 2 <= available:
        values.append(values[-1] * 2)
    return values if values[-1] == available else [*values, available]


def clock(seconds: float) -> str:
    """`75` is `1:15`."""
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
