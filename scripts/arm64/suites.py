"""What is run in the virtual machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .architecture import ARM64, Architecture
from .cargo import PLANES, Built

# What has to be seen everywhere: requests that targets of a file share, half-close, resets, a killed
# target, a changed file, and the end with connections that live.
SCENARIOS = ("one_life", "target_file", "half_close", "resets", "health", "shutdown")
LEFT_OUT = (
    # Its signals take longer than the 200 ms within which they count as one, where all is emulated.
    "shutdown::a_burst_of_signals_is_one",
    # Half a minute, and `one_life` kills a target, too.
    "health::a_killed_target_costs_no_new_client_anything_and_comes_back",
)
# What asks nothing of the kernel, and takes most of the time.
PURE = tuple(part for name in ("simulation", "fuzz", "failing") for part in ("--skip", name))
# Each simulation runs a tenth of its seeds.
TENTH = {"SLB_SEEDS_DIVISOR": "10"}


@dataclass(frozen=True)
class Suite:
    """One program of tests; the first of `programs`, which may need the others."""

    name: str
    programs: tuple[Path, ...]
    seconds: float  # it is killed after
    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


def choose(architecture: Architecture, built: Built) -> list[Suite]:
    """The suites of an architecture, the most important ones first."""
    chosen = [f"{module}::" for module in SCENARIOS]
    chosen += [part for name in LEFT_OUT for part in ("--skip", name)]
    traffic = Suite("traffic", (built.traffic, built.balancer), 240.0, tuple(chosen))
    planes, unit = PLANES, ()
    if architecture is not ARM64:
        planes, unit = ("dataplane",), PURE
    units = [Suite(name, (built.units[name],), 180.0, unit, TENTH) for name in planes]
    return [traffic, *units]
